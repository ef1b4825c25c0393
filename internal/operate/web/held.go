package web

import (
	"context"
	"net/http"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/afterwrite/afterwrite/internal/operate"
	"github.com/afterwrite/afterwrite/schema"
	"github.com/afterwrite/afterwrite/store/ledger"
)

// held answers the held records of a filter, the next to be tried first.
func (a *Admin) held(r *http.Request, _ ledger.Actor, header http.Header) (int, any, error) {
	q := queryOf(r)
	filter := q.heldFilter()
	limit := int(q.number("limit", 1, MaxLimit, DefaultLimit))
	if err := q.end(); err != nil {
		return 0, nil, err
	}
	if err := a.knows(filter); err != nil {
		return 0, nil, err
	}
	found, err := a.operator.ListHeld(r.Context(), filter)
	if err != nil {
		return 0, nil, err
	}
	page := HeldPage{Count: len(found), Held: []Held{}}
	for _, h := range found[:min(limit, len(found))] {
		page.Held = append(page.Held, HeldOf(h, formOf(header)))
	}
	return http.StatusOK, page, nil
}

// knows refuses a filter of an entity that is not configured: it has no held records to be
// found.
func (a *Admin) knows(f ledger.LetterFilter) error {
	if f.Entity == "" {
		return nil
	}
	_, err := a.entity(f.Entity)
	return err
}

// heldNamed names one held record at the version that the caller has seen.
type heldNamed struct {
	Entity  string         `json:"entity"`
	ID      jsontext.Value `json:"id"`
	Version Version        `json:"version"`
}

func (a *Admin) theHeld(n heldNamed) (operate.Held, error) {
	e, err := a.entity(n.Entity)
	if err != nil {
		return operate.Held{}, err
	}
	if n.Version.Version < 1 {
		return operate.Held{}, schema.Invalid("version", "must be the version that is held")
	}
	ids, err := canonicalIDs(e, []jsontext.Value{n.ID})
	if err != nil {
		return operate.Held{}, schema.Invalid("id", "must be an id")
	}
	return operate.Held{Entity: e, ID: ids[0], Version: n.Version.Version}, nil
}

// editHeld writes a held record again with some fields changed.
func (a *Admin) editHeld(r *http.Request, by ledger.Actor, h http.Header) (int, any, error) {
	var body struct {
		heldNamed
		Fields map[string]jsontext.Value `json:"fields"`
	}
	if err := readBody(r, &body); err != nil {
		return 0, nil, err
	}
	if len(body.Fields) == 0 {
		return 0, nil, schema.Invalid("fields", "must name what to change")
	}
	one, err := a.theHeld(body.heldNamed)
	if err != nil {
		return 0, nil, err
	}
	accepted, err := a.operator.EditOne(r.Context(), one, FieldsOf(body.Fields), by)
	if !operate.Done(err) {
		return 0, nil, err
	}
	h.Set("ETag", `"`+accepted.Version.String()+`"`)
	return http.StatusAccepted, AcceptedOf(accepted, formOf(h)), err
}

func (a *Admin) retryHeld(r *http.Request, by ledger.Actor, h http.Header) (int, any, error) {
	return a.heldBulk(r, by, h, operate.ActRetryHeld, a.operator.RetryOne)
}

func (a *Admin) discardHeld(r *http.Request, by ledger.Actor, h http.Header) (int, any, error) {
	return a.heldBulk(r, by, h, operate.ActDiscardHeld, a.operator.DiscardOne)
}

// heldBulk acts on one record, or on all of a filter: within the request where they are
// few, else as a job.
func (a *Admin) heldBulk(r *http.Request, by ledger.Actor, h http.Header, action operate.Action,
	one func(context.Context, operate.Held, ledger.Actor) error) (int, any, error) {
	var body struct {
		heldNamed
		Filter *Filter `json:"filter"`
		Expect *int    `json:"expect"`
	}
	if err := readBody(r, &body); err != nil {
		return 0, nil, err
	}
	if body.Filter == nil {
		named, err := a.theHeld(body.heldNamed)
		if err == nil {
			err = one(r.Context(), named, by)
		}
		return http.StatusOK, operate.Report{Selected: 1, Done: 1}, err
	}
	switch {
	case body.Entity != "" || body.ID != nil || !body.Version.IsZero():
		return 0, nil, schema.Invalid("filter", "or entity, id and version must be given, not both")
	case body.Expect == nil:
		return 0, nil, schema.Invalid("expect",
			"must be the number of held records that the filter selects, as GET /v1/admin/held counts them")
	case body.Filter.State != "" || body.Filter.Resolution != "":
		return 0, nil, schema.Invalid("filter", "cannot choose a state: that is of dead letters")
	}
	filter, err := body.Filter.Select(time.Now())
	if err != nil {
		return 0, nil, err
	}
	if err := a.knows(filter); err != nil {
		return 0, nil, err
	}
	found, err := a.operator.SelectHeld(r.Context(), filter)
	if err != nil {
		return 0, nil, err
	}
	if len(found) != *body.Expect {
		return 0, nil, unexpected(*body.Expect, len(found), "held records")
	}
	return a.few(r.Context(), h, action, operate.Selection{Filter: filter, Expect: len(found)}, len(found), by)
}
