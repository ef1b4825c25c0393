package mapping

import (
	"encoding/json"
	"math"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/afterwrite/afterwrite/schema"
	"github.com/afterwrite/afterwrite/store/internal/kit"
)

// Slot is a Go type that carries a value to the driver, and how to fill it from a
// value's plain text. A zero slot is NULL.
type Slot struct {
	GoType reflect.Type
	Fill   func(at any, plain string) error // at is a pointer to the slot
}

// The slots. Text is parsed by the database itself and so exact for every type
// that the database can parse exactly.
var (
	TextSlot = Slot{reflect.TypeFor[*string](), func(at any, plain string) error {
		*at.(**string) = &plain
		return nil
	}}
	IntSlot = Slot{reflect.TypeFor[*int64](), func(at any, plain string) error {
		n, err := strconv.ParseInt(plain, 10, 64)
		*at.(**int64) = &n
		return err
	}}
	FloatSlot = Slot{reflect.TypeFor[*float64](), func(at any, plain string) error {
		n, err := strconv.ParseFloat(plain, 64)
		*at.(**float64) = &n
		return err
	}}
	BoolSlot = Slot{reflect.TypeFor[*bool](), func(at any, plain string) error {
		b, err := strconv.ParseBool(plain)
		*at.(**bool) = &b
		return err
	}}
	// TimeSlot spells an instant in UTC so that the order of the texts is that of time.
	TimeSlot = Slot{reflect.TypeFor[*string](), func(at any, plain string) error {
		t, err := time.Parse(time.RFC3339Nano, plain)
		text := t.UTC().Format(kit.TimeLayout)
		*at.(**string) = &text
		return err
	}}
	BytesSlot = Slot{reflect.TypeFor[[]byte](), func(at any, plain string) error {
		*at.(*[]byte) = []byte(plain)
		return nil
	}}
)

// PlainText returns a canonical text without its JSON dress: what a slot is filled
// with. It is not called for null.
func PlainText(f *schema.Field, text string) (string, error) {
	switch f.Type {
	case schema.Int, schema.Float, schema.Bool, schema.JSON:
		return text, nil
	case schema.Decimal, schema.Time, schema.UUID:
		return strings.Trim(text, `"`), nil
	}
	v, err := f.Decode(text)
	if err != nil {
		return "", err
	}
	if b, ok := v.([]byte); ok {
		return string(b), nil
	}
	return v.(string), nil
}

// Canonical returns the canonical text of a value that database/sql scanned into a
// string, of whatever type the column is.
func Canonical(f *schema.Field, s string) (string, error) {
	switch f.Type {
	case schema.Int:
		s = whole(s)
		if strings.ContainsAny(s, "eE") { // so a column of floats shows whole numbers, of which it has all to 2^53
			if n, err := strconv.ParseFloat(s, 64); err == nil && n == math.Trunc(n) && math.Abs(n) <= 1<<53 {
				s = strconv.FormatInt(int64(n), 10)
			}
		}
		return f.Encode(json.RawMessage(s))
	case schema.Float, schema.JSON:
		return f.Encode(json.RawMessage(s))
	case schema.Bool:
		if s == "\x00" || s == "\x01" { // MySQL's bit(1)
			s = string('0' + s[0])
		}
		b, err := strconv.ParseBool(s)
		if err != nil {
			return "", err
		}
		return f.Encode(b)
	case schema.Decimal:
		return canonicalDecimal(f, s)
	case schema.Time:
		t, err := parseTime(s)
		if err != nil {
			return "", err
		}
		return f.Encode(t)
	}
	return f.Encode(s)
}

// whole leaves out the fraction of a number that has only zeros in it, as in 1.00.
func whole(number string) string {
	if digits, zeros, ok := strings.Cut(number, "."); ok && strings.Trim(zeros, "0") == "" {
		return digits
	}
	return number
}

// canonicalDecimal also reads what a column of floats gives, such as 1e+06.
func canonicalDecimal(f *schema.Field, s string) (string, error) {
	if strings.ContainsAny(s, "eE") {
		n, err := strconv.ParseFloat(s, 64)
		if err != nil {
			return "", err
		}
		s = strconv.FormatFloat(n, 'f', -1, 64)
	}
	if whole, fraction, ok := strings.Cut(s, "."); ok && len(fraction) > f.Scale {
		// Zeros beyond the field's scale are the column's.
		fraction = fraction[:f.Scale] + strings.TrimRight(fraction[f.Scale:], "0")
		s = strings.TrimSuffix(whole+"."+fraction, ".")
	}
	return f.Encode(s)
}

// EpochMark begins a time that is a number.
const EpochMark = "@"

// parseTime reads a text, or behind epochMark the number of seconds since 1970 that some
// programs write, of milliseconds where it is beyond 10^12.
func parseTime(s string) (time.Time, error) {
	number, ok := strings.CutPrefix(s, EpochMark)
	if !ok {
		return kit.ParseTime(strings.TrimRight(s, " ")) // character(n) pads it
	}
	n, err := strconv.ParseInt(number, 10, 64)
	if n > 1e12 || n < -1e12 {
		return time.UnixMilli(n).UTC(), err
	}
	return time.Unix(n, 0).UTC(), err
}
