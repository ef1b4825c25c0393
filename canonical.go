package afterwrite

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	jsonv2 "github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	jsonv1 "github.com/go-json-experiment/json/v1"
	"github.com/google/uuid"
)

// MaxJSONDepth bounds how deep the value of a json field may nest: databases
// refuse what is deeper than their parser's stack.
const MaxJSONDepth = 512

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

// Encode returns the canonical JSON text of a value as [Field.Canonical] does, but
// without the field's limits: a row that another program wrote is read as it is.
// The text of a json column is passed as a [json.RawMessage]; a Go string would
// become a JSON string.
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
			return encodeTime(t)
		case string:
			return parseTime(t)
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

// plain reports whether a JSON string is its own canonical text: nothing escaped,
// valid UTF-8, no control character.
func plain(raw []byte) bool {
	if len(raw) < 2 || raw[len(raw)-1] != '"' {
		return false
	}
	for _, c := range raw[1 : len(raw)-1] {
		if c == '\\' || c == '"' || c < ' ' {
			return false
		}
	}
	return utf8.Valid(raw)
}

// quote returns the canonical JSON string of s.
func quote(s string) (string, error) {
	if strings.IndexByte(s, 0) >= 0 {
		return "", errNUL
	}
	b, err := jsontext.AppendQuote(make([]byte, 0, len(s)+2), s)
	if err != nil {
		return "", errUTF8
	}
	return string(b), nil
}

// unquote returns the string that a canonical JSON string stands for.
func unquote(text string) (string, error) {
	if n := len(text); n >= 2 && strings.IndexByte(text, '\\') < 0 {
		return text[1 : n-1], nil
	}
	s, err := jsontext.AppendUnquote(nil, text)
	if err != nil {
		return "", errNotString
	}
	return string(s), nil
}

// encodeNumber holds s to the grammar of JSON, which is narrower than that of Go,
// and encodes it.
func encodeNumber(s string, encode func(string) (string, error), otherwise error) (string, error) {
	if v := jsontext.Value(s); v.Kind() != jsontext.KindNumber || !v.IsValid() {
		return "", otherwise
	}
	return encode(s)
}

// encodeInt also takes leading zeros, as an id in a path may have them.
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
		return "0", nil // a database may not keep the sign of zero
	}
	b, err := json.Marshal(n)
	return string(b), err
}

// encodeDecimal pads s to the field's scale. More digits are kept here and refused
// by the field's limits.
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

// timeForm is RFC 3339; time.Parse alone also takes commas, one-digit hours and
// zones of a day and more, but not the lower case that RFC 3339 allows.
var timeForm = regexp.MustCompile(`^\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]([01]\d|2[0-3]):[0-5]\d)$`)

func parseTime(s string) (string, error) {
	form := timeForm.FindStringSubmatch(s)
	if form == nil {
		return "", errNotTime
	}
	if len(form[1]) > len(".123456") {
		return "", errFiner
	}
	t, err := time.Parse(time.RFC3339, strings.ToUpper(s))
	if err != nil {
		return "", errNotTime // the 30th of February
	}
	return encodeTime(t)
}

func encodeTime(t time.Time) (string, error) {
	t = t.UTC()
	if t.Year() < 1 || t.Year() > 9999 {
		return "", fmt.Errorf("is not within the years 1 to 9999 in UTC")
	}
	if t.Nanosecond()%1000 != 0 {
		return "", errFiner
	}
	return `"` + t.Format(time.RFC3339Nano) + `"`, nil
}

func encodeBase64(s string) (string, error) {
	if strings.ContainsAny(s, "\r\n") {
		return "", errNotBase64 // the decoder would skip them
	}
	if _, err := base64.StdEncoding.Strict().DecodeString(s); err != nil {
		return "", errNotBase64
	}
	return `"` + s + `"`, nil
}

// base64Size is the number of bytes behind a canonical bytes text.
func base64Size(text string) int {
	s := strings.Trim(text, `"`)
	return len(s)/4*3 - strings.Count(s, "=")
}

func encodeUUID(s string) (string, error) {
	if len(s) != 36 {
		return "", errNotUUID
	}
	u, err := uuid.Parse(s)
	if err != nil {
		return "", errNotUUID
	}
	return `"` + u.String() + `"`, nil
}

// encodeJSON checks a JSON text strictly (RFC 8259, I-JSON names and strings) and
// returns it as it came.
func encodeJSON(raw []byte) (string, error) {
	d := jsontext.NewDecoder(bytes.NewReader(raw))
	values := 0
	for {
		token, err := d.ReadToken()
		if errors.Is(err, io.EOF) && values > 0 {
			break
		}
		if err != nil {
			return "", fmt.Errorf("is not valid JSON: %w", err)
		}
		if d.StackDepth() > MaxJSONDepth {
			return "", fmt.Errorf("nests deeper than %d levels", MaxJSONDepth)
		}
		if token.Kind() == '"' && strings.IndexByte(token.String(), 0) >= 0 {
			return "", errNUL
		}
		if d.StackDepth() == 0 {
			values++
		}
	}
	if values > 1 {
		return "", errors.New("is more than one JSON value")
	}
	return string(raw), nil
}

var asEncodingJSON = jsonv2.JoinOptions(
	jsonv1.DefaultOptionsV1(),
	jsontext.AllowInvalidUTF8(false),
	jsontext.EscapeForHTML(false),
	jsontext.EscapeForJS(false),
	jsonv2.WithMarshalers(jsonv2.MarshalFunc(func(n json.Number) ([]byte, error) { return []byte(n), nil })),
)

// encodeGoJSON marshals as encoding/json does, but refuses a string that is not
// valid UTF-8 where encoding/json would silently replace what it cannot keep.
func encodeGoJSON(v any) (string, error) {
	b, err := jsonv2.Marshal(v, asEncodingJSON)
	if err != nil {
		return "", fmt.Errorf("cannot be marshalled: %w", err)
	}
	return encodeJSON(b)
}

// Decode returns the Go value of a canonical text, the form in which a database
// driver takes it: nil, string (string, text, decimal, json, uuid), int64, float64,
// bool, [time.Time] or []byte.
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

// CanonicalID returns the one form of an id under which the record is known: ids of
// type int and uuid are normalised. The error is an [InvalidError] about "id".
func (e *Entity) CanonicalID(id string) (string, error) {
	switch e.ID.Type {
	case Int:
		text, err := encodeInt(id)
		if err != nil {
			return "", Invalid("id", "%v", err)
		}
		return text, nil
	case UUID:
		text, err := encodeUUID(id)
		if err != nil {
			return "", Invalid("id", "%v", err)
		}
		return strings.Trim(text, `"`), nil
	}
	switch {
	case id == "":
		return "", Invalid("id", "is empty")
	case len(id) > e.ID.Max:
		return "", Invalid("id", "is too long: %d bytes, at most %d", len(id), e.ID.Max)
	case !utf8.ValidString(id):
		return "", Invalid("id", "%v", errUTF8)
	case strings.IndexByte(id, 0) >= 0:
		return "", Invalid("id", "%v", errNUL)
	}
	return id, nil
}

// IDText returns the JSON text of a canonical id: a number for an int id, else a
// string.
func (e *Entity) IDText(id string) string {
	if e.ID.Type == Int {
		return id
	}
	text, err := quote(id)
	if err != nil {
		return Null // no canonical id is invalid
	}
	return text
}
