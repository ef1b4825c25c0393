package schema

import (
	"encoding/json"
	"fmt"
	"math"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// FieldType is the type of a field's values.
type FieldType string

// The types of fields; [Field.Canonical] says which values they take.
const (
	String  FieldType = "string"
	Text    FieldType = "text"
	Int     FieldType = "int"
	Float   FieldType = "float"
	Decimal FieldType = "decimal"
	Bool    FieldType = "bool"
	Time    FieldType = "time"
	JSON    FieldType = "json"
	Bytes   FieldType = "bytes"
	UUID    FieldType = "uuid"
)

// FieldTypes lists every type.
var FieldTypes = []FieldType{String, Text, Int, Float, Decimal, Bool, Time, JSON, Bytes, UUID}

// Field is one field of an entity and the column that stores it.
type Field struct {
	Name         string
	Column       string
	Type         FieldType
	Required     bool   // null is rejected
	Unique       bool   // has a unique index
	UniqueWhere  string // SQL condition of Unique: among the rows that meet it
	Default      string // JSON text used where the field is absent; "" is null
	MaxLength    int    // code points of a string, text or json field, bytes of a bytes field; 0 is no limit
	Min, Max     string // bounds of an int, float or decimal field as a JSON number; "" is no bound
	Precision    int    // digits of a decimal; of a time those of its second: 1 to 5, 0: all six, [WholeSeconds]: none
	Scale        int    // digits of a decimal after its point
	References   string // entity whose id this field holds, or ""
	RenamedFrom  string // name that the field had before, or ""
	Redact       bool   // hidden from pages, logs and dead letter listings
	FromDatabase bool   // the database rounds, computes or replaces the value, and the flush reads it back

	min, max  *big.Rat
	low, high int64 // IntBounds of an int field
}

// WholeSeconds is the Precision of a time without digits after its second.
const WholeSeconds = -1

// secondDigits are those of a microsecond, the finest that a time has.
const secondDigits = 6

// SecondDigits returns how many digits of a second a time field has.
func (f *Field) SecondDigits() int {
	switch f.Precision {
	case 0:
		return secondDigits
	case WholeSeconds:
		return 0
	}
	return f.Precision
}

// Instant rounds a time to the field's digits, half of the last one up.
func (f *Field) Instant(t time.Time) time.Time {
	unit := time.Second
	for range f.SecondDigits() {
		unit /= 10
	}
	t = t.UTC().Truncate(time.Microsecond)
	if unit == time.Microsecond {
		return t
	}
	return t.Round(unit)
}

func (f *Field) init() error {
	if !ValidName(f.Name) || slices.Contains(Reserved, f.Name) {
		return fmt.Errorf("a name is a to z, then a to z, 0 to 9 and _, and none of %v", Reserved)
	}
	setDefault(&f.Column, f.Name)
	if !sqlName(f.Column) {
		return fmt.Errorf("column: %q is not 1 to %d bytes of printable text", f.Column, MaxNameBytes)
	}
	if !slices.Contains(FieldTypes, f.Type) {
		return fmt.Errorf("type: %q is not one of %v", f.Type, FieldTypes)
	}
	if f.Type == Decimal && f.Precision == 0 {
		f.Precision = 38
		if f.Scale == 0 {
			f.Scale = 2
		}
	}
	if f.Type == Decimal && (f.Precision < 1 || f.Precision > 1000 || f.Scale < 0 || f.Scale > f.Precision) {
		return fmt.Errorf("precision must be from 1 to 1000 and scale from 0 to precision")
	}
	if f.Type == Time && (f.Precision < WholeSeconds || f.Precision > secondDigits || f.Scale != 0) {
		return fmt.Errorf("precision of a time is from 0 to 6")
	}
	if f.Type != Decimal && f.Type != Time && (f.Precision != 0 || f.Scale != 0) {
		return fmt.Errorf("precision and scale are for decimal fields")
	}
	if f.RenamedFrom != "" && (!ValidName(f.RenamedFrom) || f.RenamedFrom == f.Name) {
		return fmt.Errorf("renamed_from: %q is not another name", f.RenamedFrom)
	}
	if f.UniqueWhere != "" && (!f.Unique || strings.ContainsAny(f.UniqueWhere, ";\x00")) {
		return fmt.Errorf("unique.where: %q is not one condition in SQL", f.UniqueWhere)
	}
	if f.Unique && f.Type == JSON {
		return fmt.Errorf("unique: texts of json have no one form to compare")
	}
	if err := f.initBounds(); err != nil {
		return err
	}
	if f.Default == "" {
		return nil
	}
	text, err := f.Canonical(json.RawMessage(f.Default))
	if err != nil {
		return fmt.Errorf("default: %w", err)
	}
	f.Default = text
	return nil
}

func (f *Field) initBounds() error {
	if f.MaxLength < 0 || (f.MaxLength > 0 && !slices.Contains([]FieldType{String, Text, JSON, Bytes}, f.Type)) {
		return fmt.Errorf("max: a length is for string, text, json and bytes fields")
	}
	numeric := f.Type == Int || f.Type == Float || f.Type == Decimal
	bound := func(name, text string) (*big.Rat, error) {
		if text == "" {
			return nil, nil
		}
		r, ok := new(big.Rat).SetString(text)
		if !ok || !numeric {
			return nil, fmt.Errorf("%s: %q does not bound a field of type %s", name, text, f.Type)
		}
		return r, nil
	}
	var err error
	if f.min, err = bound("min", f.Min); err != nil {
		return err
	}
	if f.max, err = bound("max", f.Max); err != nil {
		return err
	}
	if f.min != nil && f.max != nil && f.min.Cmp(f.max) > 0 {
		return fmt.Errorf("min: %s is greater than max %s", f.Min, f.Max)
	}
	f.low, f.high = f.IntBounds()
	return nil
}

// IntBounds returns the least and the greatest value of an int field.
func (f *Field) IntBounds() (low, high int64) {
	low, high = math.MinInt64, math.MaxInt64
	if f.min != nil {
		low = ratCeil(f.min)
	}
	if f.max != nil {
		high = ratFloor(f.max)
	}
	return low, high
}

func ratFloor(r *big.Rat) int64 { return clampInt64(floor(r)) }

func ratCeil(r *big.Rat) int64 {
	q := floor(new(big.Rat).Neg(r))
	return clampInt64(q.Neg(q))
}

// floor rounds downwards: Euclidean division does so, because the denominator of a Rat is positive.
func floor(r *big.Rat) *big.Int { return new(big.Int).Div(r.Num(), r.Denom()) }

func clampInt64(n *big.Int) int64 {
	switch {
	case n.IsInt64():
		return n.Int64()
	case n.Sign() < 0:
		return math.MinInt64
	}
	return math.MaxInt64
}

// Canonical returns the canonical JSON text of a value for this field, or an error (without the field's name) that says
// why the field does not accept it. The text makes a value identical in the answer, in Redis and in every database.
//
// v is a [json.RawMessage] as a request carries it, or a Go value: nil, string, bool, any integer, float64, []byte,
// [time.Time], or for a json field anything that encoding/json can marshal.
//
//	string, text  a JSON string with the fewest escapes; no NUL
//	int           a JSON number of 64 bits
//	float         a JSON number, the shortest that reads back as the same float64
//	decimal       a JSON string, padded to the scale
//	bool          true or false
//	time          a JSON string: RFC 3339 in UTC, at most microseconds
//	json          the JSON text, unchanged
//	bytes         a JSON string: base64 with padding
//	uuid          a JSON string: 36 lower-case characters
//
// Null is accepted for every type; [Entity.Whole] and [Entity.Partial] check whether the field allows it.
func (f *Field) Canonical(v any) (string, error) {
	text, err := f.Encode(v)
	if err != nil || text == Null {
		return text, err
	}
	return text, f.checkLimits(text)
}

func (f *Field) checkLimits(text string) error {
	switch f.Type {
	case String, Text:
		if f.MaxLength > 0 && len(text)-2 > f.MaxLength {
			s, err := unquote(text)
			if err != nil {
				return err
			}
			if n := utf8.RuneCountInString(s); n > f.MaxLength {
				return fmt.Errorf("is too long: %d characters, at most %d", n, f.MaxLength)
			}
		}
	case JSON:
		if f.MaxLength > 0 && len(text) > f.MaxLength {
			if n := utf8.RuneCountInString(text); n > f.MaxLength {
				return fmt.Errorf("is too long: %d characters, at most %d", n, f.MaxLength)
			}
		}
	case Bytes:
		if n := base64Size(text); f.MaxLength > 0 && n > f.MaxLength {
			return fmt.Errorf("is too long: %d bytes, at most %d", n, f.MaxLength)
		}
	case Decimal:
		return f.checkDecimal(strings.Trim(text, `"`))
	case Int, Float:
		return f.checkRange(text)
	}
	return nil
}

func (f *Field) checkRange(number string) error {
	if f.min == nil && f.max == nil {
		return nil
	}
	if f.Type == Int { // the common case, without big.Rat; the rest of the function makes the message
		if n, err := strconv.ParseInt(number, 10, 64); err == nil && f.low <= n && n <= f.high {
			return nil
		}
	}
	r, ok := new(big.Rat).SetString(number)
	switch {
	case !ok:
		return fmt.Errorf("is not a number")
	case f.min != nil && r.Cmp(f.min) < 0:
		return fmt.Errorf("is too small: %s, at least %s", number, f.Min)
	case f.max != nil && r.Cmp(f.max) > 0:
		return fmt.Errorf("is too large: %s, at most %s", number, f.Max)
	}
	return nil
}

func (f *Field) checkDecimal(digits string) error {
	whole, fraction, _ := strings.Cut(strings.TrimPrefix(digits, "-"), ".")
	if len(fraction) > f.Scale {
		return fmt.Errorf("has %d digits after the point, at most %d", len(fraction), f.Scale)
	}
	if n := len(strings.TrimLeft(whole, "0")); n > f.Precision-f.Scale {
		return fmt.Errorf("has %d digits before the point, at most %d", n, f.Precision-f.Scale)
	}
	return f.checkRange(digits)
}
