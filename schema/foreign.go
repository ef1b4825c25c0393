package schema

import (
	"fmt"
	"strings"
)

// foreignMark begins the text that [Values] keeps for a value that its field cannot represent, as another program may
// have written it to the row. The rest of the text is the reason, and the whole is not JSON. Such a value is cached and
// compared like any other, but is never shown and never written back.
const foreignMark = "!"

// Undecided is the text that [Values] keeps for a value that the database is still to make: of a field that has `from:
// database` and that a whole record did not name. It is never written, and readers see null until the flush has read
// the row.
const Undecided = foreignMark

// ForeignValue returns the text that stands for a value that its field cannot represent. The reason does not name the
// field.
func ForeignValue(reason string) string { return foreignMark + reason }

// IsForeign reports whether a text of [Values] stands for a value that its field cannot represent, and the reason.
func IsForeign(text string) (reason string, foreign bool) {
	if len(text) == 0 || text[:1] != foreignMark {
		return "", false
	}
	return text[1:], true
}

// ForeignError reports a row whose id or value its entity cannot represent. The record can still be put, deleted, and
// patched in its other fields, unless Field is "id": no request can name such a row.
type ForeignError struct {
	Entity string
	ID     string // as the row has it, not canonical
	Field  string // "id" where the id itself is foreign
	Column string
	Reason string // what is wrong, without the names
}

func (e *ForeignError) Error() string {
	return fmt.Sprintf("%s %q: column %s: %s", e.Entity, e.ID, e.Column, e.Reason)
}

// Foreign returns the record's first foreign value as an error, or nil.
func (e *Entity) Foreign(id string, values Values) *ForeignError {
	for i, text := range values {
		if reason, foreign := IsForeign(text); foreign && text != Undecided && i < len(e.Fields) {
			return &ForeignError{e.Name, id, e.Fields[i].Name, e.Fields[i].Column, reason}
		}
	}
	return nil
}

// ForeignRow returns an error about the row's foreign id or its first foreign value, or nil.
func (e *Entity) ForeignRow(row Row) *ForeignError {
	if row.Foreign != "" {
		return &ForeignError{e.Name, row.ID, "id", strings.Join(e.KeyColumns(), ", "), row.Foreign}
	}
	return e.Foreign(row.ID, row.Values)
}
