package model

import (
	"database/sql"
	"database/sql/driver"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"time"

	"github.com/google/uuid"

	"github.com/afterwrite/afterwrite/schema"
)

var timeType = reflect.TypeFor[time.Time]()

// driverValue returns the value that database/sql would hand to a driver for v.
func driverValue(v any) (driver.Value, error) {
	if _, ok := v.(driver.Valuer); !ok {
		rv := reflect.ValueOf(v)
		for rv.Kind() == reflect.Pointer {
			if rv.IsNil() {
				return nil, nil
			}
			if rv = rv.Elem(); rv.Type().Implements(reflect.TypeFor[driver.Valuer]()) {
				break
			}
		}
		if !rv.IsValid() {
			return nil, nil
		}
		switch {
		case rv.Kind() == reflect.Array && rv.Type().Elem().Kind() == reflect.Uint8 && !isValuer(rv):
			b := make([]byte, rv.Len())
			reflect.Copy(reflect.ValueOf(b), rv)
			return b, nil
		case rv.Type().ConvertibleTo(timeType) && !isValuer(rv):
			return rv.Convert(timeType).Interface(), nil
		}
	}
	value, err := driver.DefaultParameterConverter.ConvertValue(v)
	if b, ok := value.([]byte); ok && b == nil {
		return nil, err // drivers write it as NULL
	}
	return value, err
}

func isValuer(v reflect.Value) bool {
	_, ok := v.Interface().(driver.Valuer)
	return ok
}

// canonical returns a driver's value in a form that [schema.Field.Canonical] takes for the
// field. bits is the size of the Go float: 0.1 as a decimal is 0.1, whatever its size.
func canonical(f *schema.Field, v driver.Value, bits int) (any, error) {
	if v == nil {
		return nil, nil
	}
	if b, ok := v.([]byte); ok && f.Type != schema.Bytes && f.Type != schema.UUID {
		v = string(b)
	}
	switch f.Type {
	case schema.JSON:
		if s, ok := v.(string); ok {
			return json.RawMessage(s), nil
		}
	case schema.String, schema.Text:
		return text(v, bits)
	case schema.Decimal:
		return text(v, bits)
	case schema.Time:
		if t, ok := v.(time.Time); ok {
			return f.Instant(t), nil
		}
	case schema.Bytes:
		if s, ok := v.(string); ok {
			return []byte(s), nil
		}
	case schema.UUID:
		if b, ok := v.([]byte); ok && len(b) == 16 {
			return uuid.UUID(b), nil
		} else if ok {
			return string(b), nil
		}
	case schema.Bool:
		if n, ok := v.(int64); ok && (n == 0 || n == 1) {
			return n == 1, nil
		}
	case schema.Int:
		switch n := v.(type) {
		case bool:
			if n {
				return int64(1), nil
			}
			return int64(0), nil
		case string:
			return json.RawMessage(n), nil
		}
	case schema.Float:
		switch n := v.(type) {
		case int64:
			return float64(n), nil
		case string:
			return json.RawMessage(n), nil
		}
	}
	return v, nil
}

func text(v driver.Value, bits int) (any, error) {
	switch v := v.(type) {
	case string:
		return v, nil
	case int64:
		return strconv.FormatInt(v, 10), nil
	case float64:
		return strconv.FormatFloat(v, 'f', -1, max(32, min(64, bits))), nil
	case bool:
		return strconv.FormatBool(v), nil
	}
	return nil, fmt.Errorf("is a %T, not a text", v)
}

// scan puts a driver's value where dest points, as database/sql does.
func scan(dest any, v driver.Value) error {
	if s, ok := dest.(sql.Scanner); ok {
		return scanner(s, v)
	}
	at := reflect.ValueOf(dest).Elem()
	if v == nil {
		at.SetZero()
		return nil
	}
	if at.Kind() == reflect.Pointer {
		at.Set(reflect.New(at.Type().Elem()))
		return scan(at.Interface(), v)
	}
	return assign(at, v)
}

// scanner gives a Scanner the value as a string or as bytes, whichever it takes: drivers
// differ there.
func scanner(s sql.Scanner, v driver.Value) error {
	err := s.Scan(v)
	if err == nil {
		return nil
	}
	switch v := v.(type) {
	case string:
		if s.Scan([]byte(v)) == nil {
			return nil
		}
	case []byte:
		if s.Scan(string(v)) == nil {
			return nil
		}
	}
	return err
}

var errKind = errors.New("does not fit")

func assign(at reflect.Value, v driver.Value) error {
	switch kind := at.Kind(); {
	case at.Type() == timeType || at.Type().ConvertibleTo(timeType):
		if t, ok := v.(time.Time); ok {
			at.Set(reflect.ValueOf(t).Convert(at.Type()))
			return nil
		}
	case kind == reflect.String:
		switch s := v.(type) {
		case string:
			at.SetString(s)
			return nil
		case []byte:
			at.SetString(string(s))
			return nil
		}
	case kind == reflect.Bool:
		switch b := v.(type) {
		case bool:
			at.SetBool(b)
			return nil
		case int64:
			at.SetBool(b != 0)
			return nil
		}
	case at.CanInt():
		if n, err := strconv.ParseInt(fmt.Sprint(v), 10, 64); err == nil && !at.OverflowInt(n) {
			at.SetInt(n)
			return nil
		}
	case at.CanUint():
		if n, err := strconv.ParseUint(fmt.Sprint(v), 10, 64); err == nil && !at.OverflowUint(n) {
			at.SetUint(n)
			return nil
		}
	case at.CanFloat():
		if n, err := strconv.ParseFloat(fmt.Sprint(v), 64); err == nil {
			at.SetFloat(n)
			return nil
		}
	case kind == reflect.Slice && at.Type().Elem().Kind() == reflect.Uint8:
		switch b := v.(type) {
		case []byte:
			at.SetBytes(append(make([]byte, 0, len(b)), b...))
			return nil
		case string:
			at.SetBytes([]byte(b))
			return nil
		}
	case kind == reflect.Array && at.Type().Elem().Kind() == reflect.Uint8:
		if b := arrayBytes(v, at.Len()); len(b) == at.Len() {
			reflect.Copy(at, reflect.ValueOf(b))
			return nil
		}
	}
	return fmt.Errorf("%T %w a %s", v, errKind, at.Type())
}

// arrayBytes are those of an array of n bytes; sixteen may be spelt as a UUID.
func arrayBytes(v driver.Value, n int) []byte {
	switch b := v.(type) {
	case []byte:
		return b
	case string:
		if u, err := uuid.Parse(b); err == nil && n == 16 {
			return u[:]
		}
		return []byte(b)
	}
	return nil
}
