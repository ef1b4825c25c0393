package schema

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// Redacted replaces a value whose field is redacted.
const Redacted = "(redacted)"

// minRedacted is the length of the shortest text that [Entity.Redact] replaces: shorter texts occur in messages by
// chance.
const minRedacted = 3

// Redact replaces every quoted value of a redacted field in a text by [Redacted], for example in the message of a
// trigger that raises an error with the value. The values come from the records that the text may be about. A value is
// not found if the caller does not know it or if it is shorter than three characters; true and false are left.
func (e *Entity) Redact(text string, records ...Values) string {
	var quoted []string
	for i := range e.Fields {
		f := &e.Fields[i]
		if !f.Redact || f.Type == Bool {
			continue
		}
		for _, values := range records {
			if i >= len(values) {
				continue // a deletion
			}
			for _, form := range f.spellings(values[i]) {
				if at := quotedIn(text, form); at != "" {
					quoted = append(quoted, at)
				}
			}
		}
	}
	if len(quoted) == 0 {
		return text
	}
	// Longest first, so that no value is left in part.
	slices.SortFunc(quoted, func(a, b string) int { return cmp.Or(cmp.Compare(len(b), len(a)), cmp.Compare(a, b)) })
	pairs := []string{Redacted, Redacted} // redacting again changes nothing
	for _, form := range slices.Compact(quoted) {
		pairs = append(pairs, form, Redacted)
	}
	return strings.NewReplacer(pairs...).Replace(text)
}

// quotedIn returns the part of a value that a text quotes: the whole value or, if the text is as long as a refusal's
// message can be and may therefore be truncated, the beginning of the value at the end of the text.
func quotedIn(text, value string) string {
	if utf8.RuneCountInString(value) < minRedacted {
		return ""
	}
	if strings.Contains(text, value) {
		return value
	}
	if len(text) <= MaxRefusalMessage-utf8.UTFMax {
		return ""
	}
	for n := min(len(value), len(text)); n >= minRedacted; n-- {
		if strings.HasSuffix(text, value[:n]) {
			return value[:n]
		}
	}
	return ""
}

// spellings returns the forms in which a database may spell a value in a message.
func (f *Field) spellings(canonical string) []string {
	var plain string
	if canonical == "" || canonical == Null {
		return nil
	}
	if f.Type == JSON {
		return append(leaves(canonical), canonical)
	}
	if json.Unmarshal([]byte(canonical), &plain) != nil {
		return []string{canonical} // a number
	}
	forms := []string{plain, strings.ReplaceAll(plain, "'", "''"), canonical[1 : len(canonical)-1]}
	switch f.Type {
	case Time:
		if t, err := time.Parse(time.RFC3339Nano, plain); err == nil {
			forms = append(forms, t.UTC().Format("2006-01-02 15:04:05.999999"))
		}
	case Bytes:
		if raw, err := base64.StdEncoding.DecodeString(plain); err == nil {
			hexed := hex.EncodeToString(raw)
			forms = append(forms, string(raw), hexed, strings.ToUpper(hexed))
		}
	}
	return forms
}

// leaves returns the texts and numbers within a JSON text.
func leaves(text string) []string {
	var found []string
	d := json.NewDecoder(bytes.NewReader([]byte(text)))
	d.UseNumber()
	for {
		token, err := d.Token()
		if err != nil {
			return found // the end
		}
		switch leaf := token.(type) {
		case string: // the names of an object's members too: they are part of the value
			found = append(found, leaf)
		case json.Number:
			found = append(found, leaf.String())
		}
	}
}
