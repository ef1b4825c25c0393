package dashboard

import (
	"context"
	"encoding/json"
	"html/template"
	"net/http"
	"strconv"
	"time"

	"github.com/afterwrite/afterwrite/cache/pending"
	"github.com/afterwrite/afterwrite/dashboard/internal/export"
	"github.com/afterwrite/afterwrite/dashboard/internal/filter"
	"github.com/afterwrite/afterwrite/dashboard/internal/format"
	"github.com/afterwrite/afterwrite/dashboard/internal/groups"
	"github.com/afterwrite/afterwrite/dashboard/internal/held"
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

const (
	maxGroups  = 50
	letterPage = 50
)

// refusedBody is the page of what the database has refused.
type refusedBody struct {
	Filter  filter.Filter
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
	MayAct  bool // the viewer may act
}

// group is the letters of one entity with one error.
type group struct {
	ledger.LetterGroup
	Query template.URL // filters for it
}

// letterRow is a letter in a list.
type letterRow struct{ ledger.Letter }

// Waiting reports whether the letter awaits an operator.
func (l letterRow) Waiting() bool { return l.State() == string(ledger.StateWaiting) }

// State says where a letter stands.
func (l letterRow) State() string {
	switch {
	case l.Resolution != ledger.Unresolved:
		return string(l.Resolution)
	case !l.RetriedAt.IsZero():
		return "retried"
	}
	return string(ledger.StateWaiting)
}

func (d *dashboard) refused(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	f, err := filter.Parse(q)
	if err != nil {
		d.fail(w, r, http.StatusBadRequest, format.Brief(err))
		return
	}
	body := refusedBody{Filter: f, Kinds: schema.Kinds, States: filter.States, Jobs: d.jobsNow(r.Context()),
		MayAct: who(r).May(Operator)}
	if text := q.Get("before"); text != "" {
		if body.Before, err = filter.Number("before", text); err != nil {
			d.fail(w, r, http.StatusBadRequest, format.Brief(err))
			return
		}
	}
	if err := d.fillRefused(r.Context(), &body); err != nil {
		d.broken(w, r, "list dead letters", err)
		return
	}
	d.render(w, r, http.StatusOK, "refused", page{Title: "Failed writes", Refresh: d.refresh(r), At: time.Now(),
		Body: body})
}

// fillRefused reads one page of letters, then the groups, which are counted beside it. The
// groups tell the count as well: each letter is in one of them.
func (d *dashboard) fillRefused(ctx context.Context, body *refusedBody) error {
	f, until := body.Filter, time.Now().Add(groups.Patience)
	dead := groups.Key{Filter: f.Selects()}
	d.groupings.Begin(dead)
	d.groupings.Begin(heldOf(f))
	// One more than is shown tells whether there is a next page.
	some, err := d.Letters.List(ctx, f.Selects(), body.Before, letterPage+1)
	if err != nil {
		return err
	}
	if len(some) > letterPage {
		some = some[:letterPage]
		body.Next = some[letterPage-1].Number
	}
	for _, l := range some {
		body.Letters = append(body.Letters, letterRow{l})
	}
	s := d.snapshot(ctx)
	found, known, err := d.groupings.Of(ctx, dead, until)
	if err != nil {
		return err
	}
	body.Counted, body.Least = known, !found.Whole
	for _, g := range found.Groups {
		body.Count += int64(g.Count)
		body.Groups = append(body.Groups, group{g, f.With("entity", g.Entity, "kind", string(g.Refusal.Kind), "text",
			clip(g.Refusal.Message, filter.MaxText))})
	}
	body.Held = d.summary(ctx, s, f, until)
	return nil
}

// count counts refused records by their error.
func (d *dashboard) count(ctx context.Context, f groups.Key) (groups.Groups, error) {
	if f.Held {
		walk := held.Begin(d.Records, d.snapshot(ctx).Entities, f.Filter.Entity, held.Place{})
		list, whole, err := walk.Groups(ctx, f.Filter, maxGroups)
		return groups.Groups{Groups: list, Whole: whole}, err
	}
	list, err := d.Letters.Groups(ctx, f.Filter, maxGroups)
	return groups.Groups{Groups: list, Whole: len(list) < maxGroups}, err
}

var letterColumns = []string{
	"number", "entity", "id", "version", "operation", "kind", "constraint", "column", "error", "attempts",
	"accepted_at", "died_at", "state", "resolver", "payload",
}

func (d *dashboard) exportLetters(w http.ResponseWriter, r *http.Request) {
	f, err := filter.Parse(r.URL.Query())
	if err != nil {
		d.fail(w, r, http.StatusBadRequest, format.Brief(err))
		return
	}
	before := int64(0)
	d.export(w, r, "dead-letters", letterColumns, func() ([][]string, error) {
		some, err := d.Letters.List(r.Context(), f.Selects(), before, export.Page)
		var lines [][]string
		for _, l := range some {
			before = l.Number
			lines = append(lines, d.letterLine(l))
		}
		return lines, err
	})
}

func (d *dashboard) letterLine(l ledger.Letter) []string {
	operation := "put"
	if l.Deleted {
		operation = "delete"
	}
	return []string{
		strconv.FormatInt(l.Number, 10), l.Entity, l.ID, l.Version.String(), operation, string(l.Refusal.Kind),
		l.Refusal.Constraint,
		l.Refusal.Column, l.Refusal.Message, strconv.Itoa(l.Attempts), export.Stamp(l.AcceptedAt),
		export.Stamp(l.DiedAt), letterRow{l}.State(),
		l.Resolver, d.veiled(l.Entity, l.Payload),
	}
}

// veiled is a payload without the values that its fields hide. What cannot be told apart
// is hidden wholly.
func (d *dashboard) veiled(entity, payload string) string {
	e := d.entityNamed(entity)
	if e == nil || payload == "" {
		return veil(payload)
	}
	var fields map[string]json.RawMessage
	if json.Unmarshal([]byte(payload), &fields) != nil {
		return hidden
	}
	values := make([]string, len(e.Fields))
	for i, f := range e.Fields {
		values[i] = string(fields[f.Name])
		if f.Redact && veil(values[i]) == hidden {
			values[i] = `"` + hidden + `"`
		}
	}
	return string(e.AppendFields(nil, values))
}
