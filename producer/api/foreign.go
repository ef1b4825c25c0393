package api

import (
	"github.com/afterwrite/afterwrite/internal/problem"
	"github.com/afterwrite/afterwrite/schema"
)

// appendForeign appends the member that names the rows of an answer with a foreign id or value, if there are any. The
// other rows are answered as usual.
func appendForeign(out []byte, rows []*schema.ForeignError) []byte {
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

// foreignSchema describes that member.
func foreignSchema() object {
	text := object{"type": "string"}
	return object{"type": "array",
		"description": "Rows with an id or a value that another program wrote and that the entity cannot show.",
		"items": closed(object{"id": text, "field": text, "column": text, "reason": text}, "id", "field", "column",
			"reason")}
}
