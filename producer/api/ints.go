package api

import (
	"slices"
	"strconv"

	"github.com/afterwrite/afterwrite/schema"
)

// With "Prefer: ints=string" whole numbers are sent as JSON strings: JavaScript parses a number as a float of 53 bits.
// A string is always accepted for an int.

// appendRecord appends a record, with ints as the request prefers them.
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

// intText returns the content of a JSON string that contains only digits, otherwise the value unchanged.
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
