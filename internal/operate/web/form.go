package web

import (
	"encoding/json"
	"net/http"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/afterwrite/afterwrite/schema"
)

// Form is how a view writes the values of a record.
type Form struct {
	Reveal bool // redacted fields, too
	Texts  bool // int fields, int ids and versions as JSON strings: JavaScript's numbers have 53 bits
}

// formOf returns the form of an answer. The API that mounts the handler reads the request's preferences, and says in
// the answer's header which of them hold.
func formOf(h http.Header) Form { return Form{Texts: h.Get("Preference-Applied") == "ints=string"} }

// id returns an id as JSON: a number for an int id. e is nil where the configuration has the entity no more.
func (f Form) id(e *schema.Entity, id string) json.RawMessage {
	if e != nil {
		return json.RawMessage(f.int(e.IDText(id)))
	}
	text, _ := json.Marshal(id) // a string is always marshalled
	return text
}

// value returns the JSON text of a field, hidden where it is redacted.
func (f Form) value(field *schema.Field, text string) string {
	if field.Redact && !f.Reveal && text != "" && text != schema.Null {
		return `"` + hidden + `"`
	}
	if field.Type == schema.Int {
		return f.int(text)
	}
	return text
}

// int quotes the JSON text of a whole number. It returns any other text as it is.
func (f Form) int(text string) string {
	if _, err := strconv.ParseInt(text, 10, 64); err != nil || !f.Texts {
		return text
	}
	return strconv.Quote(text)
}

// payload returns the fields of an entity that is not configured. Their types are not known, so every whole number is
// taken for an int.
func (f Form) payload(object string) json.RawMessage {
	var members map[string]json.RawMessage
	if !f.Texts || json.Unmarshal([]byte(object), &members) != nil {
		return json.RawMessage(object)
	}
	for name, value := range members {
		members[name] = json.RawMessage(f.int(string(value)))
	}
	text, _ := json.Marshal(members) // it was unmarshalled
	return text
}

func (f Form) version(v schema.Version) Version { return Version{v, f.Texts} }

// Version is the version of a record, as the form of its view writes it. A number and a string are both read.
type Version struct {
	schema.Version
	text bool
}

// IsZero reports that there is no version.
func (v Version) IsZero() bool { return v.Version == 0 }

// MarshalJSON writes a number, or a string of its digits.
func (v Version) MarshalJSON() ([]byte, error) {
	if v.text {
		return []byte(strconv.Quote(v.String())), nil
	}
	return []byte(v.String()), nil
}

// UnmarshalJSON reads a number, or a string of its digits.
func (v *Version) UnmarshalJSON(text []byte) error {
	digits, err := scalar(jsontext.Value(text))
	if err != nil || digits == "" {
		return err
	}
	n, err := strconv.ParseInt(digits, 10, 64)
	v.Version = schema.Version(n)
	return err
}
