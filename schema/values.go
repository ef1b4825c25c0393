package schema

import (
	"slices"
	"strings"
)

// Fields are a request's fields by name, for [Field.Canonical].
type Fields map[string]any

// Whole returns the values of a whole record, absent fields by default or null: [Undecided] where the database
// decides, and absent in a composite key. The error is an [InvalidError] of every invalid field.
func (e *Entity) Whole(fields Fields) (Values, error) {
	values, bad := e.canonical(fields)
	for i := range e.Fields {
		f := &e.Fields[i]
		if values[i] == "" && slices.Contains(e.key, i) {
			continue
		}
		if values[i] == "" {
			values[i] = f.Default
		}
		if values[i] == "" && f.FromDatabase {
			values[i] = Undecided
		}
		if values[i] == "" {
			values[i] = Null
		}
		if f.Required && values[i] == Null && !named(bad, f.Name) {
			bad = append(bad, FieldError{f.Name, "is required"})
		}
	}
	return values, invalid(bad)
}

// Partial returns the values of a patch, "" for what stays. Errors: as Whole.
func (e *Entity) Partial(fields Fields) (Values, error) {
	values, bad := e.canonical(fields)
	for i := range e.Fields {
		if f := &e.Fields[i]; f.Required && values[i] == Null {
			bad = append(bad, FieldError{f.Name, "is required and cannot be null"})
		}
	}
	return values, invalid(bad)
}

func (e *Entity) canonical(fields Fields) (Values, []FieldError) {
	values := make(Values, len(e.Fields))
	var bad []FieldError
	for name, v := range fields {
		if len(bad) == MaxFieldErrors {
			break
		}
		i, ok := e.index[name]
		if !ok {
			bad = append(bad, FieldError{name, "is not a field of " + e.Name})
			continue
		}
		text, err := e.Fields[i].Canonical(v)
		if err != nil {
			bad = append(bad, FieldError{name, err.Error()})
			continue
		}
		values[i] = text
	}
	return values, bad
}

func named(bad []FieldError, name string) bool {
	return slices.ContainsFunc(bad, func(f FieldError) bool { return f.Field == name })
}

func invalid(bad []FieldError) error {
	if len(bad) == 0 {
		return nil
	}
	slices.SortFunc(bad, func(a, b FieldError) int { return strings.Compare(a.Field, b.Field) })
	return &InvalidError{Fields: bad}
}

// AppendRecord appends a record as JSON: id and fields, but for foreign values.
func (e *Entity) AppendRecord(dst []byte, id string, values Values) []byte {
	dst = append(dst, `{"id":`...)
	dst = append(dst, e.IDText(id)...)
	return append(e.appendFields(dst, values, true), '}')
}

// AppendFields appends the JSON object of the fields alone.
func (e *Entity) AppendFields(dst []byte, values Values) []byte {
	dst = append(dst, '{')
	return append(e.appendFields(dst, values, false), '}')
}

func (e *Entity) appendFields(dst []byte, values Values, comma bool) []byte {
	for i, text := range values {
		if _, foreign := IsForeign(text); text == "" || foreign {
			continue
		}
		if comma {
			dst = append(dst, ',')
		}
		comma = true
		dst = append(dst, '"')
		dst = append(dst, e.Fields[i].Name...)
		dst = append(dst, `":`...)
		dst = append(dst, text...)
	}
	return dst
}
