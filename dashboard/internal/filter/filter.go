// Package filter reads, writes and words the filter of refused records in a page's query.
package filter

import (
	"fmt"
	"html/template"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/afterwrite/afterwrite/dashboard/internal/format"
	"github.com/afterwrite/afterwrite/schema"
	"github.com/afterwrite/afterwrite/store/ledger"
)

// Bounds of what a query may ask for.
const (
	MaxText     = 200 // bytes of a filter's text
	maxSelected = 500 // letters picked by number
)

// Filter is the filter of dead letters as a query string spells it.
type Filter struct {
	ledger.LetterFilter
}

// anyState is the word of [ledger.AnyState].
const anyState = "any"

// States are the words of ?state=; the first is meant where there is none.
var States = []ledger.LetterState{ledger.StateWaiting, ledger.StateRetrying, ledger.StateResolved, anyState}

// Parse reads a filter. The error is about one parameter.
func Parse(q url.Values) (Filter, error) {
	f := Filter{ledger.LetterFilter{
		Entity: q.Get("entity"), ID: q.Get("id"), Kind: schema.Kind(q.Get("kind")), Constraint: q.Get("constraint"),
		Text: q.Get("text"), State: ledger.LetterState(q.Get("state")),
	}}
	if f.State == "" {
		f.State = States[0]
	}
	switch {
	case f.Entity != "" && !schema.ValidName(f.Entity):
		return f, schema.Invalid("entity", "is no name of an entity")
	case len(f.ID) > schema.MaxIDBytes:
		return f, schema.Invalid("id", "is longer than %d bytes", schema.MaxIDBytes)
	case f.Kind != "" && !slices.Contains(schema.HeldKinds, f.Kind):
		return f, schema.Invalid("kind", "is none of %v", schema.HeldKinds)
	case len(f.Constraint) > MaxText || len(f.Text) > MaxText:
		return f, schema.Invalid("text", "is longer than %d bytes", MaxText)
	case !slices.Contains(States, f.State):
		return f, schema.Invalid("state", "is none of %v", States)
	case strings.ContainsRune(f.ID+f.Constraint+f.Text, 0):
		return f, schema.Invalid("text", "has a NUL in it")
	}
	var err error
	if f.Since, err = parseInstant(q, "since"); err != nil {
		return f, err
	}
	f.Until, err = parseInstant(q, "until")
	return f, err
}

// instantForm is what browsers send for a date and a time of day.
const instantForm = "2006-01-02T15:04:05"

func parseInstant(q url.Values, name string) (time.Time, error) {
	text := q.Get(name)
	if text == "" {
		return time.Time{}, nil
	}
	for _, form := range []string{instantForm, "2006-01-02T15:04", time.RFC3339Nano, time.DateOnly} {
		if t, err := time.Parse(form, text); err == nil {
			return t.UTC(), nil
		}
	}
	return time.Time{}, schema.Invalid(name, "is no time such as 2026-01-31T12:00")
}

// Selects is the filter as the store takes it.
func (f Filter) Selects() ledger.LetterFilter {
	if f.State == anyState {
		f.State = ledger.AnyState
	}
	return f.LetterFilter
}

// values are the filter's parameters; what does not restrict is left out.
func (f Filter) values() url.Values {
	q := url.Values{}
	set := func(name, value string) {
		if value != "" {
			q.Set(name, value)
		}
	}
	set("entity", f.Entity)
	set("id", f.ID)
	set("kind", string(f.Kind))
	set("constraint", f.Constraint)
	set("text", f.Text)
	if f.State != States[0] {
		set("state", string(f.State))
	}
	set("since", f.moment(f.Since))
	set("until", f.moment(f.Until))
	return q
}

func (Filter) moment(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Format(instantForm)
}

// SinceText is Since as the form shows it.
func (f Filter) SinceText() string { return f.moment(f.Since) }

// UntilText is Until as the form shows it.
func (f Filter) UntilText() string { return f.moment(f.Until) }

// Query is the filter's query string.
func (f Filter) Query() template.URL { return template.URL(f.values().Encode()) }

// With is the query string of the filter with parameters changed.
func (f Filter) With(pairs ...string) template.URL {
	q := f.values()
	for i := 0; i+1 < len(pairs); i += 2 {
		if q.Set(pairs[i], pairs[i+1]); pairs[i+1] == "" {
			q.Del(pairs[i])
		}
	}
	return template.URL(q.Encode())
}

// Restricts reports whether the filter leaves anything out beside the state.
func (f Filter) Restricts() bool {
	f.State = ""
	return f.LetterFilter != ledger.LetterFilter{}
}

// Words says which letters the filter selects.
func (f Filter) Words() string { return f.words("dead") }

// HeldWords says which held records the filter selects.
func (f Filter) HeldWords() string { return f.words("refused") }

func (f Filter) words(happened string) string {
	var parts []string
	add := func(format, value string) {
		if value != "" {
			parts = append(parts, fmt.Sprintf(format, value))
		}
	}
	add("of entity %s", f.Entity)
	add("with id %q", f.ID)
	add("of kind %s", string(f.Kind))
	add("of constraint %s", f.Constraint)
	add("whose error has %q in it", f.Text)
	if !f.Since.IsZero() {
		parts = append(parts, happened+" since "+format.Instant(f.Since))
	}
	if !f.Until.IsZero() {
		parts = append(parts, happened+" before "+format.Instant(f.Until))
	}
	if len(parts) == 0 {
		return "of every entity, whatever the error"
	}
	return strings.Join(parts, ", ")
}

// Numbers reads letters picked by number.
func Numbers(texts []string) ([]int64, error) {
	if len(texts) > maxSelected {
		return nil, schema.Invalid("n", "names more than %d letters; use a filter", maxSelected)
	}
	numbers := make([]int64, len(texts))
	for i, text := range texts {
		n, err := Number("n", text)
		if err != nil {
			return nil, err
		}
		numbers[i] = n
	}
	slices.Sort(numbers)
	return slices.Compact(numbers), nil
}

// Number reads the number of a letter.
func Number(name, text string) (int64, error) {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 1 {
		return 0, schema.Invalid(name, "is no number of a dead letter")
	}
	return n, nil
}
