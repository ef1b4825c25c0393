package api

import (
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/afterwrite/afterwrite/internal/problem"
)

// The media types of bodies.
const (
	typeJSON   = "application/json"
	typeMerge  = "application/merge-patch+json"
	typeNDJSON = "application/x-ndjson"
)

// wantType refuses a body that is not one of these media types as it is.
func (c *call) wantType(types ...string) error { return problem.WantType(c.r.Header, types...) }

// readBody reads the whole body into c.body, or refuses one of more than limit bytes.
// Each piece of its buffer is counted by hold, where that is not nil.
func (c *call) readBody(limit int64, hold func(c *call, bytes int) error) error {
	if c.r.ContentLength > limit {
		return problem.TooLarge(limit)
	}
	body := io.Reader(c.r.Body)
	if c.r.ContentLength < 0 {
		body = http.MaxBytesReader(c.w, c.r.Body, limit)
	}
	// The first read of a body of known length ends with its last byte, the second
	// with the EOF: one byte more keeps the buffer from growing in between.
	if need := int(min(c.r.ContentLength+1, maxPooledBytes)); cap(c.body) < need {
		c.body = make([]byte, 0, need)
	}
	b := c.body[:0]
	for {
		if len(b) == cap(b) {
			b = append(b, 0)[:len(b)]
		}
		if hold != nil {
			if err := hold(c, cap(b)); err != nil {
				return err
			}
		}
		n, err := body.Read(b[len(b):cap(b)])
		b = b[:len(b)+n]
		if err == nil {
			continue
		}
		c.body = b
		return bodyError(err)
	}
}

func bodyError(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return err
	}
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return problem.Malformed("the body ends before its Content-Length")
	}
	p := problem.Malformed("the body could not be read")
	p.Name, p.Code, p.Title = "body-unreadable", http.StatusRequestTimeout, "Body not read"
	return fmt.Errorf("read body: %w", p)
}
