package web

import (
	"bufio"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/afterwrite/afterwrite/internal/problem"
	"github.com/afterwrite/afterwrite/schema"
	"github.com/afterwrite/afterwrite/store/ledger"
)

// readBody reads the body into v, strictly: unknown and repeated members are refused.
func readBody(r *http.Request, v any) error {
	if err := problem.WantType(r.Header, "application/json", "application/merge-patch+json"); err != nil {
		return err
	}
	body := bufio.NewReader(r.Body)
	if mark, _ := body.Peek(3); string(mark) == "\ufeff" {
		_, _ = body.Discard(3) // a byte order mark is no part of a text
	}
	err := json.UnmarshalRead(body, v, json.RejectUnknownMembers(true))
	if err == nil {
		return nil
	}
	if p := problem.Of(err); p.Code == http.StatusRequestEntityTooLarge {
		return p
	}
	if fault, ok := errors.AsType[*json.SemanticError](err); ok && fault.JSONPointer != "" {
		name := strings.ReplaceAll(strings.TrimPrefix(string(fault.JSONPointer), "/"), "/", ".")
		if errors.Is(err, json.ErrUnknownName) {
			return schema.Invalid(name, "is not a member of this body")
		}
		return schema.Invalid(name, "is not of its type")
	}
	return problem.Malformed("the body is not what this route takes: %s",
		problem.Clip(strings.TrimPrefix(err.Error(), "json: ")))
}

// parameters reads query parameters, each at most once; the first fault is kept.
type parameters struct {
	values url.Values
	known  []string
	err    error
}

func queryOf(r *http.Request) *parameters {
	values, err := url.ParseQuery(r.URL.RawQuery)
	p := &parameters{values: values}
	if err != nil {
		p.err = problem.BadParameter(r.URL.RawQuery, "is not percent-encoded as it must be")
	}
	return p
}

func (p *parameters) text(name string) string {
	p.known = append(p.known, name)
	if len(p.values[name]) > 1 {
		p.fail(name, "is there twice")
	}
	return p.values.Get(name)
}

func (p *parameters) fail(name, reason string) {
	if p.err == nil {
		p.err = problem.BadParameter(name, reason)
	}
}

func (p *parameters) number(name string, low, high, absent int64) int64 {
	text := p.text(name)
	if text == "" {
		return absent
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < low || n > high {
		p.fail(name, fmt.Sprintf("must be a whole number from %d to %d", low, high))
	}
	return n
}

func (p *parameters) flag(name string) bool {
	text := p.text(name)
	if text != "" && text != "true" && text != "false" {
		p.fail(name, "must be true or false")
	}
	return text == "true"
}

// end returns the first fault, an unknown parameter among them: a misspelt one would
// silently answer another question.
func (p *parameters) end() error {
	for name := range p.values {
		if !slices.Contains(p.known, name) {
			p.fail(name, "is not a parameter of this route")
		}
	}
	return p.err
}

// Filter selects dead letters as a request or a command names them. Times are RFC 3339,
// or how long ago, such as "2h".
type Filter struct {
	Entity     string `json:"entity,omitzero"`
	ID         string `json:"id,omitzero"`
	Kind       string `json:"kind,omitzero"`
	Constraint string `json:"constraint,omitzero"`
	Text       string `json:"text,omitzero"`
	Since      string `json:"since,omitzero"`
	Until      string `json:"until,omitzero"`
	State      string `json:"state,omitzero"` // waiting where it is empty; any
	Resolution string `json:"resolution,omitzero"`
}

// States are the values of [Filter.State].
var States = []string{"waiting", "retrying", "open", "resolved", "any"}

var resolutions = []ledger.Resolution{ledger.Persisted, ledger.Superseded, ledger.Edited, ledger.Discarded}

// Select returns the filter as the store takes it; now is what durations count back from.
// The error is an InvalidError that names the part at fault.
func (f Filter) Select(now time.Time) (ledger.LetterFilter, error) {
	s := ledger.LetterFilter{Entity: f.Entity, ID: f.ID, Kind: schema.Kind(f.Kind), Constraint: f.Constraint,
		Text:  f.Text,
		State: ledger.LetterState(f.State), Resolution: ledger.Resolution(f.Resolution)}
	var err error
	if s.Since, err = moment("since", f.Since, now); err != nil {
		return s, err
	}
	if s.Until, err = moment("until", f.Until, now); err != nil {
		return s, err
	}
	switch {
	case f.Kind != "" && !slices.Contains(schema.HeldKinds, s.Kind):
		return s, schema.Invalid("kind", "is not a kind of refusal; the kinds are %v", schema.HeldKinds)
	case f.State != "" && !slices.Contains(States, f.State):
		return s, schema.Invalid("state", "must be one of %v", States)
	case f.Resolution != "" && !slices.Contains(resolutions, s.Resolution):
		return s, schema.Invalid("resolution", "must be one of %v", resolutions)
	case f.State == "any" || f.State == "" && f.Resolution != "":
		s.State = ledger.AnyState
	case f.State == "":
		s.State = ledger.StateWaiting
	}
	return s, nil
}

func moment(name, text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if ago, err := time.ParseDuration(text); err == nil && ago >= 0 {
		return now.Add(-ago), nil
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return t, schema.Invalid(name, "must be a time such as 2026-01-31T12:00:00Z, or how long ago, such as 2h")
	}
	return t, nil
}

// filter reads the parameters of a filter of dead letters.
func (p *parameters) filter() ledger.LetterFilter {
	f := p.refused()
	f.State, f.Resolution = p.text("state"), p.text("resolution")
	return p.selected(f)
}

// heldFilter reads those of a filter of held records, which have no state.
func (p *parameters) heldFilter() ledger.LetterFilter { return p.selected(p.refused()) }

func (p *parameters) refused() Filter {
	return Filter{Entity: p.text("entity"), ID: p.text("id"), Kind: p.text("kind"), Constraint: p.text("constraint"),
		Text:  p.text("text"),
		Since: p.text("since"), Until: p.text("until")}
}

func (p *parameters) selected(of Filter) ledger.LetterFilter {
	f, err := of.Select(time.Now())
	if p.err == nil {
		p.err = asParameter(err)
	}
	return f
}

// asParameter words a fault of a filter as that of a query parameter.
func asParameter(err error) error {
	if err == nil {
		return nil
	}
	p := problem.Of(err)
	return problem.BadParameter(p.Fields[0].Field, p.Fields[0].Reason)
}

// settings flattens the members of a policy to settings by their names; null takes one
// away.
func settings(at string, members map[string]jsontext.Value) ([][2]string, error) {
	var list [][2]string
	for name, value := range members {
		if value.Kind() == '{' && (at == "" && name == "on" || at == "on.") {
			var inner map[string]jsontext.Value
			if err := json.Unmarshal(value, &inner); err != nil {
				return nil, problem.Malformed("%s is not an object", at+name)
			}
			below, err := settings(at+name+".", inner)
			if err != nil {
				return nil, err
			}
			list = append(list, below...)
			continue
		}
		text, err := scalar(value)
		if err != nil {
			return nil, schema.Invalid(at+name, "must be a number or a text")
		}
		list = append(list, [2]string{at + name, text})
	}
	slices.SortFunc(list, func(a, b [2]string) int { return strings.Compare(a[0], b[0]) })
	return list, nil
}

func scalar(value jsontext.Value) (string, error) {
	switch value.Kind() {
	case 'n':
		return "", nil
	case '0':
		return value.String(), nil
	case '"':
		var text string
		err := json.Unmarshal(value, &text)
		return text, err
	}
	return "", fmt.Errorf("not a scalar")
}
