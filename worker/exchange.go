package worker

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/afterwrite/afterwrite/cache/pending"
	"github.com/afterwrite/afterwrite/schema"
	"github.com/afterwrite/afterwrite/store"
	"github.com/afterwrite/afterwrite/store/fault"
)

// Records that exchange unique values, two that swap them or more in a circle, are persisted together or not at all.
// Within one batch the store does that. If they are in different batches, each is refused, because the row of another
// has its value. So for a record that is refused for a unique index, this file searches for the records of these rows:
// if they wait, too, with changes that give the values away, one transaction writes all of them.
//
// The transaction is a flush of each of their partitions: it locks their fences, in ascending order, then reads the
// records, has Redis note its turn in each partition, writes, commits, and acks each record in its own partition. If we
// crash before the commit nothing has changed; after it what is not acked is flushed once more, in the state that its
// row has or a newer one.

const (
	maxExchange   = 16 // records that are persisted together
	maxFences     = 8  // partitions that they are in
	exchangeTries = 3  // while they are written or flushed meanwhile
)

// Results of an exchange, the values of a label.
const (
	exchangePersisted = "persisted"
	exchangeGone      = "gone"     // the record does not wait any more: another worker has flushed it
	exchangeKept      = "kept"     // the owner of a value does not give it away, as far as anything waits
	exchangeTooLong   = "too_long" // of more records or partitions than one transaction may have
	exchangeUnknown   = "unknown"  // the index has an expression, or a column that is no field
	exchangeRefused   = "refused"  // the database refused the records together, too
	exchangeChanged   = "changed"  // they were written or flushed again and again meanwhile
	exchangeFailed    = "failed"   // Redis or the database did not respond, or another transaction was in the way
)

var exchangeResults = []string{exchangePersisted, exchangeGone, exchangeKept, exchangeTooLong, exchangeUnknown,
	exchangeRefused, exchangeChanged, exchangeFailed}

// tooLong is added to the refusal of a record whose exchange is too long.
var tooLong = fmt.Sprintf(
	" (the records that exchange their values with it are more than %d, or in more than %d partitions)", maxExchange, maxFences)

// exchange moves refused records that were persisted together with the owners of their values from the refused ones to
// the persisted ones. An exchange that failed tells nothing of its records, and is no attempt of theirs.
func (w *Worker) exchange(ctx context.Context, f *flushing, outcome *store.Outcome) (err error) {
	ctx, cancel := context.WithTimeout(ctx, w.patience(f.order.Entity))
	defer cancel()
	all, done := outcome.Refused, map[string]bool{}
	results, failure := w.prospects(ctx, f, all)
	outcome.Refused = nil
	for _, one := range all {
		if result, search := results[one.ID]; search && !done[one.ID] {
			ids, failed := []string{one.ID}, failure
			if result == "" {
				result, ids, failed = w.exchangeOne(ctx, f, one)
			}
			w.metrics.exchanged.WithLabelValues(f.order.Entity.Name, result).Inc()
			w.log.DebugContext(ctx, "search for an exchange of unique values", "entity", f.order.Entity.Name,
				"id", one.ID, "constraint", one.Refusal.Constraint, "result", result, "records", len(ids), "error", failed)
			switch result {
			case exchangeGone:
				continue
			case exchangePersisted:
				for _, id := range ids {
					done[id] = true
				}
				err = errors.Join(err, failed)
			case exchangeTooLong:
				one.Refusal.Message += tooLong
			case exchangeFailed, exchangeChanged:
				one.Blocked = true
			}
		}
		if done[one.ID] {
			outcome.Persisted = append(outcome.Persisted, one.Change)
		} else {
			outcome.Refused = append(outcome.Refused, one)
		}
	}
	return err
}

// prospects looks at all records that were refused for a unique index at once, for mostly nothing comes of it. The
// result of a record is known if the owner of its value keeps it; else it is "", and an exchange is searched for.
func (w *Worker) prospects(ctx context.Context, f *flushing, refused []store.Refused) (map[string]string, error) {
	results, same := map[string]string{}, map[string][]schema.Change{}
	refusals := map[string]schema.Refusal{}
	for _, one := range refused {
		if !f.alone && one.Refusal.Kind == schema.KindUnique && !one.Deleted {
			results[one.ID], refusals[one.Refusal.Constraint] = "", one.Refusal
			same[one.Refusal.Constraint] = append(same[one.Refusal.Constraint], one.Change)
		}
	}
	for constraint, changes := range same {
		owners, known, err := w.store.Owners(ctx, f.order.Entity, refusals[constraint], changes)
		records := map[string]schema.Change{}
		if err == nil && known {
			records, err = w.waiting(ctx, f.order.Entity, places(f.order.Entity, owners))
		}
		if err != nil {
			for id := range results {
				results[id] = exchangeFailed
			}
			return results, err
		}
		if !known {
			for _, c := range changes {
				results[c.ID] = exchangeUnknown
			}
		}
		for _, o := range kept(owners, records) {
			results[o.Of] = exchangeKept
		}
	}
	return results, nil
}

// kept are the owners that do not give their values away, as far as their records wait.
func kept(owners []store.Owner, records map[string]schema.Change) []store.Owner {
	return slices.DeleteFunc(slices.Clone(owners), func(o store.Owner) bool {
		owner, waits := records[o.ID]
		return waits && !o.Keeps(owner)
	})
}

// places are the ids of owners by partition.
func places(e *schema.Entity, owners []store.Owner) map[int][]string {
	ids, seen := map[int][]string{}, map[string]bool{}
	for _, o := range owners {
		if !seen[o.ID] {
			seen[o.ID] = true
			ids[e.Partition(o.ID)] = append(ids[e.Partition(o.ID)], o.ID)
		}
	}
	return ids
}

// exchangeOne persists a record together with those that exchange values with it. An error beside exchangePersisted is
// of the steps after the commit.
func (w *Worker) exchangeOne(ctx context.Context, f *flushing, one store.Refused) (result string, ids []string,
	err error) {
	for range exchangeTries {
		var records map[string]schema.Change
		if records, result, err = w.exchanging(ctx, f, one); result == "" {
			ids = slices.Collect(maps.Keys(records))
			result, err = w.together(ctx, f, records)
		}
		if result != exchangeChanged && !fault.Conflict(err) {
			break
		}
	}
	if errors.Is(err, schema.ErrOlder) && w.older != nil {
		w.older()
	}
	return result, ids, err
}

// exchanging returns a record and those of the rows that have the values which it wants, of the rows that have the
// values which these want, and so on. result is "" if each gives them away. No fence is locked: what they are by then
// shows when they are written.
func (w *Worker) exchanging(ctx context.Context, f *flushing, one store.Refused) (records map[string]schema.Change,
	result string, err error) {
	e := f.order.Entity
	records = map[string]schema.Change{}
	var owners []store.Owner
	for next := map[int][]string{f.order.Partition: {one.ID}}; len(next) > 0; {
		found, err := w.waiting(ctx, e, next)
		if err != nil {
			return nil, exchangeFailed, err
		}
		maps.Copy(records, found)
		if _, waits := records[one.ID]; !waits {
			return nil, exchangeGone, nil
		}
		if len(kept(owners, records)) > 0 {
			return nil, exchangeKept, nil
		}
		if owners, _, err = w.store.Owners(ctx, e, one.Refusal, slices.Collect(maps.Values(found))); err != nil {
			return nil, exchangeFailed, err
		}
		next = places(e, slices.DeleteFunc(slices.Clone(owners), func(o store.Owner) bool {
			_, there := records[o.ID]
			return there
		}))
		if tooMany(e, records, next) {
			return nil, exchangeTooLong, nil
		}
	}
	return records, "", nil
}

// tooMany reports whether records and more of them are too many for one transaction.
func tooMany(e *schema.Entity, records map[string]schema.Change, more map[int][]string) bool {
	partitions, n := map[int]bool{}, len(records)
	for id := range records {
		partitions[e.Partition(id)] = true
	}
	for partition, ids := range more {
		partitions[partition] = true
		n += len(ids)
	}
	return n > maxExchange || len(partitions) > maxFences
}

// waiting reads records that are pending or held, by partition, without a lock.
func (w *Worker) waiting(ctx context.Context, e *schema.Entity, ids map[int][]string) (map[string]schema.Change,
	error) {
	found := map[string]schema.Change{}
	for partition, some := range ids {
		batch, err := w.cache.These(ctx, e, partition, some, false)
		if err != nil {
			return nil, err
		}
		for i := range batch.Due {
			found[batch.Due[i].ID] = batch.Due[i].Change
		}
	}
	return found, nil
}

// together persists records in one transaction, if all of them wait still and the database accepts all of them.
func (w *Worker) together(ctx context.Context, f *flushing, records map[string]schema.Change) (result string,
	err error) {
	e, began, ids := f.order.Entity, time.Now(), map[int][]string{}
	for id := range records {
		ids[e.Partition(id)] = append(ids[e.Partition(id)], id)
	}
	late := &lateContext{Context: ctx}
	tx, err := w.store.Together(late, e, slices.Collect(maps.Keys(ids)))
	if err != nil {
		return exchangeFailed, err
	}
	defer tx.Rollback() // does nothing after a commit

	these := func(ctx context.Context, e *schema.Entity, partition, _, _ int) (pending.Batch, error) {
		return w.cache.These(ctx, e, partition, ids[partition], true)
	}
	// All fences are locked. For each partition the steps are those of a flush, see transact: read, compare the
	// pairings, note the turn. A partition of which nothing is read must not be committed: its turn is not noted.
	var parts []*flushing
	var changes []schema.Change
	for _, one := range tx.All() {
		part := &flushing{order: schema.Order{Entity: e, Partition: one.Partition()}, late: late}
		some, err := w.read(ctx, part, these)
		if err == nil {
			err = part.paired(one)
		}
		if err == nil && len(some) < len(ids[one.Partition()]) {
			return exchangeChanged, nil
		}
		if err == nil {
			err = w.note(ctx, part, one)
		}
		if err != nil {
			return exchangeFailed, err
		}
		one.Reaches(part.reach(one, true))
		parts, changes = append(parts, part), append(changes, some...)
	}
	outcome, err := tx.Write(ctx, changes)
	if err != nil {
		return exchangeFailed, err
	}
	if len(outcome.Persisted) < len(changes) {
		return refusedTogether(records, changes, outcome), nil
	}
	bars, err := w.bar(ctx, f, outcome.Beside)
	if err != nil {
		w.unbar(ctx, bars)
		return exchangeFailed, err
	}
	err = tx.Commit(ctx)
	if errors.As(err, new(*store.SplitError)) {
		w.unbar(ctx, bars)
		return exchangeRefused, nil
	}
	if err != nil {
		return exchangeFailed, err // it may have been committed all the same: the barrier stays
	}
	parts[0].barred = bars
	for _, part := range parts {
		part.committed(outcome)
	}
	return exchangePersisted, w.settleTogether(ctx, f, parts, outcome, time.Since(began))
}

// refusedTogether is the result of an exchange that the database has not accepted whole.
func refusedTogether(found map[string]schema.Change, read []schema.Change, outcome store.Outcome) string {
	blocked := func(r store.Refused) bool { return r.Blocked }
	switch {
	case slices.ContainsFunc(read, func(c schema.Change) bool { return c.Version != found[c.ID].Version }):
		return exchangeChanged
	case len(outcome.Refused) == 0 || slices.ContainsFunc(outcome.Refused, blocked):
		return exchangeFailed // a statement hung
	}
	return exchangeRefused
}

// settleTogether acks the records of an exchange, each in its partition. What an ack does not reach is flushed again.
func (w *Worker) settleTogether(ctx context.Context, f *flushing, parts []*flushing, outcome store.Outcome,
	took time.Duration) (err error) {
	for i, part := range parts {
		var own store.Outcome
		if i == 0 { // what is beside the records is of no partition of theirs
			own.Beside, own.Noted = outcome.Beside, outcome.Noted
		}
		for _, c := range outcome.Persisted {
			if part.due[c.ID] != nil {
				own.Persisted = append(own.Persisted, c)
			}
		}
		err = errors.Join(err, w.settle(ctx, part, own))
		if part.order.Partition != f.order.Partition { // of its own partition the flush tells
			w.measure(part, own, took)
		}
	}
	return err
}
