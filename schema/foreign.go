package schema

// foreignMark begins the text that [Values] keeps for a value that its field cannot represent, as another program may
// have written it to the row. The rest of the text is the reason, and the whole is not JSON. Such a value is cached and
// compared like any other, but is never shown and never written back.
const foreignMark = "!"

// Texts in [Values] of what has no value. Undecided is never written, and read as null until the flush has read the
// row.
const (
	Null      = "null"      // a missing value
	Undecided = foreignMark // one that the database is to make
)

// ForeignValue stands in [Values] for a value that its field cannot represent.
func ForeignValue(reason string) string { return foreignMark + reason }

// IsForeign reports whether a text is a [ForeignValue], and its reason.
func IsForeign(text string) (reason string, foreign bool) {
	if len(text) == 0 || text[:1] != foreignMark {
		return "", false
	}
	return text[1:], true
}
