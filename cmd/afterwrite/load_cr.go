package main

import (
	"io"
	"strings"
)

// The CSV reader drops a carriage return before a newline, also within quotes, where it
// is part of the value. So within quotes it is shown a byte that no UTF-8 has in its
// place, which cells turn back; that byte itself becomes another that no UTF-8 has.
const (
	returnMark  = 0xff
	invalidByte = 0xfe
)

// returns marks the carriage returns within quotes.
type returns struct {
	in     io.Reader
	quoted bool
}

func (r *returns) Read(p []byte) (int, error) {
	n, err := r.in.Read(p)
	for i, c := range p[:n] {
		switch {
		case c == '"': // an escaped quote is two: it ends and begins again
			r.quoted = !r.quoted
		case c == returnMark:
			p[i] = invalidByte
		case c == '\r' && r.quoted:
			p[i] = returnMark
		}
	}
	return n, err
}

// unmark gives a cell its carriage returns back.
func unmark(cell string) string {
	return strings.ReplaceAll(cell, string([]byte{returnMark}), "\r")
}
