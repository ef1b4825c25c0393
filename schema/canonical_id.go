package schema

import (
	"strings"
	"unicode/utf8"
)

// CanonicalID returns the canonical form of an id, or an [InvalidError] about "id".
func (e *Entity) CanonicalID(id string) (string, error) {
	if e.key != nil {
		return e.canonicalKey(id)
	}
	switch e.ID.Type {
	case Int:
		text, err := encodeInt(id)
		if err != nil {
			return "", Invalid("id", "%v", err)
		}
		return text, nil
	case UUID:
		text, err := encodeUUID(id)
		if err != nil {
			return "", Invalid("id", "%v", err)
		}
		return strings.Trim(text, `"`), nil
	}
	switch {
	case id == "":
		return "", Invalid("id", "is empty")
	case len(id) > e.ID.Max:
		return "", Invalid("id", "is too long: %d bytes, at most %d", len(id), e.ID.Max)
	case !utf8.ValidString(id):
		return "", Invalid("id", "%v", errUTF8)
	case strings.IndexByte(id, 0) >= 0:
		return "", Invalid("id", "%v", errNUL)
	}
	return id, nil
}

// IDText returns the JSON text of a canonical id: a number for an int id.
func (e *Entity) IDText(id string) string {
	if e.ID.Type == Int {
		return id
	}
	text, err := quote(id)
	if err != nil {
		return Null // a canonical id is never invalid
	}
	return text
}
