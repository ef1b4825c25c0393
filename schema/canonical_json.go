package schema

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	jsonv2 "github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	jsonv1 "github.com/go-json-experiment/json/v1"
)

// maxJSONDepth bounds how deeply the value of a json field may nest: a database refuses a value that is nested deeper
// than its parser's stack allows.
const maxJSONDepth = 512

// encodeJSON checks a JSON text strictly (RFC 8259, with the names and strings of I-JSON) and returns it unchanged.
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
		if d.StackDepth() > maxJSONDepth {
			return "", fmt.Errorf("nests deeper than %d levels", maxJSONDepth)
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

// encodeGoJSON marshals as encoding/json does, but rejects a string that is not valid UTF-8. encoding/json would
// silently replace the invalid bytes.
func encodeGoJSON(v any) (string, error) {
	b, err := jsonv2.Marshal(v, asEncodingJSON)
	if err != nil {
		return "", fmt.Errorf("cannot be marshalled: %w", err)
	}
	return encodeJSON(b)
}
