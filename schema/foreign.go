package schema

import "fmt"

// A value of a row that its field cannot show, as another program may have written it, is
// kept in [Values] as a text that is no JSON: a "!", then why. So it is cached, compared
// and told apart like any other value. It is never shown as a value and never written back.
const foreignMark = "!"

// ForeignValue returns the text that stands for a value that its field cannot show. The
// reason does not name the field.
func ForeignValue(reason string) string { return foreignMark + reason }

// IsForeign reports whether a text of [Values] stands for a value that its field cannot
// show, and why it cannot.
func IsForeign(text string) (reason string, foreign bool) {
	if len(text) == 0 || text[:1] != foreignMark {
		return "", false
	}
	return text[1:], true
}

// ForeignError reports a row whose id or value is none that its entity can show. The row
// can be put, deleted and patched in its other fields, unless Field is "id": no request
// can name such a row.
type ForeignError struct {
	Entity string
	ID     string // as the row has it
	Field  string // "id" where the id itself is foreign
	Column string
	Reason string // what is wrong, without the names
}

func (e *ForeignError) Error() string {
	return fmt.Sprintf("%s %q: column %s: %s", e.Entity, e.ID, e.Column, e.Reason)
}

// Foreign returns the first foreign value of a record as an error, or nil.
func (e *Entity) Foreign(id string, values Values) *ForeignError {
	for i, text := range values {
		if reason, foreign := IsForeign(text); foreign && i < len(e.Fields) {
			return &ForeignError{e.Name, id, e.Fields[i].Name, e.Fields[i].Column, reason}
		}
	}
	return nil
}

// ForeignRow returns what is foreign in a row, its id or its first such value, or nil.
func (e *Entity) ForeignRow(row Row) *ForeignError {
	if row.Foreign != "" {
		return &ForeignError{e.Name, row.ID, "id", e.ID.Column, row.Foreign}
	}
	return e.Foreign(row.ID, row.Values)
}
