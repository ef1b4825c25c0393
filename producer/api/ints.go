package api

import (
	"slices"
	"strconv"

	"github.com/afterwrite/afterwrite/schema"
)

// With "Prefer: ints=string" whole numbers travel as JSON strings: JavaScript reads a number
// as a float, which has 53 bits. A string is accepted for an int in any case.

// appendRecord appends a record as the request prefers its ints.
func (c *call) appendRecord(dst []byte, e *schema.Entity, id string, values schema.Values) []byte {
	if !c.texts {
		return e.AppendRecord(dst, id, values)
	}
	dst = append(append(dst, `{"id":`...), c.idText(e, id)...)
	at := len(dst)
	if dst = c.appendFields(dst, e, values); len(dst) == at+len("{}") {
		return append(dst[:at], '}')
	}
	dst[at] = ','
	return dst
}

func (c *call) appendFields(dst []byte, e *schema.Entity, values schema.Values) []byte {
	if c.texts {
		values = slices.Clone(values)
		for i, text := range values {
			if e.Fields[i].Type == schema.Int && text != "" && text != schema.Null {
				values[i] = strconv.Quote(text)
			}
		}
	}
	return e.AppendFields(dst, values)
}

func (c *call) idText(e *schema.Entity, id string) string {
	if c.texts && e.ID.Type == schema.Int {
		return strconv.Quote(id)
	}
	return e.IDText(id)
}

func (c *call) appendVersion(dst []byte, v schema.Version) []byte {
	switch {
	case v == 0:
		return append(dst, schema.Null...)
	case c.texts:
		return strconv.AppendQuote(dst, v.String())
	}
	return strconv.AppendInt(dst, int64(v), 10)
}

// intText returns the digits of a JSON string that has nothing else in it, else the value
// as it is.
func intText(value []byte) []byte {
	n := len(value)
	if n < len(`"0"`) || n > len(`"-9223372036854775808"`) || value[0] != '"' {
		return value
	}
	digits := value[1 : n-1]
	for i, b := range digits {
		if (b < '0' || b > '9') && (b != '-' || i > 0) {
			return value
		}
	}
	if digits[len(digits)-1] == '-' {
		return value
	}
	return digits
}
