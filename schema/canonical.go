package schema

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/uuid"
)

var (
	errNUL       = errors.New("contains a NUL character (U+0000)")
	errUTF8      = errors.New("is not valid UTF-8")
	errNotString = errors.New("is not a valid JSON string")

	errNotText    = errors.New("must be a string")
	errNotBool    = errors.New("must be true or false")
	errNotNumber  = errors.New("must be a number")
	errNotInt     = errors.New("must be a whole number")
	errInt64      = errors.New("is beyond 64 bits")
	errNotDecimal = errors.New(`must be a string of digits, such as "12.50"`)
	errNotTime    = errors.New(`must be an RFC 3339 time, such as "2026-01-31T12:00:00Z"`)
	errFiner      = errors.New("is finer than a microsecond")
	errNotBase64  = errors.New("must be a base64 string with padding")
	errNotUUID    = errors.New(`must be a UUID, such as "018f4e7a-3b5c-7d2e-9f10-1a2b3c4d5e6f"`)
)

// Encode is [Field.Canonical] without the field's limits, for rows of other programs. Pass a json column as a
// json.RawMessage.
func (f *Field) Encode(v any) (string, error) {
	if raw, ok := v.(json.RawMessage); ok {
		return f.encodeRaw(bytes.Trim(raw, " \t\r\n"))
	}
	if v == nil {
		return Null, nil
	}
	switch f.Type {
	case String, Text:
		if s, ok := v.(string); ok {
			return quote(s)
		}
		return "", errNotText
	case Int:
		return encodeGoInt(v)
	case Float:
		return encodeGoFloat(v)
	case Decimal:
		if s, ok := v.(string); ok {
			return f.encodeDecimal(s)
		}
		return "", errNotDecimal
	case Bool:
		if b, ok := v.(bool); ok {
			return strconv.FormatBool(b), nil
		}
		return "", errNotBool
	case Time:
		switch t := v.(type) {
		case time.Time:
			return f.encodeTime(t)
		case string:
			return f.parseTime(t)
		}
		return "", errNotTime
	case Bytes:
		switch b := v.(type) {
		case []byte:
			return `"` + base64.StdEncoding.EncodeToString(b) + `"`, nil
		case string:
			return encodeBase64(b)
		}
		return "", errNotBase64
	case UUID:
		switch u := v.(type) {
		case uuid.UUID:
			return `"` + u.String() + `"`, nil
		case string:
			return encodeUUID(u)
		}
		return "", errNotUUID
	default:
		return encodeGoJSON(v)
	}
}

func (f *Field) encodeRaw(raw []byte) (string, error) {
	if string(raw) == Null {
		return Null, nil
	}
	if len(raw) == 0 {
		return "", fmt.Errorf("is not JSON")
	}
	quoted := raw[0] == '"'
	switch f.Type {
	case JSON:
		return encodeJSON(raw)
	case Int:
		return encodeNumber(string(raw), encodeInt, errNotInt)
	case Float:
		return encodeNumber(string(raw), encodeFloat, errNotNumber)
	case Bool:
		if s := string(raw); s == "true" || s == "false" {
			return s, nil
		}
		return "", errNotBool
	}
	if !quoted {
		switch f.Type {
		case Decimal:
			return "", errNotDecimal
		case Time:
			return "", errNotTime
		case Bytes:
			return "", errNotBase64
		case UUID:
			return "", errNotUUID
		}
		return "", errNotText
	}
	if (f.Type == String || f.Type == Text) && plain(raw) {
		return string(raw), nil
	}
	s, err := jsontext.AppendUnquote(nil, raw)
	if err != nil {
		return "", errNotString
	}
	return f.Encode(string(s))
}

// Decode returns the Go value of a canonical text as drivers take it: nil, string, int64, float64, bool, time.Time,
// []byte.
func (f *Field) Decode(text string) (any, error) {
	if text == Null || text == "" {
		return nil, nil
	}
	switch f.Type {
	case String, Text:
		return unquote(text)
	case JSON:
		return text, nil
	case Int:
		return strconv.ParseInt(text, 10, 64)
	case Float:
		return strconv.ParseFloat(text, 64)
	case Bool:
		return strconv.ParseBool(text)
	}
	s := strings.Trim(text, `"`)
	switch f.Type {
	case Time:
		return time.Parse(time.RFC3339Nano, s)
	case Bytes:
		return base64.StdEncoding.DecodeString(s)
	}
	return s, nil
}
