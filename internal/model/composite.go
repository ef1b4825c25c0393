package model

import (
	"fmt"
	"reflect"

	"github.com/afterwrite/afterwrite/schema"
)

// Key are the values of a composite key, in the order of the model's primary key fields.
type Key []any

// compositeID is [Model.ID] of a composite key. The struct has none yet where a UUID in it is
// zero: that part is made. It has none that can be made where all of it is zero.
func (m *Model) compositeID(record reflect.Value) (string, error) {
	texts, all := make([]string, len(m.Entity.Key())), true
	for n, i := range m.Entity.Key() {
		f := m.fields[i]
		v, zero := f.ValueOf(background, record)
		if zero && f.column.Type == schema.UUID {
			return "", nil
		}
		all = all && zero
		plain, err := f.canonical(v)
		if err == nil {
			texts[n], err = f.column.Canonical(plain)
		}
		if err != nil {
			return "", schema.Invalid(f.column.Name, "%v", err)
		}
	}
	if all {
		return "", schema.Invalid("id", "is missing: every part of the key %s is zero", m.Entity.KeyForm())
	}
	return m.Entity.CanonicalID(m.Entity.KeyID(texts))
}

// canonicalKey is [Model.CanonicalID] of a composite key: v is a Key, a struct of the model
// with its key, or a text.
func (m *Model) canonicalKey(v any) (string, error) {
	switch key := v.(type) {
	case string:
		return m.Entity.CanonicalID(key)
	case Key:
		return m.keyOf(key)
	}
	record := reflect.Indirect(reflect.ValueOf(v))
	if !record.IsValid() || record.Type() != m.Schema.ModelType {
		return "", schema.Invalid("id", "is a %T: give an afterwrite.Key with the values of %s, a %s with its key, or the text",
			v, m.Entity.KeyForm(), m.Schema.ModelType)
	}
	id, err := m.compositeID(addressable(record))
	if err == nil && id == "" {
		err = schema.Invalid("id", "is missing: a part of the key %s is zero", m.Entity.KeyForm())
	}
	return id, err
}

// addressable is a struct as gorm's accessors take it.
func addressable(record reflect.Value) reflect.Value {
	if record.CanAddr() {
		return record
	}
	at := reflect.New(record.Type()).Elem()
	at.Set(record)
	return at
}

func (m *Model) keyOf(key Key) (string, error) {
	fields := m.Entity.Key()
	if len(key) != len(fields) {
		return "", schema.Invalid("id", "has %d values, the key has %d: %s", len(key), len(fields), m.Entity.KeyForm())
	}
	texts := make([]string, len(fields))
	for n, i := range fields {
		f := &m.Entity.Fields[i]
		if key[n] == nil {
			return "", schema.Invalid(f.Name, "is nil, and a part of the key")
		}
		plain, err := m.Value(i, key[n])
		if err != nil {
			return "", err
		}
		if texts[n], err = f.Canonical(plain); err != nil {
			return "", schema.Invalid(f.Name, "%v", err)
		}
	}
	return m.Entity.CanonicalID(m.Entity.KeyID(texts))
}

// setKey puts the parts of a canonical id into a struct.
func (m *Model) setKey(record reflect.Value, id string) error {
	texts, err := m.Entity.KeyValues(id)
	if err != nil {
		return fmt.Errorf("id %q: %w", id, err)
	}
	for n, i := range m.Entity.Key() {
		if err := m.SetValue(record, i, texts[n]); err != nil {
			return fmt.Errorf("id %q: %w", id, err)
		}
	}
	return nil
}
