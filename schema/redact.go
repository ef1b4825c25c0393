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

// Redacted stands in the place of a value that its field redacts.
const Redacted = "(redacted)"

// minRedacted is the length of the shortest text that [Entity.Redact] looks for: shorter
// ones are in every message by chance.
const minRedacted = 3

// Redact puts [Redacted] in the place of every value of a redacted field that a text quotes,
// such as the message of a trigger that raises with the value. The values are those of the
// records that the text may be about; a value that neither is known to the caller nor three
// characters long is not found, and true and false are left.
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
	// The longest first, so that none is left in part.
	slices.SortFunc(quoted, func(a, b string) int { return cmp.Or(cmp.Compare(len(b), len(a)), cmp.Compare(a, b)) })
	pairs := []string{Redacted, Redacted} // to redact again changes nothing
	for _, form := range slices.Compact(quoted) {
		pairs = append(pairs, form, Redacted)
	}
	return strings.NewReplacer(pairs...).Replace(text)
}

// quotedIn returns what a text has of a value: all of it, or where the text is as long as a
// refusal's message may be, and so may have been cut, its beginning at the end of the text.
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

// spellings are the ways in which a database may spell a value in a message.
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

// leaves are the texts and numbers within a JSON text.
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
		case string: // names of an object's members too: who knows them knows nothing less
			found = append(found, leaf)
		case json.Number:
			found = append(found, leaf.String())
		}
	}
}
