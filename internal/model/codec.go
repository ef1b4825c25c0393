package model

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"reflect"
	"time"

	gormschema "gorm.io/gorm/schema"

	"github.com/afterwrite/afterwrite/schema"
)

// Fields returns the fields of a record as a producer takes them. The error is an
// InvalidError that names every field at fault by its name in the entity.
//
// A zero value of a field that has a default is left out, so that the default takes its
// place, as in gorm. Times lose what is finer than their columns keep.
func (m *Model) Fields(record reflect.Value) (schema.Fields, error) {
	fields := make(schema.Fields, len(m.fields))
	var bad []schema.FieldError
	for _, f := range m.associations {
		if v := reflect.Indirect(f.ReflectValueOf(background, record)); v.IsValid() && !empty(v) {
			bad = append(bad,
				schema.FieldError{Field: f.Name, Reason: "is an association, which is not written here: " +
					"write its records to their own table, and leave it empty"})
		}
	}
	for _, f := range m.fields {
		v, zero := f.ValueOf(background, record)
		if f.readOnly || zero && (f.omitted || f.PrimaryKey && f.column.Type == schema.UUID) { // it is made
			continue
		}
		value, err := f.canonical(v)
		if err != nil {
			bad = append(bad, schema.FieldError{Field: f.column.Name, Reason: err.Error()})
			continue
		}
		fields[f.column.Name] = value
	}
	if len(bad) > 0 {
		return nil, &schema.InvalidError{Fields: bad}
	}
	return fields, nil
}

func empty(v reflect.Value) bool {
	switch v.Kind() {
	case reflect.Slice, reflect.Map:
		return v.Len() == 0
	}
	return v.IsZero()
}

// canonical returns a Go value in a form that the field's column takes.
func (f *field) canonical(v any) (any, error) {
	plain, err := driverValue(v)
	if err != nil {
		return nil, err
	}
	return canonical(f.column, plain, f.Size)
}

// Value returns the form that a producer takes of a value for one field, given as the
// struct's own type, or as anything that gorm would set the field to.
func (m *Model) Value(i int, v any) (any, error) {
	f := m.fields[i]
	if err := strict(f.Field, v); err != nil {
		return nil, schema.Invalid(f.column.Name, "%v", err)
	}
	record := reflect.New(m.Schema.ModelType).Elem()
	if err := f.Set(background, record, v); err != nil {
		return nil, schema.Invalid(f.column.Name, "cannot be set to a %T", v)
	}
	value, _ := f.ValueOf(background, record)
	plain, err := f.canonical(value)
	if err != nil {
		return nil, schema.Invalid(f.column.Name, "%v", err)
	}
	return plain, nil
}

// Record puts a record's id and canonical values into a struct, which should be zero. An
// absent value leaves its field as it is.
func (m *Model) Record(record reflect.Value, id string, values schema.Values) error {
	if err := m.SetID(record, id); err != nil {
		return err
	}
	if len(values) != len(m.fields) {
		return fmt.Errorf("record %q has %d values, its entity %s %d fields", id, len(values), m.Entity.Name,
			len(m.fields))
	}
	for i, text := range values {
		if err := m.SetValue(record, i, text); err != nil {
			return fmt.Errorf("record %q: %w", id, err)
		}
	}
	return nil
}

// SetValue puts one canonical value into a struct.
func (m *Model) SetValue(record reflect.Value, i int, text string) error {
	f := m.fields[i]
	if text == "" || text == schema.Undecided || !f.Readable {
		return nil
	}
	plain, err := f.column.Decode(text)
	if err != nil {
		return fmt.Errorf("field %s: %w", f.name, err)
	}
	if s, ok := plain.(string); ok && f.column.Type == schema.JSON {
		plain = []byte(s)
	}
	if err := set(f.Field, record, plain); err != nil {
		return fmt.Errorf("field %s: %w", f.name, err)
	}
	return nil
}

// set gives a driver's value to gorm as its rows do.
func set(f *gormschema.Field, record reflect.Value, v any) error {
	dest := f.NewValuePool.Get()
	defer f.NewValuePool.Put(dest)
	if err := scan(dest, v); err != nil {
		return err
	}
	err := f.Set(background, record, dest)
	if s, ok := v.(string); ok && err != nil && f.Serializer != nil { // some take bytes alone
		if scan(dest, []byte(s)) == nil && f.Set(background, record, dest) == nil {
			return nil
		}
	}
	return err
}

// Stamp sets the times that gorm sets by itself, in the struct: those of the creation where
// they are zero, those of the last update always if again, else where they are zero.
func (m *Model) Stamp(record reflect.Value, at time.Time, again bool) error {
	at = at.UTC().Truncate(time.Microsecond)
	for _, f := range m.fields {
		kind := f.AutoCreateTime
		if kind == 0 {
			kind = f.AutoUpdateTime
		}
		if kind == 0 || f.readOnly {
			continue
		}
		if _, zero := f.ValueOf(background, record); !zero && (f.AutoUpdateTime == 0 || !again) {
			continue
		}
		if err := f.Set(background, record, stamp(f.Field, kind, at)); err != nil {
			return fmt.Errorf("field %s: %w", f.name, err)
		}
	}
	return nil
}

func stamp(f *gormschema.Field, kind gormschema.TimeType, at time.Time) any {
	switch {
	case f.GORMDataType == gormschema.Time || kind == gormschema.UnixTime:
		return at
	case kind == gormschema.UnixNanosecond:
		return at.UnixNano()
	case kind == gormschema.UnixMillisecond:
		return at.UnixMilli()
	}
	return at.Unix()
}

// Updated lists the positions of the fields that tell the time of the last update, with the
// value that one of now has.
func (m *Model) Updated(at time.Time) map[int]any {
	at = at.UTC().Truncate(time.Microsecond)
	times := map[int]any{}
	for i, f := range m.fields {
		if f.AutoUpdateTime > 0 && !f.readOnly {
			times[i] = stamp(f.Field, f.AutoUpdateTime, at)
		}
	}
	return times
}

// Name is the name of a field in the entity.
func (m *Model) Name(i int) string { return m.fields[i].column.Name }

// strict refuses what gorm's setters would change without a word: a fraction set to a whole
// number, a text that is neither true nor false.
func strict(f *gormschema.Field, v any) error {
	from, kind := reflect.ValueOf(v), f.IndirectFieldType.Kind()
	whole := kind >= reflect.Int && kind <= reflect.Uint64
	switch {
	case whole && from.CanFloat() && from.Float() != math.Trunc(from.Float()):
		return errors.New("must be a whole number")
	case whole && from.Kind() == reflect.String, kind == reflect.Bool && from.Kind() == reflect.String:
		return fmt.Errorf("cannot be set to a %T", v)
	case whole && from.CanInt() && kind < reflect.Uint && reflect.Zero(f.IndirectFieldType).OverflowInt(from.Int()),
		whole && from.CanInt() && kind >= reflect.Uint && (from.Int() < 0 ||
			reflect.Zero(f.IndirectFieldType).OverflowUint(uint64(from.Int()))):
		return fmt.Errorf("%d does not fit a %s", v, f.IndirectFieldType)
	}
	return nil
}

// Settle puts into a struct what acceptance made of its values: defaults, and times with the digits that their
// columns keep.
func (m *Model) Settle(record reflect.Value) error {
	for i, f := range m.fields {
		v, zero := f.ValueOf(background, record)
		if zero && f.omitted && f.column.Default != "" {
			if err := m.SetValue(record, i, f.column.Default); err != nil {
				return err
			}
		}
		t, ok := v.(time.Time)
		if kept := f.column.Instant(t); ok && f.column.Type == schema.Time && !kept.Equal(t) {
			if err := f.Set(background, record, kept.In(t.Location())); err != nil {
				return fmt.Errorf("field %s: %w", f.name, err)
			}
		}
	}
	return nil
}

// Digest tells a record's values from others. It leaves out the times that are set by
// themselves, which differ when a write is repeated.
func (m *Model) Digest(record reflect.Value) (string, error) {
	fields, err := m.Fields(record)
	if err != nil {
		return "", err
	}
	h := sha256.New()
	for _, f := range m.fields {
		if f.AutoCreateTime > 0 || f.AutoUpdateTime > 0 {
			continue
		}
		_, _ = fmt.Fprintf(h, "%q,", fmt.Sprint(fields[f.column.Name]))
	}
	return hex.EncodeToString(h.Sum(nil)[:16]), nil
}

// NameAt returns the path of the struct's field that at points to.
func NameAt(record any, at reflect.Value) (string, bool) {
	if at.Kind() != reflect.Pointer || at.IsNil() {
		return "", false
	}
	return nameAt(reflect.ValueOf(record).Elem(), at, "")
}

func nameAt(within, at reflect.Value, path string) (string, bool) {
	for i := range within.NumField() {
		f, typ := within.Field(i), within.Type().Field(i)
		if f.Addr().Pointer() == at.Pointer() && f.Type() == at.Type().Elem() {
			return path + typ.Name, true
		}
		if f.Kind() == reflect.Struct {
			if name, ok := nameAt(f, at, path+typ.Name+"."); ok {
				return name, true
			}
		}
	}
	return "", false
}
