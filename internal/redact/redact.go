// Package redact takes the values of redacted fields out of texts that quote them.
package redact

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"iter"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/afterwrite/afterwrite/schema"
)

// Mark replaces a value whose field is redacted.
const Mark = "(redacted)"

// minRedacted is the length in characters of the shortest text that [Text] replaces: shorter texts occur in
// messages by chance. minPart is that of the beginning of a value, which a message quotes if it was truncated.
const (
	minRedacted = 3
	minPart     = 8
)

// Any reports whether a field of the entity is redacted.
func Any(e *schema.Entity) bool {
	return slices.ContainsFunc(e.Fields, func(f schema.Field) bool { return f.Redact })
}

// Text replaces every quoted value of a redacted field in a text by [Mark], for example in the message of a
// trigger that raises an error with the value. The values come from the records that the text may be about: as they
// are written, and as their rows are. Values are found in the spellings of JSON and of the databases, in upper and
// lower case, and by their first eight characters. A value is not found if the caller does not know it or if it is
// shorter than three characters; true and false are left.
func Text(e *schema.Entity, text string, records ...schema.Values) string {
	var quoted []string
	folded := strings.ToLower(text)
	for i := range e.Fields {
		f := &e.Fields[i]
		if !f.Redact || f.Type == schema.Bool {
			continue
		}
		for _, values := range records {
			if i >= len(values) {
				continue // a deletion
			}
			for _, form := range spellings(f, values[i]) {
				quoted = append(quoted, quotedIn(folded, form)...)
			}
		}
	}
	if len(quoted) == 0 {
		return text
	}
	// Longest first, so that no value is left in part.
	slices.SortFunc(quoted, func(a, b string) int { return cmp.Or(cmp.Compare(len(b), len(a)), cmp.Compare(a, b)) })
	forms := []string{regexp.QuoteMeta(Mark)} // redacting again changes nothing
	for _, form := range slices.Compact(quoted) {
		forms = append(forms, regexp.QuoteMeta(form))
	}
	return regexp.MustCompile("(?i)"+strings.Join(forms, "|")).ReplaceAllLiteralString(text, Mark)
}

// quotedIn returns what a text quotes of a value: the whole value, its beginning, or both. folded is the text in lower
// case. A text that is as long as a refusal's message can be may itself be truncated within the value.
func quotedIn(folded, value string) (quoted []string) {
	if utf8.RuneCountInString(value) < minRedacted {
		return nil
	}
	low := strings.ToLower(value)
	rest := folded
	if strings.Contains(folded, low) {
		quoted = append(quoted, value)
		rest = strings.ReplaceAll(folded, low, "\x00")
	}
	if part := start(value, minPart); part != "" && strings.Contains(rest, strings.ToLower(part)) {
		for _, r := range value[len(part):] {
			longer := part + string(r)
			if !strings.Contains(rest, strings.ToLower(longer)) {
				break
			}
			part = longer
		}
		return append(quoted, part)
	}
	if len(folded) <= schema.MaxRefusalMessage-utf8.UTFMax {
		return quoted
	}
	for part := range starts(value) {
		if strings.HasSuffix(rest, strings.ToLower(part)) {
			return append(quoted, part)
		}
	}
	return quoted
}

// start returns the first n characters of a text, "" if it is shorter.
func start(text string, n int) string {
	for at := range text {
		if n == 0 {
			return text[:at]
		}
		n--
	}
	if n == 0 {
		return text
	}
	return ""
}

// starts yields the beginnings of a text of less than minPart characters, the longest first.
func starts(text string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for n := minPart - 1; n >= minRedacted; n-- {
			if part := start(text, n); part != "" && !yield(part) {
				return
			}
		}
	}
}

// spellings returns the forms in which a database may spell a value in a message.
func spellings(f *schema.Field, canonical string) []string {
	var plain string
	if canonical == "" || canonical == schema.Null {
		return nil
	}
	if f.Type == schema.JSON {
		forms := []string{canonical}
		for _, leaf := range leaves(canonical) {
			forms = append(append(forms, numbers(leaf)...), escapes(leaf)...)
		}
		return forms
	}
	if json.Unmarshal([]byte(canonical), &plain) != nil {
		return append(numbers(canonical), canonical)
	}
	forms := append(escapes(plain), canonical[1:len(canonical)-1])
	switch f.Type {
	case schema.Decimal:
		if trimmed := strings.TrimRight(plain, "0"); strings.Contains(plain, ".") {
			forms = append(forms, strings.TrimSuffix(trimmed, "."))
		}
	case schema.Time:
		if t, err := time.Parse(time.RFC3339Nano, plain); err == nil {
			forms = append(forms, t.UTC().Format("2006-01-02 15:04:05.999999"), t.UTC().Format("2006-01-02 15:04:05"))
		}
	case schema.Bytes:
		if raw, err := base64.StdEncoding.DecodeString(plain); err == nil {
			forms = append(forms, string(raw), hex.EncodeToString(raw))
		}
	}
	return forms
}

// escapes returns a text as literals of SQL and strings of JSON spell it.
func escapes(text string) []string {
	forms := []string{text, strings.ReplaceAll(text, "'", "''"), strings.ReplaceAll(text, `\`, `\\`)}
	if quoted, err := json.Marshal(text); err == nil {
		forms = append(forms, string(quoted[1:len(quoted)-1]))
	}
	ascii := strconv.QuoteToASCII(text)
	forms = append(forms, ascii[1:len(ascii)-1])
	if dense := strings.Join(strings.Fields(text), ""); dense != text {
		forms = append(forms, dense)
	}
	slices.Sort(forms)
	return slices.Compact(forms)
}

// numbers returns a number as databases print floats: 1e+15 is also 1000000000000000, 1e15 and 1.0e+15. It returns
// nothing for a text that is no number.
func numbers(text string) []string {
	v, err := strconv.ParseFloat(text, 64)
	if err != nil || math.IsInf(v, 0) || math.IsNaN(v) {
		return nil
	}
	forms := []string{strconv.FormatFloat(v, 'f', -1, 64), strconv.FormatFloat(v, 'g', 15, 64)}
	mantissa, exponent, ok := strings.Cut(strconv.FormatFloat(v, 'e', -1, 64), "e")
	n, err := strconv.Atoi(exponent)
	if !ok || err != nil {
		return forms
	}
	for _, m := range []string{mantissa, mantissa + ".0"} {
		forms = append(forms, fmt.Sprintf("%se%+03d", m, n), fmt.Sprintf("%se%d", m, n))
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
