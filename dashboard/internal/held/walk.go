// Package held walks over the records that are held, in the order of their next attempt.
package held

import (
	"cmp"
	"container/heap"
	"context"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/afterwrite/afterwrite/cache/pending"
	"github.com/afterwrite/afterwrite/internal/health"
	"github.com/afterwrite/afterwrite/internal/operate"
	"github.com/afterwrite/afterwrite/schema"
	"github.com/afterwrite/afterwrite/store/ledger"
)

// Held records are in Redis, by partition, ordered by their next attempt. A page walks all
// the partitions at once, merged in that order, from the place where the page before it
// ended: however many there are, it reads about as many as it shows. A filter that fits
// few of them ends after so many looks, and the next page goes on there.
const (
	Page      = 100
	looks     = 10_000          // records looked at for one page
	counted   = operate.MaxHeld // records looked at for the groups
	chunkMost = 500             // records of a partition that are read at once, at most
)

// Row is a held record.
type Row struct {
	Entity *schema.Entity
	pending.Waiting
}

// Place is where a page ends: the next one begins after it.
type Place struct {
	next   time.Time
	entity string
	id     string
}

// Place is where a page that the record ends ends.
func (r Row) Place() Place { return Place{r.Next, r.Entity.Name, r.ID} }

func (p Place) compare(other Place) int {
	return cmp.Or(p.next.Compare(other.next), cmp.Compare(p.entity, other.entity), cmp.Compare(p.id, other.id))
}

// String is the place as ?after= spells it.
func (p Place) String() string {
	return strconv.FormatInt(p.next.UnixMilli(), 10) + "." + p.entity + "." + p.id
}

// ParsePlace reads a place of ?after=; "" is the begin.
func ParsePlace(text string) (Place, error) {
	if text == "" {
		return Place{}, nil
	}
	at, rest, _ := strings.Cut(text, ".")
	entity, id, ok := strings.Cut(rest, ".")
	ms, err := strconv.ParseInt(at, 10, 64)
	if err != nil || !ok || ms < 0 || ms > 1<<48 || !schema.ValidName(entity) || len(id) > schema.MaxIDBytes {
		return Place{}, schema.Invalid("after", "is no place in the held records")
	}
	return Place{time.UnixMilli(ms), entity, id}, nil
}

// Walk yields held records in order.
type Walk struct {
	records Source
	after   Place
	full    lanes   // have something to yield
	empty   []*lane // are to be read on
	chunk   int
}

// lane is one partition of a walk.
type lane struct {
	pending.HeldIn
	read []Row // not yielded yet
	more bool
}

// lanes is a heap: the lane whose next record comes first is at its head.
type lanes []*lane

func (l lanes) Len() int           { return len(l) }
func (l lanes) Less(i, j int) bool { return l[i].read[0].Place().compare(l[j].read[0].Place()) < 0 }
func (l lanes) Swap(i, j int)      { l[i], l[j] = l[j], l[i] }
func (l *lanes) Push(one any)      { *l = append(*l, one.(*lane)) }
func (l *lanes) Pop() any {
	last := (*l)[len(*l)-1]
	*l = (*l)[:len(*l)-1]
	return last
}

// Source reads the held records of partitions.
type Source interface {
	HeldFrom(ctx context.Context, places []pending.HeldIn, n int) (held [][]pending.Waiting, more []bool, err error)
}

// Begin begins a walk over the partitions that have held records, of the entity where one is named.
func Begin(records Source, entities []health.Entity, entity string, after Place) *Walk {
	w := &Walk{records: records, after: after}
	for _, f := range entities {
		if entity != "" && entity != f.Entity.Name {
			continue
		}
		for _, p := range f.Partitions {
			if p.Held > 0 {
				w.empty = append(w.empty, &lane{HeldIn: pending.HeldIn{Entity: f.Entity, Partition: p.Partition,
					From: after.next}})
			}
		}
	}
	w.chunk = min(max(2*Page/max(len(w.empty), 1), 10), chunkMost)
	return w
}

// Next returns the record that comes next; ok is false at the end.
func (w *Walk) Next(ctx context.Context) (row Row, ok bool, err error) {
	for len(w.empty) > 0 {
		if err := w.fill(ctx); err != nil {
			return row, false, err
		}
	}
	if len(w.full) == 0 {
		return row, false, nil
	}
	first := w.full[0]
	row, first.read = first.read[0], first.read[1:]
	switch {
	case len(first.read) > 0:
		heap.Fix(&w.full, 0)
	default:
		heap.Pop(&w.full)
		if first.more {
			w.empty = append(w.empty, first)
		}
	}
	return row, true, nil
}

// fill reads on in every lane that has nothing left, in one go.
func (w *Walk) fill(ctx context.Context) error {
	some := w.empty
	places := make([]pending.HeldIn, len(some))
	for i, l := range some {
		places[i] = l.HeldIn
	}
	held, more, err := w.records.HeldFrom(ctx, places, w.chunk)
	if err != nil {
		return err
	}
	w.empty = nil
	for i, l := range some {
		l.more = more[i]
		l.Skip += w.chunk
		for _, one := range held[i] {
			if row := (Row{l.Entity, one}); row.Place().compare(w.after) > 0 {
				l.read = append(l.read, row)
			}
		}
		switch {
		case len(l.read) > 0:
			heap.Push(&w.full, l)
		case l.more:
			w.empty = append(w.empty, l)
		}
	}
	w.chunk = min(2*w.chunk, chunkMost)
	return nil
}

// Large has the walk read as much at once as it may: it is for the whole of it.
func (w *Walk) Large() { w.chunk = chunkMost }

// Rows returns the next records that fit, at most max, and the place to go on at, "" at the end.
func (w *Walk) Rows(ctx context.Context, f ledger.LetterFilter, max int) (rows []Row, last string, err error) {
	for looked := 0; ; looked++ {
		row, ok, err := w.Next(ctx)
		if err != nil || !ok {
			return rows, "", err
		}
		if len(rows) == max || looked == looks {
			return rows, last, nil
		}
		last = row.Place().String()
		if operate.HeldFits(f, row.Waiting) {
			rows = append(rows, row)
		}
	}
}

// Groups counts the records that fit by entity and error, the largest groups first and at most so many. It reports
// whether these are all.
func (w *Walk) Groups(ctx context.Context, f ledger.LetterFilter, most int) ([]ledger.LetterGroup, bool,
	error) {
	type key struct {
		entity  string
		refusal schema.Refusal
	}
	groups, whole := map[key]*ledger.LetterGroup{}, true
	w.Large()
	for looked := 0; ; looked++ {
		row, ok, err := w.Next(ctx)
		if err != nil {
			return nil, whole, err
		}
		if whole = !ok; !ok || looked == counted {
			break
		}
		if !operate.HeldFits(f, row.Waiting) {
			continue
		}
		at := key{row.Entity.Name, row.Refusal}
		g := groups[at]
		if g == nil {
			if len(groups) == looks {
				break
			}
			g = &ledger.LetterGroup{Entity: at.entity, Refusal: at.refusal, First: row.At}
			groups[at] = g
		}
		g.Count++
		if row.At.After(g.Last) {
			g.Last = row.At
		}
	}
	var list []ledger.LetterGroup
	for _, g := range groups {
		list = append(list, *g)
	}
	slices.SortFunc(list, func(a, b ledger.LetterGroup) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Entity, b.Entity),
			cmp.Compare(a.Refusal.Message, b.Refusal.Message))
	})
	if len(list) > most {
		list, whole = list[:most], false
	}
	return list, whole, nil
}
