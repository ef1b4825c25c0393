package schema

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// A composite key is two or more columns that name a record together. Each is a field of the entity, and the record's
// id is one text of all of them: the canonical texts of the fields in the key's order, with "~" between two. ASCII
// letters and digits, the characters - _ . : @ and everything beyond ASCII stay as they are; every other byte of a
// part is "=" and two upper-case hexadecimal digits. So "~" and "=" have no other meaning, different keys have
// different ids, and an id is the same before and after a proxy that decodes or normalises a path.
//
//	tenant 7, number 42                        7~42
//	"acme", "a/b"                              acme~a=2Fb
//	"", "é"                                    ~é
//	42, 2026-01-31T12:00:00Z                   42~2026-01-31T12:00:00Z

// keyTypes are the types that a part of a composite key can have: each value has one text, and databases compare it
// exactly.
var keyTypes = []FieldType{String, Text, Int, Time, UUID}

// Composite reports whether the id is a key of two columns or more.
func (id ID) Composite() bool { return len(id.Columns) > 0 }

// Key returns the positions of the key's fields, in its order; nil: not composite.
func (e *Entity) Key() []int { return e.key }

// KeyColumns returns the columns that hold the id.
func (e *Entity) KeyColumns() []string {
	if e.ID.Composite() {
		return e.ID.Columns
	}
	return []string{e.ID.Column}
}

// addKey gives each column of a composite key its field. One that no field has is a field of the type of the id.
func (e *Entity) addKey() error {
	if !e.ID.Composite() {
		return nil
	}
	if n := len(e.ID.Columns); e.ID.Column != "" || n < 2 || n > MaxKeyColumns {
		return fmt.Errorf("id.columns: a key has 2 to %d columns, and then there is no id.column", MaxKeyColumns)
	}
	if slices.ContainsFunc(e.Fields, func(f Field) bool { return f.Name == "id" }) {
		return fmt.Errorf("fields.id: the member id of a record is its whole key; name the field of the column id otherwise, "+
			"as in %s_id: {column: id, type: int}", e.Name)
	}
	var made []Field
	columns := slices.Clone(e.ID.Columns)
	for n, column := range columns {
		i := e.keyField(column)
		if i >= 0 {
			columns[n] = cmp.Or(e.Fields[i].Column, e.Fields[i].Name)
			continue
		}
		f := Field{Name: column, Column: column, Type: e.ID.Type}
		if !ValidName(f.Name) || slices.Contains(Reserved, f.Name) {
			f.Name = e.Name + "_" + strings.ToLower(column) // the member "id" is the whole key
		}
		if !ValidName(f.Name) {
			return fmt.Errorf("id.columns: no field has the column %q: give it one, as in key_%d: {column: %[1]q, type: int}",
				column, n+1)
		}
		made = append(made, f)
	}
	e.ID.Columns = columns
	if len(made) > 0 {
		e.Fields = append(made, e.Fields...)
	}
	return nil
}

// keyField returns the field of a column that the key names: by its column, or else by its name.
func (e *Entity) keyField(column string) int {
	i := slices.IndexFunc(e.Fields, func(f Field) bool { return cmp.Or(f.Column, f.Name) == column })
	if i < 0 {
		i = slices.IndexFunc(e.Fields, func(f Field) bool { return f.Name == column })
	}
	return i
}

// initKey checks the fields of a composite key, which are complete, and notes where they are.
func (e *Entity) initKey() error {
	e.key = nil
	for _, column := range e.ID.Columns {
		i := slices.IndexFunc(e.Fields, func(f Field) bool { return f.Column == column })
		f := &e.Fields[i]
		switch {
		case slices.Contains(e.key, i):
			return fmt.Errorf("id.columns: %q is there twice", column)
		case !slices.Contains(keyTypes, f.Type):
			return fmt.Errorf("id.columns: the field %s is of type %s; a part of a key is one of %v", f.Name, f.Type,
				keyTypes)
		case f.Default != "":
			return fmt.Errorf("fields.%s: default: a part of the key has none, for the id names it", f.Name)
		case f.FromDatabase:
			return fmt.Errorf("fields.%s: from: a part of the key is what the request names, not the database's", f.Name)
		case f.Redact:
			return fmt.Errorf("fields.%s: redact: the id shows what is a part of the key", f.Name)
		case f.UniqueWhere != "":
			return fmt.Errorf("fields.%s: unique.where: a part of the key has no condition", f.Name)
		}
		f.Required = true
		e.key = append(e.key, i)
	}
	if e.ID.Composite() {
		e.ID.Type = String // of the text that is the id
	}
	return nil
}

// canonicalKey is [Entity.CanonicalID] of a composite key.
func (e *Entity) canonicalKey(id string) (string, error) {
	texts, err := e.KeyValues(id)
	if err != nil {
		return "", err
	}
	canonical := e.KeyID(texts)
	if len(canonical) > e.ID.Max {
		return "", Invalid("id", "is too long: %d bytes, at most %d", len(canonical), e.ID.Max)
	}
	return canonical, nil
}

// KeyValues returns the canonical texts of the parts of a composite id.
func (e *Entity) KeyValues(id string) ([]string, error) {
	if len(id) > 3*MaxIDBytes { // every byte of the longest id may be escaped
		return nil, Invalid("id", "is too long: %d bytes, at most %d", len(id), e.ID.Max)
	}
	parts := strings.Split(id, keySeparator)
	if len(parts) != len(e.key) {
		return nil, Invalid("id", "has %d parts, the key has %d: %s", len(parts), len(e.key), e.KeyForm())
	}
	texts := make([]string, len(parts))
	for n, part := range parts {
		f := &e.Fields[e.key[n]]
		text, err := unescapeKey(part)
		if err == nil {
			texts[n], err = f.keyText(text)
		}
		if err != nil {
			return nil, Invalid("id", "%s, part %d of %s: %v", f.Name, n+1, e.KeyForm(), err)
		}
	}
	return texts, nil
}

// KeyForm spells a composite id with the names of its fields.
func (e *Entity) KeyForm() string {
	names := make([]string, len(e.key))
	for n, i := range e.key {
		names[n] = e.Fields[i].Name
	}
	return strings.Join(names, keySeparator)
}

// keyText returns the canonical JSON text of a part of a key.
func (f *Field) keyText(part string) (text string, err error) {
	if f.Type == Int {
		text, err = encodeInt(part)
	} else {
		text, err = f.Encode(part)
	}
	if err != nil {
		return "", err
	}
	return text, f.checkLimits(text)
}
