package worker

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/afterwrite/afterwrite/cache/pending"
	"github.com/afterwrite/afterwrite/internal/fleet"
	"github.com/afterwrite/afterwrite/schema"
)

// A record may have a write of a field that this worker's configuration lacks: another
// version of it runs in the API, or the field was renamed or removed while writes were
// pending. To write the rest and ack the record would lose that value. So the record is left
// as it is: it is held, which counts no attempt, until a worker that knows its fields
// flushes it. Each worker publishes the fields that it knows and those that it has met and does
// not know; one that knows what another does not is hinted, and flushes these records itself,
// for a task would go to any worker.

// Pauses of a record that is left: it doubles each time, so that records which no worker
// knows cost little.
const (
	leftPause = time.Second
	leftMost  = time.Minute
	// unknownLife is how long unknown fields are told after they were last met.
	unknownLife = 90 * time.Second
	// adoptEvery is the time between looks for what others have left, if no hint comes.
	adoptEvery = 30 * time.Second
	// adoptPages bounds the held records of a partition that one look reads.
	adoptPages = 20
	// adoptTries is how often a partition is flushed for one hint.
	adoptTries = 20
	// leftLog is the time between two log lines on the same fields.
	leftLog = time.Minute
)

// unknowns are the fields that this worker has met and does not know. It is safe for
// concurrent use.
type unknowns struct {
	mu sync.Mutex
	of map[string]map[string]time.Time // entity → field → when it was last met
	at map[string]time.Time            // entity → when it was last logged
}

// maxUnknown bounds the fields of an entity that are told.
const maxUnknown = 50

// note remembers fields, and reports whether some of them are new and whether to log them.
func (u *unknowns) note(entity string, fields []string) (isNew, log bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.of == nil {
		u.of, u.at = map[string]map[string]time.Time{}, map[string]time.Time{}
	}
	if u.of[entity] == nil {
		u.of[entity] = map[string]time.Time{}
	}
	for _, f := range fields {
		_, ok := u.of[entity][f]
		if !ok && len(u.of[entity]) >= maxUnknown {
			continue
		}
		isNew = isNew || !ok
		u.of[entity][f] = time.Now()
	}
	if log = isNew || time.Since(u.at[entity]) > leftLog; log {
		u.at[entity] = time.Now()
	}
	return isNew, log
}

// entities are the fields by entity, without those that were not met again.
func (u *unknowns) entities() map[string][]string {
	u.mu.Lock()
	defer u.mu.Unlock()
	all := map[string][]string{}
	for entity, fields := range u.of {
		maps.DeleteFunc(fields, func(_ string, met time.Time) bool { return time.Since(met) > unknownLife })
		if len(fields) > 0 {
			all[entity] = slices.Sorted(maps.Keys(fields))
		}
	}
	return all
}

// tellUnknown sets the metric, and returns the unknown fields as the heartbeat has them; ""
// is none.
func (w *Worker) tellUnknown() string {
	all := w.unknowns.entities()
	for name := range w.entities {
		w.metrics.unknown.WithLabelValues(name).Set(float64(len(all[name])))
	}
	if len(all) == 0 {
		return ""
	}
	text, err := json.Marshal(all)
	if err != nil {
		return "" // texts
	}
	return string(text)
}

// leave holds the records of a batch that have fields which this worker does not know, for
// one that does. If we crash before it they are as they were, and met again.
func (w *Worker) leave(ctx context.Context, f *flushing) error {
	if len(f.last.Unknown) == 0 {
		return nil
	}
	o, now := f.order, f.now()
	var fields []string
	held := make([]pending.Refused, len(f.last.Unknown))
	for i, d := range f.last.Unknown {
		slices.Sort(d.Unknown)
		for _, name := range d.Unknown {
			if !slices.Contains(fields, name) {
				fields = append(fields, name)
			}
		}
		held[i] = pending.Refused{
			Change: d.Change, Attempts: d.Attempts, History: d.History, Since: d.PendingSince, Left: d.Left + 1,
			Next: now.Add(leftFor(d.Left)), At: now, Refusal: w.unknownField(o.Entity, d.Unknown),
		}
	}
	isNew, log := w.unknowns.note(o.Entity.Name, fields)
	n, err := w.cache.Hold(ctx, o.Entity, o.Partition, held)
	w.metrics.left.WithLabelValues(o.Entity.Name).Add(float64(n))
	if log {
		w.log.WarnContext(ctx, "records left: they have writes of fields that this worker's configuration lacks", "entity",
			o.Entity.Name,
			"partition", o.Partition, "records", n, "fields", strings.Join(fields, ","), "first", f.last.Unknown[0].ID,
			"hint", fleet.UnknownFieldsHint)
	}
	if isNew { // others see what to do as soon as they are hinted
		w.sayAlive(ctx)
	}
	if isNew || log {
		if err := w.cache.Hint(ctx, fleet.UnknownHint); err != nil {
			w.log.Debug("hint not sent: others look by themselves", "error", err)
		}
	}
	return wrap("leave", o, len(held), err)
}

// leftFor is the pause of a record that was left so often before. Some of it is random, so
// that the records of a batch do not come back together with another worker's.
func leftFor(times int) time.Duration {
	pause := leftMost
	if times < 6 {
		pause = leftPause << times
	}
	return pause - rand.N(pause/4)
}

// unknownField is why a record is left.
func (w *Worker) unknownField(e *schema.Entity, fields []string) schema.Refusal {
	names := strings.Join(fields, ",")
	return schema.Refusal{Kind: schema.KindUnknownField, Column: bounded(names), Message: bounded(fmt.Sprintf(
		"the configuration of worker %s lacks %s of %s: left to a worker that has it", w.id, names, e.Name))}
}

// adopt flushes the records that other workers have left and this one knows. What another
// worker holds again meanwhile is looked at again with the next hint.
func (w *Worker) adopt(ctx context.Context) error {
	if err := w.checkPairing(); err != nil {
		return err
	}
	some := w.all
	if w.adopted { // the first time it may be the restart that brings the field
		alive, err := w.cache.Alive(ctx)
		if err != nil {
			return err
		}
		some = w.leftByOthers(alive)
	}
	for _, e := range some {
		partitions, err := w.cache.Stats(ctx, e)
		if err != nil {
			return err
		}
		for partition, stats := range partitions {
			if stats.Held == 0 || stats.Paused {
				continue
			}
			if err := w.adoptIn(ctx, e, partition); err != nil {
				return err
			}
		}
	}
	w.adopted = true
	return nil
}

// leftByOthers are the entities of which another worker has met fields that this one knows.
func (w *Worker) leftByOthers(alive []fleet.Process) []*schema.Entity {
	var some []*schema.Entity
	for _, u := range fleet.Unknowns(slices.DeleteFunc(alive, func(p fleet.Process) bool { return p.ID == w.id })) {
		e := w.entities[u.Entity]
		if e != nil && slices.ContainsFunc(u.Fields, func(name string) bool { _, ok := e.FieldOf(name); return ok }) {
			some = append(some, e)
		}
	}
	return some
}

// adoptIn flushes what others have left in a partition. Their tasks go on beside it and may
// be first, so it tries more than once.
func (w *Worker) adoptIn(ctx context.Context, e *schema.Entity, partition int) error {
	for range adoptTries {
		n, err := w.makeDue(ctx, e, partition)
		if err != nil || n == 0 || w.ending() {
			return err
		}
		// A batch that has begun is finished. What is left the sweeper has flushed.
		_, err = w.flush(context.WithoutCancel(ctx), schema.Order{Entity: e, Partition: partition})
		if err != nil {
			return err
		}
	}
	return nil
}

// makeDue makes due what others have left in a partition and this worker knows.
func (w *Worker) makeDue(ctx context.Context, e *schema.Entity, partition int) (n int, err error) {
	for page := range adoptPages {
		held, err := w.cache.Waiting(ctx, e, partition, page*movePage, movePage)
		if err != nil {
			return n, err
		}
		moved, err := w.cache.Reschedule(ctx, e, partition, adoptable(e, held))
		if n += moved; err != nil || len(held) == 0 {
			return n, err
		}
	}
	return n, nil
}

// adoptable makes records due that were left for fields which this worker knows.
func adoptable(e *schema.Entity, held []pending.Waiting) []pending.Move {
	var moves []pending.Move
	for _, one := range held {
		lacks := func(name string) bool { _, ok := e.FieldOf(name); return !ok }
		fields := strings.Split(one.Refusal.Column, ",")
		if one.Refusal.Kind == schema.KindUnknownField && !slices.ContainsFunc(fields, lacks) {
			moves = append(moves, pending.Move{ID: one.ID, From: one.Next, To: one.At})
		}
	}
	return moves
}
