package dashboard

import (
	"context"
	"html/template"
	"net/http"
	"strconv"
	"time"

	"github.com/afterwrite/afterwrite/dashboard/internal/export"
	"github.com/afterwrite/afterwrite/dashboard/internal/filter"
	"github.com/afterwrite/afterwrite/dashboard/internal/format"
	"github.com/afterwrite/afterwrite/dashboard/internal/groups"
	"github.com/afterwrite/afterwrite/dashboard/internal/held"
	"github.com/afterwrite/afterwrite/internal/operate"
	"github.com/afterwrite/afterwrite/schema"
)

// heldSummary is what a page says of all held records of a filter.
type heldSummary struct {
	Total   int64 // of the entity, or of all, whatever else the filter says
	Next    time.Time
	Down    bool // Redis does not answer
	Counted bool // the groups are known
	Least   bool // the groups are not all of them
	Count   int64
	Groups  []group
	Query   template.URL
}

// summary counts the held records of a filter by their error. What cannot be counted is
// said, and spoils no page.
func (d *dashboard) summary(ctx context.Context, s *snapshot, f filter.Filter, until time.Time) heldSummary {
	sum := heldSummary{Down: s.RedisDown(), Query: f.With("state", "")}
	if d.Records == nil {
		return sum
	}
	for _, e := range s.Entities {
		if f.Entity == "" || f.Entity == e.Entity.Name {
			sum.Total += e.Total.Held
			if n := e.Total.OldestHeld; e.Total.Held > 0 && (sum.Next.IsZero() || n.Before(sum.Next)) {
				sum.Next = n
			}
		}
	}
	found, known, err := d.groupings.Of(ctx, heldOf(f), until)
	if err != nil {
		d.Log.WarnContext(ctx, "held records cannot be counted", "error", err)
		return sum
	}
	sum.Counted, sum.Least = known, !found.Whole
	for _, g := range found.Groups {
		sum.Count += int64(g.Count)
		sum.Groups = append(sum.Groups, group{g, f.With("entity", g.Entity, "kind", string(g.Refusal.Kind), "text",
			clip(g.Refusal.Message, filter.MaxText), "state", "")})
	}
	return sum
}

// heldOf selects held records; what state letters are in says nothing of them.
func heldOf(f filter.Filter) groups.Key {
	f.State = ""
	return groups.Key{Held: true, Filter: f.LetterFilter}
}

// heldBody is a page of held records.
type heldBody struct {
	Held    heldSummary
	Filter  filter.Filter
	Kinds   []schema.Kind
	Records []held.Row
	Here    template.URL // the filter
	After   string       // where this page begins
	More    template.URL // the next page; "" at the end
	Cut     bool         // the page ends before it is full: so many were looked at
	At      time.Time
	Jobs    []jobState
	MayAct  bool // the viewer may act
}

func (d *dashboard) held(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	f, err := filter.Parse(q)
	if err != nil {
		d.fail(w, r, http.StatusBadRequest, format.Brief(err))
		return
	}
	after, err := held.ParsePlace(q.Get("after"))
	if err != nil {
		d.fail(w, r, http.StatusBadRequest, format.Brief(err))
		return
	}
	body := heldBody{Filter: f, Kinds: schema.HeldKinds, After: q.Get("after"), Here: f.With("state", ""),
		MayAct: d.Letters != nil && who(r).May(Operator)}
	if d.Jobs != nil {
		body.Jobs = d.jobsNow(r.Context())
	}
	s := d.snapshot(r.Context())
	walk := held.Begin(d.Records, s.Entities, f.Entity, after)
	rows, last, err := walk.Rows(r.Context(), f.LetterFilter, held.Page)
	if err != nil {
		d.broken(w, r, "list held records", err)
		return
	}
	body.Records, body.Cut = rows, last != "" && len(rows) < held.Page
	if last != "" {
		body.More = f.With("state", "", "after", last)
	}
	body.Held = d.summary(r.Context(), s, f, time.Now().Add(groups.Patience))
	body.At = s.At
	d.render(w, r, http.StatusOK, "held", page{Title: "Held records", Refresh: d.refresh(r), At: s.At, Body: body})
}

var heldColumns = []string{"entity", "id", "kind", "constraint", "column", "error", "attempts", "last_attempt",
	"next_attempt"}

func (d *dashboard) exportHeld(w http.ResponseWriter, r *http.Request) {
	f, err := filter.Parse(r.URL.Query())
	if err != nil {
		d.fail(w, r, http.StatusBadRequest, format.Brief(err))
		return
	}
	walk := held.Begin(d.Records, d.snapshot(r.Context()).Entities, f.Entity, held.Place{})
	walk.Large()
	d.export(w, r, "held", heldColumns, func() ([][]string, error) {
		var lines [][]string
		for len(lines) < export.Page {
			row, ok, err := walk.Next(r.Context())
			if err != nil || !ok {
				return lines, err
			}
			if operate.HeldFits(f.LetterFilter, row.Waiting) {
				lines = append(lines, []string{row.Entity.Name, row.ID, string(row.Refusal.Kind),
					row.Refusal.Constraint, row.Refusal.Column,
					row.Refusal.Message, strconv.Itoa(row.Attempts), export.Stamp(row.At), export.Stamp(row.Next)})
			}
		}
		return lines, nil
	})
}
