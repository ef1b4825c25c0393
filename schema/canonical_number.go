package schema

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// encodeNumber encodes s if it is a number by JSON's grammar, which is narrower than Go's, and otherwise returns the
// error otherwise.
func encodeNumber(s string, encode func(string) (string, error), otherwise error) (string, error) {
	if v := jsontext.Value(s); v.Kind() != jsontext.KindNumber || !v.IsValid() {
		return "", otherwise
	}
	return encode(s)
}

// encodeInt also accepts leading zeros, because an id in a path can have them.
func encodeInt(s string) (string, error) {
	if strings.HasPrefix(s, "+") {
		return "", errNotInt
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if errors.Is(err, strconv.ErrRange) {
		return "", errInt64
	}
	if err != nil {
		return "", errNotInt
	}
	return strconv.FormatInt(n, 10), nil
}

func encodeGoInt(v any) (string, error) {
	switch n := v.(type) {
	case int:
		return strconv.Itoa(n), nil
	case int8, int16, int32, int64, uint8, uint16, uint32:
		return fmt.Sprint(n), nil
	case uint:
		return encodeInt(strconv.FormatUint(uint64(n), 10))
	case uint64:
		return encodeInt(strconv.FormatUint(n, 10))
	case json.Number:
		return encodeNumber(n.String(), encodeInt, errNotInt)
	}
	return "", errNotInt
}

func encodeFloat(s string) (string, error) {
	n, err := strconv.ParseFloat(s, 64)
	if errors.Is(err, strconv.ErrRange) && math.IsInf(n, 0) {
		return "", fmt.Errorf("is beyond a 64-bit float")
	}
	if err != nil && !errors.Is(err, strconv.ErrRange) {
		return "", errNotNumber
	}
	return encodeGoFloat(n)
}

func encodeGoFloat(v any) (string, error) {
	var n float64
	switch x := v.(type) {
	case float64:
		n = x
	case float32:
		n = float64(x)
	case json.Number:
		return encodeNumber(x.String(), encodeFloat, errNotNumber)
	default:
		text, err := encodeGoInt(v)
		if err != nil {
			return "", errNotNumber
		}
		return encodeFloat(text)
	}
	if math.IsNaN(n) || math.IsInf(n, 0) {
		return "", fmt.Errorf("must be a finite number")
	}
	if n == 0 {
		return "0", nil // not every database keeps the sign of zero
	}
	b, err := json.Marshal(n)
	return string(b), err
}

// encodeDecimal pads s to the field's scale. It keeps digits beyond the scale; the check of the field's limits rejects
// them.
func (f *Field) encodeDecimal(s string) (string, error) {
	digits, negative := strings.CutPrefix(s, "-")
	whole, fraction, point := strings.Cut(digits, ".")
	if !onlyDigits(whole) || (point && !onlyDigits(fraction)) {
		return "", errNotDecimal
	}
	whole = strings.TrimLeft(whole, "0")
	if whole == "" {
		whole = "0"
	}
	if pad := f.Scale - len(fraction); pad > 0 {
		fraction += strings.Repeat("0", pad)
	}
	number := whole
	if fraction != "" {
		number += "." + fraction
	}
	if negative && strings.Trim(number, "0.") != "" {
		number = "-" + number
	}
	return `"` + number + `"`, nil
}

func onlyDigits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}
