package check

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"sync"

	"github.com/afterwrite/afterwrite/cache"
	"github.com/afterwrite/afterwrite/producer"
	"github.com/afterwrite/afterwrite/schema"
)

// Ledger remembers the answers to writes. Its zero value is ready, and it is safe for
// concurrent use.
type Ledger struct {
	mu      sync.Mutex // guards records and the accounts in it
	records map[name]*account
}

// name names a record.
type name struct{ entity, id string }

// account is what is known of one record's writes.
type account struct {
	id      string
	acked   []entry
	doubted []cache.Write // the reply was lost: it took effect once, at some time, or never
}

// entry is an acknowledged write.
type entry struct {
	version schema.Version
	write   cache.Write
}

// maxDoubts bounds the lost replies of one record: their outcomes are tried in every
// combination.
const maxDoubts = 12

// Answer enters the answer to a write: acknowledged with a version, refused, or lost.
// The id is the canonical one, and fields are those of the request.
func (l *Ledger) Answer(e *schema.Entity, op cache.Op, id string, fields schema.Fields, v schema.Version, err error) {
	w := cache.Write{Op: op, ID: id}
	var bad error
	switch op {
	case cache.OpPut, cache.OpCreate:
		w.Values, bad = e.Whole(fields)
	case cache.OpPatch:
		w.Values, bad = e.Partial(fields)
	case cache.OpIncrement:
		w.Deltas, bad = producer.Deltas(e, fields)
	}
	if bad != nil {
		return // refused for what it is: nothing was written
	}
	l.Enter(e, w, v, err)
}

// Enter is [Ledger.Answer] for a write whose values are canonical already.
func (l *Ledger) Enter(e *schema.Entity, w cache.Write, v schema.Version, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	a := l.account(e, w.ID)
	switch {
	case err == nil:
		a.acked = append(a.acked, entry{v, w})
	case errors.Is(err, schema.ErrOutcomeUnknown):
		a.doubted = append(a.doubted, w)
	}
}

// Len is the number of acknowledged writes.
func (l *Ledger) Len() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := 0
	for _, a := range l.records {
		n += len(a.acked)
	}
	return n
}

func (l *Ledger) account(e *schema.Entity, id string) *account {
	key := name{e.Name, id}
	if l.records == nil {
		l.records = map[name]*account{}
	}
	if l.records[key] == nil {
		l.records[key] = &account{id: id}
	}
	return l.records[key]
}

// of returns the ids of an entity, in order, and their accounts.
func (l *Ledger) of(e *schema.Entity) (ids []string, accounts map[string]*account) {
	l.mu.Lock()
	defer l.mu.Unlock()
	accounts = map[string]*account{}
	for key, a := range l.records {
		if key.entity == e.Name {
			accounts[key.id] = a
		}
	}
	return slices.Sorted(maps.Keys(accounts)), accounts
}

func (a *account) newest() schema.Version {
	var v schema.Version
	for _, w := range a.acked {
		v = max(v, w.version)
	}
	return v
}

// state is a state that a record may be in, with the set of doubted writes that it took
// to get there.
type state struct {
	row   schema.Row
	taken uint
}

func (s state) key() string { return fmt.Sprintf("%d %v %q", s.taken, s.row.Exists, s.row.Values) }

// outcomes are the states in which the record may have ended: the acknowledged writes
// in the order of their versions, and each doubted one somewhere among them or nowhere.
func (a *account) outcomes(e *schema.Entity) ([]schema.Row, error) {
	if len(a.doubted) > maxDoubts {
		return nil, fmt.Errorf("%d writes without a reply, at most %d can be followed", len(a.doubted), maxDoubts)
	}
	acked := slices.Clone(a.acked)
	slices.SortFunc(acked, func(x, y entry) int { return cmp.Compare(x.version, y.version) })
	states := a.guess(e, []state{{row: schema.Row{ID: a.id}}})
	for i, w := range acked {
		if i > 0 && w.version == acked[i-1].version {
			return nil, fmt.Errorf("version %s was given twice", w.version)
		}
		for j := range states {
			states[j].row, _ = apply(e, states[j].row, w.write)
		}
		states = a.guess(e, states)
	}
	var rows []schema.Row
	for _, s := range states {
		rows = append(rows, s.row)
	}
	return rows, nil
}

// guess adds the states to which doubted writes lead, each taken at most once.
func (a *account) guess(e *schema.Entity, states []state) []state {
	seen := map[string]bool{}
	var all []state
	for queue := states; len(queue) > 0; queue = queue[1:] {
		s := queue[0]
		if seen[s.key()] {
			continue
		}
		seen[s.key()] = true
		all = append(all, s)
		for i, w := range a.doubted {
			if s.taken&(1<<i) != 0 {
				continue
			}
			if row, ok := apply(e, s.row, w); ok {
				queue = append(queue, state{row, s.taken | 1<<i})
			}
		}
	}
	return all
}

// apply returns the row after a write. It reports false where the write would have been
// refused, which leaves the row.
func apply(e *schema.Entity, row schema.Row, w cache.Write) (schema.Row, bool) {
	switch {
	case w.Op == cache.OpPut, w.Op == cache.OpCreate && !row.Exists:
		return schema.Row{ID: row.ID, Exists: true, Values: w.Values}, true
	case !row.Exists || w.Op == cache.OpCreate:
		return row, false
	case w.Op == cache.OpDelete:
		return schema.Row{ID: row.ID}, true
	}
	values := slices.Clone(row.Values)
	for i, text := range w.Values {
		if text != "" {
			values[i] = text
		}
	}
	for _, d := range w.Deltas {
		n, err := strconv.ParseInt(values[d.Field], 10, 64)
		if err != nil {
			return row, false // null: an increment refuses it
		}
		low, high := e.Fields[d.Field].IntBounds()
		sum := n + d.By
		if sum < low || sum > high || (d.By > 0) != (sum > n) && d.By != 0 {
			return row, false
		}
		values[d.Field] = strconv.FormatInt(sum, 10)
	}
	return schema.Row{ID: row.ID, Exists: true, Values: values}, true
}
