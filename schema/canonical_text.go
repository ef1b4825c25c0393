package schema

import (
	"encoding/base64"
	"fmt"
	"regexp"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/uuid"
)

// plain reports whether a JSON string is its own canonical text: valid UTF-8 without escapes and control characters.
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

// unquote returns the string that a canonical JSON string encodes.
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

// timeForm is RFC 3339. time.Parse alone also accepts commas, one-digit hours and zone offsets of a day or more, and
// rejects the lower case that RFC 3339 allows.
var timeForm = regexp.MustCompile(`^\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]([01]\d|2[0-3]):[0-5]\d)$`)

func (f *Field) parseTime(s string) (string, error) {
	form := timeForm.FindStringSubmatch(s)
	if form == nil {
		return "", errNotTime
	}
	if len(form[1]) > len(".123456") {
		return "", errFiner
	}
	t, err := time.Parse(time.RFC3339, strings.ToUpper(s))
	if err != nil {
		return "", errNotTime // for example the 30th of February
	}
	return f.encodeTime(t)
}

func (f *Field) encodeTime(t time.Time) (string, error) {
	t = t.UTC()
	if t.Year() < 1 || t.Year() > 9999 {
		return "", fmt.Errorf("is not within the years 1 to 9999 in UTC")
	}
	if t.Nanosecond()%1000 != 0 {
		return "", errFiner
	}
	if f.Precision != 0 && !f.Instant(t).Equal(t) {
		return "", fmt.Errorf("has more than %d digits of a second", f.SecondDigits())
	}
	return `"` + t.Format(time.RFC3339Nano) + `"`, nil
}

func encodeBase64(s string) (string, error) {
	if strings.ContainsAny(s, "\r\n") {
		return "", errNotBase64 // the decoder would skip line breaks
	}
	if _, err := base64.StdEncoding.Strict().DecodeString(s); err != nil {
		return "", errNotBase64
	}
	return `"` + s + `"`, nil
}

// base64Size returns the number of bytes that a canonical bytes text encodes.
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
