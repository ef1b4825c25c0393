package problem

import (
	"fmt"
	"strings"

	"github.com/afterwrite/afterwrite/schema"
)

// ForeignError reports a row whose id or value its entity cannot represent. The record can still be put, deleted, and
// patched in its other fields, unless Field is "id": no request can name such a row.
type ForeignError struct {
	Entity string
	ID     string // as the row has it, not canonical
	Field  string // "id" where the id itself is foreign
	Column string
	Reason string // what is wrong, without the names
}

// Error names the row, its column and the reason.
func (e *ForeignError) Error() string {
	return fmt.Sprintf("%s %q: column %s: %s", e.Entity, e.ID, e.Column, e.Reason)
}

// Foreign returns the record's first foreign value as an error, or nil.
func Foreign(e *schema.Entity, id string, values schema.Values) *ForeignError {
	for i, text := range values {
		if reason, foreign := schema.IsForeign(text); foreign && text != schema.Undecided && i < len(e.Fields) {
			return &ForeignError{e.Name, id, e.Fields[i].Name, e.Fields[i].Column, reason}
		}
	}
	return nil
}

// ForeignRow returns an error about the row's foreign id or its first foreign value, or nil.
func ForeignRow(e *schema.Entity, row schema.Row) *ForeignError {
	if row.Foreign != "" {
		return &ForeignError{e.Name, row.ID, "id", strings.Join(e.KeyColumns(), ", "), row.Foreign}
	}
	return Foreign(e, row.ID, row.Values)
}
