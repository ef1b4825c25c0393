package api

import (
	"slices"
	"strconv"

	"github.com/afterwrite/afterwrite/internal/problem"
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

// appendVersions appends versions and ends their array.
func (c *call) appendVersions(out []byte, versions []schema.Version) []byte {
	for _, v := range versions {
		out = append(c.appendVersion(out, v), ',')
	}
	return append(trimComma(out), ']')
}

// appendForeign appends the member that names the rows of an answer with a foreign id or value, if there are any. The
// other rows are answered as usual.
func appendForeign(out []byte, rows []*problem.ForeignError) []byte {
	if len(rows) == 0 {
		return out
	}
	out = append(out, `,"foreign":[`...)
	for i, row := range rows {
		if i > 0 {
			out = append(out, ',')
		}
		out = problem.AppendString(append(out, `{"id":`...), row.ID)
		out = problem.AppendString(append(out, `,"field":`...), row.Field)
		out = problem.AppendString(append(out, `,"column":`...), row.Column)
		out = append(problem.AppendString(append(out, `,"reason":`...), row.Reason), '}')
	}
	return append(out, ']')
}

// trimComma removes the comma after the last of several values.
func trimComma(b []byte) []byte {
	if n := len(b) - 1; b[n] == ',' {
		return b[:n]
	}
	return b
}
