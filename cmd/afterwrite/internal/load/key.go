package load

import (
	"errors"

	"github.com/afterwrite/afterwrite/schema"
)

// keyOf returns the id of a composite key that the fields of a row name. The error is an [schema.InvalidError] that
// names a field which is missing or invalid.
func keyOf(e *schema.Entity, fields schema.Fields) (string, error) {
	var texts []string
	for _, i := range e.Key() {
		f := &e.Fields[i]
		v, ok := fields[f.Name]
		if !ok {
			return "", schema.Invalid(f.Name, "is missing: it is a part of the key %s", e.KeyForm())
		}
		text, err := f.Canonical(v)
		if err == nil && text == schema.Null {
			err = errNull
		}
		if err != nil {
			return "", schema.Invalid(f.Name, "%v", err)
		}
		texts = append(texts, text)
	}
	return e.CanonicalID(e.KeyID(texts))
}

var errNull = errors.New("is null, and a part of the key")
