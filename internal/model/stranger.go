package model

import (
	"database/sql/driver"
	"errors"
	"reflect"
	"slices"
	"strings"

	gormschema "gorm.io/gorm/schema"
)

// strangers names the fields that gorm has no column for. gorm's parser tells the first of
// them alone, and prints it past every logger.
func strangers(typ reflect.Type, within string) []FieldError {
	var bad []FieldError
	for i := range typ.NumField() {
		f := typ.Field(i)
		settings := gormschema.ParseTagSetting(f.Tag.Get("gorm"), ";")
		if _, ignored := settings["-"]; ignored || !f.IsExported() {
			continue
		}
		elem := indirect(f.Type)
		_, embedded := settings["EMBEDDED"]
		switch {
		case (embedded || f.Anonymous) && elem.Kind() == reflect.Struct && !stored(f.Type):
			bad = append(bad, strangers(elem, within+f.Name+".")...)
		case strange(f.Type) && settings["TYPE"] == "" && settings["SERIALIZER"] == "" && settings["JSON"] == "" &&
			!stored(f.Type):
			bad = append(bad, FieldError{within + f.Name, "gorm has no column for a " + f.Type.String() +
				": add a serializer (gorm:\"serializer:json\"), a type with Value and Scan, or gorm:\"-\""})
		}
	}
	return bad
}

func indirect(t reflect.Type) reflect.Type {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return t
}

// strange reports a kind that is neither a column's nor an association's.
func strange(t reflect.Type) bool {
	switch t = indirect(t); t.Kind() {
	case reflect.Slice, reflect.Array:
		elem := indirect(t.Elem())
		return elem.Kind() != reflect.Struct && t.Elem().Kind() != reflect.Uint8
	case reflect.Map, reflect.Func, reflect.Chan, reflect.Interface, reflect.Complex64, reflect.Complex128,
		reflect.UnsafePointer, reflect.Uintptr:
		return true
	}
	return false
}

// stored reports a type that says itself how it is stored.
func stored(t reflect.Type) bool {
	switch reflect.New(indirect(t)).Interface().(type) {
	case driver.Valuer, gormschema.GormDataTypeInterface, gormschema.SerializerInterface:
		return true
	}
	return false
}

// withOthers adds what else cannot be mapped, from a struct of the fields that gorm has
// columns for.
func withOthers(typ reflect.Type, namer gormschema.Namer, bad []FieldError) error {
	var rest []reflect.StructField
	for i := range typ.NumField() {
		f := typ.Field(i)
		named := func(e FieldError) bool { return e.Field == f.Name || strings.HasPrefix(e.Field, f.Name+".") }
		if !f.IsExported() || slices.ContainsFunc(bad, named) || associated(f) {
			continue
		}
		if f.Anonymous { // a struct made at run time cannot embed a type with methods
			f.Anonymous = false
			f.Tag = "gorm:\"embedded\" " + f.Tag
		}
		rest = append(rest, f)
	}
	all := &Error{Type: typ.String(), Fields: bad}
	var others *Error
	if _, err := Parse(reflect.StructOf(rest), namer); errors.As(err, &others) {
		all.Fields = append(all.Fields, others.Fields...)
	}
	return all
}

// associated reports a field that may be an association: a struct of another table, or some.
func associated(f reflect.StructField) bool {
	t := indirect(f.Type)
	if t.Kind() == reflect.Slice {
		t = indirect(t.Elem())
	}
	settings := gormschema.ParseTagSetting(f.Tag.Get("gorm"), ";")
	_, embedded := settings["EMBEDDED"]
	return t.Kind() == reflect.Struct && !f.Anonymous && !embedded && !stored(f.Type) && !t.ConvertibleTo(timeType) &&
		settings["SERIALIZER"] == "" && settings["JSON"] == ""
}
