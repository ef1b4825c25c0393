package request

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/afterwrite/afterwrite/cache"
	"github.com/afterwrite/afterwrite/internal/problem"
	"github.com/afterwrite/afterwrite/schema"
)

// Items splits the body of a batch into the texts of its items: the elements of an array, or its lines. It checks only
// the array's own commas and brackets, so that an invalid item does not affect the others.
func (d *Decoder) Items(body []byte) ([][]byte, error) {
	if text := bytes.TrimLeft(body, " \t\r\n"); len(text) > 0 && text[0] == '[' {
		return d.elements(body)
	}
	var items [][]byte
	for line := range bytes.SplitSeq(body, []byte{'\n'}) {
		if line = bytes.TrimSpace(line); len(line) == 0 {
			continue
		}
		if len(items) == MaxBatchItems {
			return nil, problem.TooMany("items", MaxBatchItems)
		}
		items = append(items, line)
	}
	return items, nil
}

func (d *Decoder) elements(body []byte) ([][]byte, error) {
	d.start(body, jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	if _, err := d.tokens.ReadToken(); err != nil {
		return nil, malformed(err)
	}
	var items [][]byte
	for d.tokens.PeekKind() != ']' {
		item, err := d.value()
		if err != nil {
			return nil, malformed(err)
		}
		if len(items) == MaxBatchItems {
			return nil, problem.TooMany("items", MaxBatchItems)
		}
		items = append(items, item)
	}
	if _, err := d.tokens.ReadToken(); err != nil {
		return nil, malformed(err)
	}
	if _, err := d.tokens.ReadToken(); !errors.Is(err, io.EOF) {
		return nil, problem.Malformed("there is something after the array")
	}
	return items, nil
}

// Item is one item of a batch. ID and Fields are slices of its text, nil if absent.
type Item struct {
	Op, Entity, Key string
	ID, Fields      json.RawMessage
	IfMatch         schema.Version
}

// Item parses one item of a batch.
func (d *Decoder) Item(text []byte) (r Item, err error) {
	err = d.object(text, func(name []byte, value json.RawMessage) (err error) {
		switch string(name) {
		case "op":
			r.Op, err = stringMember("op", value)
		case "entity":
			r.Entity, err = stringMember("entity", value)
		case "id":
			r.ID = value
		case "fields":
			r.Fields = value
		case "if_match":
			r.IfMatch, err = versionMember(value)
		case "idempotency_key":
			if r.Key, err = stringMember("idempotency_key", value); err == nil {
				if reason := keyFault(r.Key); reason != "" {
					err = schema.Invalid("idempotency_key", "%s", reason)
				}
			}
		default:
			err = schema.Invalid(string(name), "is not a member of a batch's item")
		}
		return err
	})
	return r, err
}

func stringMember(name string, value json.RawMessage) (string, error) {
	if value[0] != '"' {
		return "", schema.Invalid(name, "must be a string")
	}
	s, err := stringBytes(value)
	return string(s), err
}

// versionMember parses if_match: the version as a number or as an ETag.
func versionMember(value json.RawMessage) (schema.Version, error) {
	text := string(value)
	if value[0] == '"' {
		s, err := stringBytes(value)
		if err != nil {
			return 0, err
		}
		tags, ok := parseTags(string(s))
		if text = string(s); ok && len(tags) == 1 {
			text = tags[0].value
		}
	}
	if text == "*" {
		return cache.AnyVersion, nil
	}
	v, err := versionOf(text)
	if err != nil {
		return 0, schema.Invalid("if_match", `must be a version or "*"`)
	}
	return v, nil
}
