package dashboard

import (
	"context"
	"html/template"
	"net/http"
	"time"

	"github.com/afterwrite/afterwrite/cache/pending"
	"github.com/afterwrite/afterwrite/internal/operate"
	"github.com/afterwrite/afterwrite/producer"
	"github.com/afterwrite/afterwrite/schema"
	"github.com/afterwrite/afterwrite/store/ledger"
)

// letters looks after dead letters and retry policies. A operate.Operator is one.
type Letters interface {
	List(ctx context.Context, f ledger.LetterFilter, before int64, max int) ([]ledger.Letter, error)
	Groups(ctx context.Context, f ledger.LetterFilter, max int) ([]ledger.LetterGroup, error)
	Show(ctx context.Context, number int64) (operate.View, error)
	Selected(ctx context.Context, s operate.Selection) (int, error)
	Retry(ctx context.Context, s operate.Selection, by ledger.Actor) (operate.Report, error)
	Discard(ctx context.Context, s operate.Selection, by ledger.Actor) (operate.Report, error)
	Edit(ctx context.Context, number int64, changes schema.Fields, by ledger.Actor) (producer.Accepted, error)
	Policy(ctx context.Context, entity string) (ledger.Policy, error)
	Policies(ctx context.Context, entities ...*schema.Entity) ([]ledger.Policy, error)
	PolicyHistory(ctx context.Context, entity string, max int) ([]ledger.Policy, error)
	ReplacePolicy(ctx context.Context, entity string, p schema.RetryPolicy, expected int64, by ledger.Actor,
		note string) (ledger.Policy, error)
	Rollback(ctx context.Context, entity string, to, expected int64, by ledger.Actor) (ledger.Policy, error)
	Effect(ctx context.Context, entity string, p schema.RetryPolicy) (operate.Effect, error)
	Audit(ctx context.Context, q ledger.AuditQuery) ([]ledger.AuditEntry, error)
	SelectHeld(ctx context.Context, f ledger.LetterFilter) ([]operate.Held, error)
	RetryOne(ctx context.Context, h operate.Held, by ledger.Actor) error
	DiscardOne(ctx context.Context, h operate.Held, by ledger.Actor) error
	EditOne(ctx context.Context, h operate.Held, changes schema.Fields, by ledger.Actor) (producer.Accepted, error)
	FlushNow(ctx context.Context, entity string, by ledger.Actor) (pending.Now, error)
}

const maxGroups = 50

// refusedBody is the page of what the database has refused.
type refusedBody struct {
	Filter  filter
	Kinds   []schema.Kind
	States  []ledger.LetterState
	Held    heldSummary
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
	ledger.LetterGroup
	Query template.URL // filters for it
}

// letterRow is a letter in a list.
type letterRow struct {
	ledger.Letter
	Waits bool // for an operator
}

// State says where a letter stands.
func (l letterRow) State() string {
	switch {
	case l.Resolution != ledger.Unresolved:
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
	body := refusedBody{Filter: f, Kinds: schema.Kinds, States: states, Jobs: d.jobsNow(r.Context()),
		Mends: who(r).May(Operator)}
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
	d.render(w, r, http.StatusOK, "refused", page{Title: "Refused writes", Refresh: d.refresh(r), At: time.Now(),
		Body: body})
}

// fillRefused reads one page of letters, then the groups, which are counted beside it. The
// groups tell the count as well: each letter is in one of them.
func (d *dashboard) fillRefused(ctx context.Context, body *refusedBody) error {
	f, until := body.Filter, time.Now().Add(groupPatience)
	dead := grouped{filter: f.selects()}
	d.beginGroups(dead)
	d.beginGroups(heldOf(f))
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
		body.Letters = append(body.Letters, letterRow{l, l.Resolution == ledger.Unresolved && l.RetriedAt.IsZero()})
	}
	s := d.snapshot(ctx)
	found, known, err := d.groupsOf(ctx, dead, until)
	if err != nil {
		return err
	}
	body.Counted, body.Least = known, !found.whole
	for _, g := range found.groups {
		body.Count += int64(g.Count)
		body.Groups = append(body.Groups, group{g, f.With("entity", g.Entity, "kind", string(g.Refusal.Kind), "text",
			clip(g.Refusal.Message, maxText))})
	}
	body.Held = d.summary(ctx, s, f, until)
	return nil
}
