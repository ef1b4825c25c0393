package dashboard

import (
	"context"
	"html/template"
	"net/http"
	"slices"
	"time"

	"github.com/afterwrite/afterwrite"
	"github.com/afterwrite/afterwrite/cache"
	"github.com/afterwrite/afterwrite/internal/mend"
	"github.com/afterwrite/afterwrite/producer"
	"github.com/afterwrite/afterwrite/store"
)

// letters looks after dead letters and retry policies. A mend.Mender is one.
type letters interface {
	List(ctx context.Context, f store.LetterFilter, before int64, max int) ([]store.Letter, error)
	Groups(ctx context.Context, f store.LetterFilter, max int) ([]store.LetterGroup, error)
	Show(ctx context.Context, number int64) (mend.View, error)
	Selected(ctx context.Context, s mend.Selection) (int, error)
	Retry(ctx context.Context, s mend.Selection, by store.Actor) (mend.Report, error)
	Discard(ctx context.Context, s mend.Selection, by store.Actor) (mend.Report, error)
	Edit(ctx context.Context, number int64, changes afterwrite.Fields, by store.Actor) (producer.Accepted, error)
	Policy(ctx context.Context, entity string) (store.Policy, error)
	PolicyHistory(ctx context.Context, entity string, max int) ([]store.Policy, error)
	ReplacePolicy(ctx context.Context, entity string, p afterwrite.RetryPolicy, expected int64, by store.Actor, note string) (store.Policy, error)
	Rollback(ctx context.Context, entity string, to, expected int64, by store.Actor) (store.Policy, error)
	Effect(ctx context.Context, entity string, p afterwrite.RetryPolicy) (mend.Effect, error)
	Audit(ctx context.Context, q store.AuditQuery) ([]store.AuditEntry, error)
	FlushNow(ctx context.Context, entity string, by store.Actor) (cache.Now, error)
}

const maxGroups = 50

// refusedBody is the page of what the database has refused.
type refusedBody struct {
	Filter  filter
	Kinds   []afterwrite.Kind
	States  []store.LetterState
	Held    []entityRow // entities with held records
	HeldErr bool
	Groups  []group
	Counted bool // the groups are known
	Count   int64
	Least   bool // the groups are not all of them, so Count is a lower bound
	Letters []letterRow
	Next    int64 // number to page on after; 0: this is the last page
	Before  int64
	Jobs    []jobState
	Mends   bool // the viewer may act
}

// group is the letters of one entity with one error.
type group struct {
	store.LetterGroup
	Query template.URL // filters for it
}

// letterRow is a letter in a list.
type letterRow struct {
	store.Letter
	Waits bool // for an operator
}

// State says where a letter stands.
func (l letterRow) State() string {
	switch {
	case l.Resolution != store.Unresolved:
		return string(l.Resolution)
	case !l.RetriedAt.IsZero():
		return "sent back"
	}
	return "waits"
}

func (d *dashboard) refused(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	f, err := d.parseFilter(q)
	if err != nil {
		d.fail(w, r, http.StatusBadRequest, brief(err))
		return
	}
	body := refusedBody{Filter: f, Kinds: afterwrite.Kinds, States: states, Jobs: d.jobs.list(), Mends: who(r).May(Operator)}
	if text := q.Get("before"); text != "" {
		if body.Before, err = parseNumber("before", text); err != nil {
			d.fail(w, r, http.StatusBadRequest, brief(err))
			return
		}
	}
	if err := d.fillRefused(r.Context(), &body); err != nil {
		d.broken(w, r, "list dead letters", err)
		return
	}
	s := d.snapshot(r.Context())
	body.HeldErr = s.redisDown()
	for _, e := range s.entities {
		if e.total.Held > 0 && (f.Entity == "" || f.Entity == e.entity.Name) {
			body.Held = append(body.Held, row(e.entity.Name, e, s.at))
		}
	}
	d.render(w, r, http.StatusOK, "refused", page{Title: "Refused writes", Refresh: d.refresh(r), At: time.Now(), Body: body})
}

// fillRefused reads groups and one page of letters. The groups tell the count as well:
// each letter is in one of them.
func (d *dashboard) fillRefused(ctx context.Context, body *refusedBody) error {
	f := body.Filter
	groups, known, err := d.groupsOf(ctx, f.selects())
	if err != nil {
		return err
	}
	body.Counted = known
	body.Least = len(groups) == maxGroups
	for _, g := range groups {
		body.Count += int64(g.Count)
		body.Groups = append(body.Groups, group{g, f.With("entity", g.Entity, "kind", string(g.Refusal.Kind), "text", clip(g.Refusal.Message, maxText))})
	}
	// One more than is shown tells whether there is a next page.
	some, err := d.Letters.List(ctx, f.selects(), body.Before, letterPage+1)
	if err != nil {
		return err
	}
	if len(some) > letterPage {
		some = some[:letterPage]
		body.Next = some[letterPage-1].Number
	}
	for _, l := range some {
		body.Letters = append(body.Letters, letterRow{l, l.Resolution == store.Unresolved && l.RetriedAt.IsZero()})
	}
	return nil
}

// heldBody is a page of one entity's held records.
type heldBody struct {
	Entity  string
	Total   int64
	At      time.Time
	Records []heldRow
	From    int // how many were skipped
	Next    int // to skip on the next page; 0: this is the last one
}

type heldRow struct {
	ID       string
	Next, At time.Time
	Attempts int
	Kind     afterwrite.Kind
	Max      int // attempts of the policy in the configuration
}

// Held records are read partition by partition, so the skipped ones are read as well;
// the page therefore goes so far and no farther.
const (
	heldPage = 100
	maxSkip  = 10_000
)

func (d *dashboard) held(w http.ResponseWriter, r *http.Request) {
	e := d.entityNamed(r.PathValue("entity"))
	if e == nil {
		d.notFound(w, r)
		return
	}
	skip, err := parseSkip(r.URL.Query().Get("from"))
	if err != nil {
		d.fail(w, r, http.StatusBadRequest, brief(err))
		return
	}
	body := heldBody{Entity: e.Name, From: skip, At: time.Now()}
	stats, err := d.Cache.Stats(r.Context(), e)
	if err != nil {
		d.broken(w, r, "list held records", err)
		return
	}
	for _, p := range stats {
		body.Total += p.Held
		if n := int64(skip); n >= p.Held {
			skip -= int(p.Held)
			continue
		}
		if err := d.fillHeld(r.Context(), e, p.Partition, skip, &body); err != nil {
			d.broken(w, r, "list held records", err)
			return
		}
		skip = 0
	}
	if shown := body.From + len(body.Records); int64(shown) < body.Total && len(body.Records) > 0 && shown <= maxSkip {
		body.Next = shown
	}
	slices.SortStableFunc(body.Records, func(a, b heldRow) int { return a.Next.Compare(b.Next) })
	d.render(w, r, http.StatusOK, "held", page{Title: "Held records of " + e.Name, Refresh: d.refresh(r), At: body.At, Body: body})
}

func (d *dashboard) fillHeld(ctx context.Context, e *afterwrite.Entity, partition, skip int, body *heldBody) error {
	room := heldPage - len(body.Records)
	if room <= 0 {
		return nil
	}
	waiting, err := d.Records.Waiting(ctx, e, partition, skip, room)
	for _, one := range waiting {
		body.Records = append(body.Records, heldRow{one.ID, one.Next, one.At, one.Attempts, one.Kind, e.Retry.For(one.Kind).MaxAttempts})
	}
	return err
}
