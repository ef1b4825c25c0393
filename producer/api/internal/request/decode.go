package request

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/afterwrite/afterwrite/internal/problem"
	"github.com/afterwrite/afterwrite/schema"
)

// Decoder parses JSON strictly: one value, valid UTF-8, no lone surrogates, no duplicate names at any depth. Values
// keep their text. A Decoder is reused from call to call.
type Decoder struct {
	text   bytes.Buffer // the input itself: tokens are read without a copy
	tokens *jsontext.Decoder
	input  []byte
}

// Forget lets go of the input. The decoder can be used again.
func (d *Decoder) Forget() { *d = Decoder{tokens: d.tokens} }

// start begins to parse input, which must not change until the values are no longer used.
func (d *Decoder) start(input []byte, opts ...jsontext.Options) {
	d.input = input
	d.text = *bytes.NewBuffer(input)
	if d.tokens == nil {
		d.tokens = new(jsontext.Decoder)
	}
	d.tokens.Reset(&d.text, opts...)
}

// value returns the next value, aliasing the input.
func (d *Decoder) value() (json.RawMessage, error) {
	v, err := d.tokens.ReadValue()
	if err != nil {
		return nil, err
	}
	end := d.tokens.InputOffset()
	return json.RawMessage(d.input[end-int64(len(v)) : end : end]), nil
}

// member is called with each member of an object. Its arguments alias the input.
type member func(name []byte, value json.RawMessage) error

// object parses input as one object and calls fn with each member.
func (d *Decoder) object(input []byte, fn member) error {
	d.start(input)
	switch kind := d.tokens.PeekKind(); kind {
	case '{':
	case 0:
		_, err := d.tokens.ReadToken()
		return malformed(err)
	default:
		return problem.Malformed("the body must be a JSON object")
	}
	if _, err := d.tokens.ReadToken(); err != nil {
		return malformed(err)
	}
	var last []byte // name of the previous member
	for d.tokens.PeekKind() != '}' {
		name, err := d.value()
		if err != nil {
			return malformedAfter(err, last)
		}
		value, err := d.value()
		if err != nil {
			return malformed(err)
		}
		inner, err := stringBytes(name)
		if err != nil {
			return malformed(err)
		}
		if err := fn(inner, value); err != nil {
			return err
		}
		last = inner
	}
	if _, err := d.tokens.ReadToken(); err != nil {
		return malformedAfter(err, last)
	}
	if _, err := d.tokens.ReadToken(); !errors.Is(err, io.EOF) {
		return problem.Malformed("there is more than one JSON value")
	}
	return nil
}

// stringBytes returns the content of a JSON string, as a slice of it if nothing in it is escaped.
func stringBytes(quoted []byte) ([]byte, error) {
	if bytes.IndexByte(quoted, '\\') < 0 {
		return quoted[1 : len(quoted)-1], nil
	}
	return jsontext.AppendUnquote(nil, quoted)
}

// Fields parses input as the fields of e into fields. The member "id", which is not a field, is returned separately,
// nil if absent. All of them are slices of input.
func (d *Decoder) Fields(input []byte, e *schema.Entity, fields schema.Fields) (id json.RawMessage, err error) {
	unknown := 0
	err = d.object(input, func(name []byte, value json.RawMessage) error {
		if i, ok := e.Field(string(name)); ok {
			if e.Fields[i].Type == schema.Int {
				value = intText(value)
			}
			fields[e.Fields[i].Name] = value
			return nil
		}
		if string(name) == "id" {
			id = value
			return nil
		}
		if unknown++; unknown > schema.MaxFieldErrors {
			return unknownFields(fields, e)
		}
		fields[string(name)] = value // the entity rejects it and names it
		return nil
	})
	return id, err
}

// unknownFields names the fields of an object that has more unknown fields than are parsed.
func unknownFields(fields schema.Fields, e *schema.Entity) error {
	bad := make([]schema.FieldError, 0, schema.MaxFieldErrors)
	for name := range fields {
		if _, ok := e.Field(name); !ok {
			bad = append(bad, schema.FieldError{Field: problem.Clip(name), Reason: "is not a field of " + e.Name})
		}
	}
	slices.SortFunc(bad, func(a, b schema.FieldError) int { return strings.Compare(a.Field, b.Field) })
	return &schema.InvalidError{Fields: bad}
}

// IDFromJSON returns the id in a JSON value, not yet canonical: a number for an int id, otherwise a string.
func IDFromJSON(e *schema.Entity, value json.RawMessage) (string, error) {
	if e.ID.Type == schema.Int {
		value = intText(value)
		if len(value) == 0 || value[0] != '-' && (value[0] < '0' || value[0] > '9') {
			return "", schema.Invalid("id", "must be a whole number")
		}
		return string(value), nil
	}
	if len(value) == 0 || value[0] != '"' {
		return "", schema.Invalid("id", "must be a string")
	}
	id, err := stringBytes(value)
	return string(id), err
}

// malformedAfter is malformed if the previous member may be misspelt: of 007 the decoder takes the first 0 as the whole
// value.
func malformedAfter(err error, last []byte) error {
	p := malformed(err)
	if len(p.Fields) == 0 && last != nil {
		p.Fields = []schema.FieldError{{Field: string(last), Reason: "is not valid JSON, or what follows it is not"}}
	}
	return p
}

// malformed says what is wrong with a JSON text, and where, without quoting it.
func malformed(err error) *problem.Problem {
	if err == io.EOF {
		return problem.Malformed("the body is empty")
	}
	at, ok := errors.AsType[*jsontext.SyntacticError](err)
	if !ok {
		return problem.Malformed("the body is not valid JSON")
	}
	reason := problem.Clip(at.Err.Error())
	switch {
	case errors.Is(at, jsontext.ErrDuplicateName):
		reason = "the same name twice in one object"
	case errors.Is(at, io.ErrUnexpectedEOF):
		reason = "it ends in the middle of a value"
	}
	p := problem.Malformed("the body is not valid JSON: %s, at byte %d", reason, at.ByteOffset)
	for name := range at.JSONPointer.Tokens() {
		p.Fields = []schema.FieldError{{Field: name, Reason: "is not valid JSON: " + reason}}
		break
	}
	return p
}

// intText returns the content of a JSON string that contains only digits, otherwise the value unchanged.
func intText(value []byte) []byte {
	n := len(value)
	if n < len(`"0"`) || n > len(`"-9223372036854775808"`) || value[0] != '"' {
		return value
	}
	digits := value[1 : n-1]
	for i, b := range digits {
		if (b < '0' || b > '9') && (b != '-' || i > 0) {
			return value
		}
	}
	if digits[len(digits)-1] == '-' {
		return value
	}
	return digits
}
