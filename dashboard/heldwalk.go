package dashboard

import (
	"cmp"
	"container/heap"
	"context"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/afterwrite/afterwrite/cache/pending"
	"github.com/afterwrite/afterwrite/internal/operate"
	"github.com/afterwrite/afterwrite/schema"
	"github.com/afterwrite/afterwrite/store/ledger"
)

// Held records are in Redis, by partition, ordered by their next attempt. A page walks all
// the partitions at once, merged in that order, from the place where the page before it
// ended: however many there are, it reads about as many as it shows. A filter that fits
// few of them ends after so many looks, and the next page goes on there.
const (
	heldPage  = 100
	heldLooks = 10_000          // records looked at for one page
	heldCount = operate.MaxHeld // records looked at for the groups
	heldChunk = 500             // records of a partition that are read at once, at most
)

// heldRow is a held record.
type heldRow struct {
	Entity *schema.Entity
	pending.Waiting
}

// place is where a page ends: the next one begins after it.
type place struct {
	next   time.Time
	entity string
	id     string
}

func (r heldRow) place() place { return place{r.Next, r.Entity.Name, r.ID} }

func (p place) compare(other place) int {
	return cmp.Or(p.next.Compare(other.next), cmp.Compare(p.entity, other.entity), cmp.Compare(p.id, other.id))
}

// String is the place as ?after= spells it.
func (p place) String() string {
	return strconv.FormatInt(p.next.UnixMilli(), 10) + "." + p.entity + "." + p.id
}

func parsePlace(q url.Values) (place, error) {
	text := q.Get("after")
	if text == "" {
		return place{}, nil
	}
	at, rest, _ := strings.Cut(text, ".")
	entity, id, ok := strings.Cut(rest, ".")
	ms, err := strconv.ParseInt(at, 10, 64)
	if err != nil || !ok || ms < 0 || ms > 1<<48 || !schema.ValidName(entity) || len(id) > schema.MaxIDBytes {
		return place{}, schema.Invalid("after", "is no place in the held records")
	}
	return place{time.UnixMilli(ms), entity, id}, nil
}

// heldWalk yields held records in order.
type heldWalk struct {
	records Records
	after   place
	full    lanes   // have something to yield
	empty   []*lane // are to be read on
	chunk   int
}

// lane is one partition of a walk.
type lane struct {
	pending.HeldIn
	read []heldRow // not yielded yet
	more bool
}

// lanes is a heap: the lane whose next record comes first is at its head.
type lanes []*lane

func (l lanes) Len() int           { return len(l) }
func (l lanes) Less(i, j int) bool { return l[i].read[0].place().compare(l[j].read[0].place()) < 0 }
func (l lanes) Swap(i, j int)      { l[i], l[j] = l[j], l[i] }
func (l *lanes) Push(one any)      { *l = append(*l, one.(*lane)) }
func (l *lanes) Pop() any {
	last := (*l)[len(*l)-1]
	*l = (*l)[:len(*l)-1]
	return last
}

// walkHeld begins a walk over the partitions that have held records, of the entity where
// one is named.
func (d *dashboard) walkHeld(s *snapshot, entity string, after place) *heldWalk {
	w := &heldWalk{records: d.Records, after: after}
	for _, f := range s.Entities {
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
	w.chunk = min(max(2*heldPage/max(len(w.empty), 1), 10), heldChunk)
	return w
}

// next returns the record that comes next; ok is false at the end.
func (w *heldWalk) next(ctx context.Context) (row heldRow, ok bool, err error) {
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
func (w *heldWalk) fill(ctx context.Context) error {
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
			if row := (heldRow{l.Entity, one}); row.place().compare(w.after) > 0 {
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
	w.chunk = min(2*w.chunk, heldChunk)
	return nil
}

// heldGroups counts held records by entity and error, the largest groups first.
func (d *dashboard) heldGroups(ctx context.Context, f ledger.LetterFilter) (groups, error) {
	type key struct {
		entity  string
		refusal schema.Refusal
	}
	counted, found := map[key]*ledger.LetterGroup{}, groups{whole: true}
	w := d.walkHeld(d.snapshot(ctx), f.Entity, place{})
	w.chunk = heldChunk
	for looked := 0; ; looked++ {
		row, ok, err := w.next(ctx)
		if err != nil {
			return found, err
		}
		if found.whole = !ok; !ok || looked == heldCount {
			break
		}
		if !operate.HeldFits(f, row.Waiting) {
			continue
		}
		at := key{row.Entity.Name, row.Refusal}
		g := counted[at]
		if g == nil {
			if len(counted) == heldLooks {
				break
			}
			g = &ledger.LetterGroup{Entity: at.entity, Refusal: at.refusal, First: row.At}
			counted[at] = g
		}
		g.Count++
		if row.At.After(g.Last) {
			g.Last = row.At
		}
	}
	for _, g := range counted {
		found.groups = append(found.groups, *g)
	}
	slices.SortFunc(found.groups, func(a, b ledger.LetterGroup) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Entity, b.Entity),
			cmp.Compare(a.Refusal.Message, b.Refusal.Message))
	})
	if len(found.groups) > maxGroups {
		found.groups, found.whole = found.groups[:maxGroups], false
	}
	return found, nil
}
