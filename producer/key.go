package producer

import "github.com/afterwrite/afterwrite/schema"

// fillKey gives a whole record the fields of its composite key; one that differs is invalid.
func fillKey(e *schema.Entity, id string, values schema.Values) error {
	return eachKey(e, id, values, func(i int, text string) { values[i] = text })
}

// dropKey takes the fields of the key out of a patch; one that differs is invalid.
func dropKey(e *schema.Entity, id string, values schema.Values) error {
	return eachKey(e, id, values, func(i int, _ string) { values[i] = "" })
}

func eachKey(e *schema.Entity, id string, values schema.Values, do func(i int, text string)) error {
	if !e.ID.Composite() {
		return nil
	}
	texts, err := e.KeyValues(id)
	if err != nil {
		return err
	}
	for n, i := range e.Key() {
		if values[i] != "" && values[i] != texts[n] {
			return schema.Invalid(e.Fields[i].Name,
				"is %s in the id, which cannot be changed: write another record and delete this one", texts[n])
		}
		do(i, texts[n])
	}
	return nil
}

// madeKey returns the composite id that a whole record names. newID returns a uuid that it lacks.
func madeKey(e *schema.Entity, values schema.Values, newID func() (string, error)) (string, error) {
	texts, lacks := []string(nil), -1
	for _, i := range e.Key() {
		texts = append(texts, values[i])
		switch {
		case values[i] != "":
		case e.Fields[i].Type == schema.UUID && lacks < 0:
			lacks = len(texts) - 1
		default:
			return "", schema.Invalid(e.Fields[i].Name, "is required: it is a part of the key %s", e.KeyForm())
		}
	}
	if lacks >= 0 {
		id, err := newID()
		if err != nil {
			return "", err
		}
		if texts[lacks], err = e.Fields[e.Key()[lacks]].Canonical(id); err != nil {
			return "", schema.Invalid("id", "%v", err)
		}
	}
	return e.CanonicalID(e.KeyID(texts))
}
