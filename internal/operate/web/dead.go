package web

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/afterwrite/afterwrite/internal/operate"
	"github.com/afterwrite/afterwrite/internal/problem"
	"github.com/afterwrite/afterwrite/schema"
	"github.com/afterwrite/afterwrite/store/ledger"
)

// letters answers a page of dead letters, the newest first.
func (a *Admin) letters(r *http.Request, _ ledger.Actor, h http.Header) (int, any, error) {
	q := queryOf(r)
	filter := q.filter()
	limit := int(q.number("limit", 1, MaxLimit, DefaultLimit))
	after := q.number("after", 1, 1<<53, 0)
	if err := q.end(); err != nil {
		return 0, nil, err
	}
	found, err := a.operator.List(r.Context(), filter, after, limit+1)
	if err != nil {
		return 0, nil, err
	}
	if len(found) == 0 {
		if err := a.known(r.Context(), filter.Entity); err != nil {
			return 0, nil, err
		}
	}
	page := LetterPage{Letters: []Letter{}}
	if len(found) > limit {
		found = found[:limit]
		page.Next = &found[limit-1].Number
	}
	for _, l := range found {
		page.Letters = append(page.Letters, LetterOf(l, a.named(l.Entity), formOf(h)))
	}
	return http.StatusOK, page, nil
}

// named returns the entity of that name, nil where the configuration has it no more.
func (a *Admin) named(name string) *schema.Entity {
	e, _ := a.entity(name) // nil says it
	return e
}

// groups answers the dead letters counted by entity and error, the most first.
func (a *Admin) groups(r *http.Request, _ ledger.Actor, _ http.Header) (int, any, error) {
	q := queryOf(r)
	filter := q.filter()
	limit := int(q.number("limit", 1, MaxLimit, DefaultLimit))
	if err := q.end(); err != nil {
		return 0, nil, err
	}
	groups, err := a.operator.Groups(r.Context(), filter, limit)
	if err != nil {
		return 0, nil, err
	}
	if len(groups) == 0 {
		if err := a.known(r.Context(), filter.Entity); err != nil {
			return 0, nil, err
		}
	}
	list := make([]Group, len(groups))
	for i, g := range groups {
		list[i] = GroupOf(g, a.named(g.Entity))
	}
	return http.StatusOK, map[string]any{"groups": list}, nil
}

// letter answers one dead letter beside the record as it is now.
func (a *Admin) letter(r *http.Request, by ledger.Actor, h http.Header) (int, any, error) {
	number, err := numberOf(r)
	if err != nil {
		return 0, nil, err
	}
	q := queryOf(r)
	reveal := q.flag("reveal")
	if err := q.end(); err != nil {
		return 0, nil, err
	}
	view, err := a.operator.Show(r.Context(), number)
	if err != nil {
		return 0, nil, err
	}
	if reveal {
		if err := a.operator.Reveal(r.Context(), view.Letter, by); err != nil {
			return 0, nil, err
		}
	}
	form := formOf(h)
	form.Reveal = reveal
	return http.StatusOK, ShownOf(view, a.named(view.Entity), form), nil
}

func numberOf(r *http.Request) (int64, error) {
	n, err := strconv.ParseInt(r.PathValue("number"), 10, 64)
	if err != nil || n < 1 {
		return 0, ledger.ErrNoLetter
	}
	return n, nil
}

// edit writes a dead record again with some fields changed.
func (a *Admin) edit(r *http.Request, by ledger.Actor, h http.Header) (int, any, error) {
	number, err := numberOf(r)
	if err != nil {
		return 0, nil, err
	}
	var body struct {
		Fields map[string]jsontext.Value `json:"fields"`
	}
	if err := readBody(r, &body); err != nil {
		return 0, nil, err
	}
	if len(body.Fields) == 0 {
		return 0, nil, schema.Invalid("fields", "must name what to change")
	}
	accepted, err := a.operator.Edit(r.Context(), number, FieldsOf(body.Fields), by)
	if err != nil {
		return 0, nil, err
	}
	h.Set("ETag", `"`+accepted.Version.String()+`"`)
	return http.StatusAccepted, AcceptedOf(accepted, formOf(h)), nil
}

// selection is the body of a bulk action.
type selection struct {
	Numbers []int64 `json:"numbers"`
	Filter  *Filter `json:"filter"`
	Expect  *int    `json:"expect"`
	Restore bool    `json:"restore"` // retry alone
}

func (a *Admin) retry(r *http.Request, by ledger.Actor, h http.Header) (int, any, error) {
	return a.bulk(r, by, h, operate.ActRetry)
}

func (a *Admin) discard(r *http.Request, by ledger.Actor, h http.Header) (int, any, error) {
	return a.bulk(r, by, h, operate.ActDiscard)
}

// bulk does what is few within the request, and makes a job of what is many.
func (a *Admin) bulk(r *http.Request, by ledger.Actor, h http.Header, action operate.Action) (int, any, error) {
	var body selection
	if err := readBody(r, &body); err != nil {
		return 0, nil, err
	}
	s, err := body.selected()
	if err != nil {
		return 0, nil, err
	}
	if s.Restore = body.Restore; s.Restore && action != operate.ActRetry {
		return 0, nil, schema.Invalid("restore", "is for a retry")
	}
	n, err := a.operator.Selected(r.Context(), s)
	if err != nil {
		return 0, nil, err
	}
	if n == 0 {
		if err := a.known(r.Context(), s.Filter.Entity); err != nil {
			return 0, nil, err
		}
	}
	if body.Expect != nil && *body.Expect != n {
		return 0, nil, unexpected(*body.Expect, n, "dead letters")
	}
	return a.few(r.Context(), h, action, s, n, by)
}

// few does what is few at once, and makes a job of what is many.
func (a *Admin) few(ctx context.Context, h http.Header, action operate.Action, s operate.Selection, n int,
	by ledger.Actor) (int, any, error) {
	if n <= a.syncLimit {
		report, err := a.operator.Do(ctx, action, s, by)
		if err != nil {
			return 0, nil, err
		}
		return http.StatusOK, report, nil
	}
	job, err := a.jobs.Start(ctx, action, s, n, by)
	if err != nil {
		return 0, nil, err
	}
	h.Set("Location", "/v1/admin/jobs/"+job.ID)
	return http.StatusAccepted, JobOf(job), nil
}

func unexpected(expect, n int, nouns string) error {
	return &problem.Problem{Name: "unexpected-count", Code: http.StatusConflict, Title: "Another number of " + nouns,
		Detail: "expect is " + strconv.Itoa(expect) + ", but " + strconv.Itoa(n) + " " + nouns +
			" match now; look again, or set until to when you looked"}
}

// selected reads the selection. With a filter the caller must say how many letters it has
// seen, so that no operator retries or discards more than they have looked at.
func (b selection) selected() (operate.Selection, error) {
	var s operate.Selection
	switch {
	case (len(b.Numbers) > 0) == (b.Filter != nil):
		return s, schema.Invalid("numbers", "or filter must be given, not both")
	case len(b.Numbers) > MaxNumbers:
		return s, problem.TooMany("numbers", MaxNumbers)
	case len(b.Numbers) > 0:
		return operate.Selection{Numbers: b.Numbers}, nil
	case b.Expect == nil:
		return s, schema.Invalid("expect",
			"must be the number of dead letters that the filter selects, as GET /v1/admin/dead/groups counts them")
	case b.Filter.State != "" && b.Filter.State != string(ledger.StateWaiting) || b.Filter.Resolution != "":
		return s, schema.Invalid("filter", "cannot choose another state: only waiting letters can be acted on")
	}
	filter, err := b.Filter.Select(time.Now())
	return operate.Selection{Filter: filter, Expect: *b.Expect}, err
}
