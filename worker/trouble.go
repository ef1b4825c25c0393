package worker

import (
	"context"
	"encoding/json"
	"errors"
	"sync"
	"time"

	"github.com/afterwrite/afterwrite/cache/pending"
	"github.com/afterwrite/afterwrite/internal/fleet"
	"github.com/afterwrite/afterwrite/internal/problem"
	"github.com/afterwrite/afterwrite/schema"
	"github.com/afterwrite/afterwrite/store"
)

// A table is in trouble if, for example, a deploy dropped the constraint of its key, broke the function of a trigger,
// or removed a column or a permission. Then all records fail alike, with an error that names none of their values. They
// wait, and nothing counts as an attempt. One at a time is tried, each time another, because the fault may after all
// concern only some records. Once a record is persisted the trouble is over, and records that still fail are refused as
// usual.
//
// Each worker finds troubles by itself and reports them with its heartbeat.

// troublePause is the time between two attempts on a partition whose table is in trouble; tryAgain is the time until a
// record that was tried has its next turn. troubleLife is how long trouble that was not met again is reported, because
// another worker may have found it over.
const (
	troublePause = 2 * time.Second
	tryAgain     = 5 * time.Second
	troubleLife  = 30 * time.Second
)

// troubles tracks the tables that accept no record. It is safe for concurrent use.
type troubles struct {
	mu sync.Mutex
	at map[place]trouble
}

type trouble struct {
	table   string
	message string
	met     time.Time // last
}

// note records trouble, and reports whether it is new to the entity: all partitions of a table meet the same.
func (t *troubles) note(at place, table, message string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	known := false
	for other, one := range t.at {
		known = known || other.entity == at.entity && one.message == message
	}
	if t.at == nil {
		t.at = map[place]trouble{}
	}
	t.at[at] = trouble{table, message, time.Now()}
	return !known
}

func (t *troubles) known(at place) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	_, ok := t.at[at]
	return ok
}

func (t *troubles) clear(at place) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	_, ok := t.at[at]
	delete(t.at, at)
	return ok
}

// entities returns one trouble per entity, and the number of partitions of each entity that are in trouble.
func (t *troubles) entities() (by map[string]fleet.Trouble, partitions map[string]int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	by, partitions = map[string]fleet.Trouble{}, map[string]int{}
	for at, one := range t.at {
		if time.Since(one.met) > troubleLife {
			delete(t.at, at)
			continue
		}
		by[at.entity] = fleet.Trouble{Table: one.table, Error: one.message}
		partitions[at.entity]++
	}
	return by, partitions
}

// tellTroubles sets the metric and returns the troubles for the heartbeat; "" is none.
func (w *Worker) tellTroubles() string {
	by, partitions := w.troubles.entities()
	for name := range w.entities {
		w.metrics.trouble.WithLabelValues(name).Set(float64(partitions[name]))
	}
	if len(by) == 0 {
		return ""
	}
	text, err := json.Marshal(by)
	if err != nil {
		return "" // impossible: texts can be encoded
	}
	return string(text)
}

// ofTable reports whether the records of an isolated flush failed alike, with an error of their table. For an isolated
// record it returns true only if the table was found in trouble before, because the other records have shown that the
// table accepts writes.
func (w *Worker) ofTable(f *flushing, outcome store.Outcome) (message string, ok bool) {
	if !f.searching || len(outcome.Persisted)+len(outcome.Slow) > 0 || len(outcome.Refused) == 0 {
		return "", false
	}
	message = outcome.Refused[0].Refusal.Message
	for _, r := range outcome.Refused {
		if !r.OfTable || r.Refusal.Message != message {
			return "", false
		}
	}
	return message, !f.alone || w.troubles.known(f.place())
}

// wait leaves the records of a batch that failed alike as they are, and defers the task. The next batch is smaller. A
// record that was alone in its batch makes room for another: it is held, and no attempt is counted.
func (w *Worker) wait(ctx context.Context, f *flushing, message string) error {
	table := f.order.Entity.Table
	if w.troubles.note(f.place(), table, message) {
		w.tellTroubles()
		w.log.ErrorContext(ctx, "table accepts no records; all fail alike and wait", "entity", f.order.Entity.Name,
			"table", table, "partition", f.order.Partition, "error", message,
			"hint", problem.TableHint)
	}
	w.suspects.shrink(f.place(), len(f.last.Due))
	if len(f.last.Due) == 1 {
		if err := w.makeRoom(ctx, f, message); err != nil {
			return w.unsettled(err)
		}
	}
	return w.later("table", errors.New(table+": "+message), troublePause)
}

// newRows is the partition under which trouble of new rows is noted: no partition is paused for it.
const newRows = -1

// unmapped holds a record that would make a row, of a table that demands more of new rows than the entity has fields
// for. As with other trouble of a table nothing counts as an attempt: a default or a field on the column fixes it, then
// the record is persisted. Rows that exist are updated meanwhile.
func (w *Worker) unmapped(f *flushing, one store.Refused) pending.Refused {
	e, due, now := f.order.Entity, f.due[one.ID], f.now()
	message := "no new row can be made: " + one.Refusal.Message
	if w.troubles.note(place{e.Name, newRows}, e.Table, message) {
		w.tellTroubles()
		w.log.Error("table accepts no new rows; records that would make one wait", "entity", e.Name, "table", e.Table,
			"column", one.Refusal.Column, "error", one.Refusal.Message,
			"hint", "give the column a default, or the entity a field on it; nothing counts as an attempt")
	}
	refusal := tableRefusal(e, message)
	refusal.Column = one.Refusal.Column
	return pending.Refused{Change: one.Change, Refusal: refusal, Attempts: due.Attempts, History: due.History,
		Since: due.PendingSince, Next: now.Add(tryAgain), At: now, Isolated: one.Isolate}
}

func tableRefusal(e *schema.Entity, message string) schema.Refusal {
	return schema.Refusal{Kind: schema.KindTable, Message: bounded(e.Table + ": " + message)}
}

func (w *Worker) makeRoom(ctx context.Context, f *flushing, message string) error {
	ctx, cancel := finish(ctx)
	defer cancel()
	d, now := f.last.Due[0], f.now()
	held := pending.Refused{
		Change: d.Change, Refusal: tableRefusal(f.order.Entity, message), Attempts: d.Attempts,
		History: d.History, Since: d.PendingSince, Next: now.Add(tryAgain), At: now, Isolated: f.alone,
	}
	_, err := w.cache.Hold(ctx, f.order.Entity, f.order.Partition, []pending.Refused{held})
	return wrap("hold", f.order, 1, err)
}
