package worker

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/afterwrite/afterwrite/cache/pending"
	"github.com/afterwrite/afterwrite/schema"
	"github.com/afterwrite/afterwrite/store"
	"github.com/afterwrite/afterwrite/store/fault"
)

// This file is the walk of a flush, from top to bottom: lock the partition's fence, read
// the batch, write it, commit, settle it in Redis.

// flushing is one flush of a partition and what it has read.
type flushing struct {
	order     schema.Order
	alone     bool // of one isolated record, see isolate.go; otherwise of a batch
	limit     int  // records of the batch
	searching bool // the store searches for the record that makes the batch fail, see suspect.go
	ahead     bool // the last batch was full: see store/look.go

	reads   int
	started time.Time               // of the first read, by this process's clock
	first   pending.Batch           // ReadAt: everything accepted before it is in the flush
	last    pending.Batch           // the batch of the transaction that ended last
	due     map[string]*pending.Due // by id, as last read
	redis   error                   // of a read that failed
	barred  []barred                // of all transactions of the flush
	behind  time.Time               // the next attempt of a record that is alone is not before, by Redis's clock
	spans   *flushSpans             // see trace.go
	late    *lateContext            // of the transaction
}

// place returns the partition that is flushed.
func (f *flushing) place() place { return place{f.order.Entity.Name, f.order.Partition} }

// now returns Redis's time, as precisely as the clocks run alike.
func (f *flushing) now() time.Time { return f.first.ReadAt.Add(time.Since(f.started)) }

// ids returns the ids of the records that were read last.
func (f *flushing) ids() []string {
	ids := make([]string, len(f.last.Due))
	for i, d := range f.last.Due {
		ids[i] = d.ID
	}
	return ids
}

// flush persists one batch of the partition; more says that another batch is due. After the batch comes one isolated
// record, if any is due, so that the others never wait for more than one. The error can be returned to the queue as it
// is.
func (w *Worker) flush(ctx context.Context, o schema.Order) (more bool, err error) {
	f := &flushing{order: o}
	f.limit, f.searching = w.suspects.limit(f.place(), o.Entity.Flush.Batch)
	_, f.ahead = w.backlogs.Load(f.place())
	outcome, err := w.persist(ctx, f)
	if err != nil {
		return false, err
	}
	untried := len(f.last.Due) > len(outcome.Persisted)+len(outcome.Refused)+len(outcome.Slow)
	more = f.last.More || untried
	// If flushes of the partition fail, its other records come first.
	if !f.last.Isolated || f.searching || w.ending() {
		return more, nil
	}
	_, err = w.persist(ctx, &flushing{order: o, alone: true, limit: 1, searching: true})
	return more, err
}

// conflicts is how often a flush that the database rolled back because of another one is retried immediately. Such a
// failure says nothing about the batch, and is frequent if several partitions insert into one unique index of MySQL.
const conflicts = 3

// persist flushes and settles, behind the gate that closes while the database is away.
func (w *Worker) persist(ctx context.Context, f *flushing) (outcome store.Outcome, err error) {
	leave, ok := w.gate.enter()
	if !ok {
		return store.Outcome{}, w.later("closed", errClosed, w.gate.wait())
	}
	begun := time.Now()
	// An isolated batch has twice the time: a statement that times out should do so in the database, which shows the
	// change that it belongs to.
	bound := w.patience(f.order.Entity)
	if f.searching {
		bound *= 2
	}
	bounded, cancel := context.WithTimeout(ctx, bound)
	defer cancel()
	defer func() { f.spans.end(len(f.last.Due), outcome, err) }()
	f.late = &lateContext{Context: bounded}
	outcome, err = w.transact(f.late, f, nil)
	for again := 0; again < conflicts && fault.Conflict(err); again++ {
		outcome, err = w.transact(f.late, f, nil)
	}
	ctx = f.spans.within(ctx)
	if err != nil {
		return store.Outcome{}, w.failed(ctx, f, err, leave)
	}
	leave(fine)
	if message, ok := w.ofTable(f, outcome); ok {
		return store.Outcome{}, w.wait(ctx, f, message)
	}
	w.succeeded(f, outcome)
	if err = w.settle(ctx, f, outcome); err == nil {
		err = w.exchange(ctx, f, &outcome)
	}
	if err = errors.Join(err, w.refuse(ctx, f, outcome.Refused)); err != nil {
		return store.Outcome{}, w.unsettled(err)
	}
	w.measure(f, outcome, time.Since(begun))
	return outcome, nil
}

// transact runs one transaction: lock, read, write, commit; only for the records in only, if it is given. If COMMIT is
// refused, each half of the batch has a transaction of its own.
func (w *Worker) transact(ctx context.Context, f *flushing, only []string) (store.Outcome, error) {
	e, partition, began := f.order.Entity, f.order.Partition, time.Now()

	// On SQLite with a backlog, read before the lock, because the lock keeps all other flushes waiting.
	var look store.Look
	var changes []schema.Change
	var err error
	if f.ahead && only == nil && !f.searching {
		if look, err = w.store.Look(ctx, e, partition); err != nil {
			return store.Outcome{}, err
		}
		if look.Useful() {
			if changes, err = w.read(ctx, f, w.cache.DueAhead); err != nil {
				return store.Outcome{}, err
			}
		}
	}

	// Lock the fence. If we crash here the database ends the transaction with our
	// connection and frees the fence; a frozen process loses it after the database's timeout.
	begin := w.store.Begin
	if f.searching {
		begin = w.store.Isolate
	}
	tx, err := begin(ctx, e, partition)
	if err != nil {
		return store.Outcome{}, err
	}
	defer tx.Rollback() // does nothing after a commit

	// Read, now that every flush before this one has committed. If we crash here nothing has changed: reading removes
	// nothing from the pending set.
	if !tx.Follows(look) {
		due := func(ctx context.Context, e *schema.Entity, partition, limit, maxBytes int) (pending.Batch, error) {
			turns := pending.Turns{Before: tx.Before(), This: tx.Turn()}
			return w.cache.DueNoted(ctx, e, partition, limit, maxBytes, turns)
		}
		if changes, err = w.read(ctx, f, due); err != nil {
			return store.Outcome{}, err
		}
	}
	w.traced(f, began)
	if err := f.paired(tx); err != nil {
		return store.Outcome{}, err
	}
	// And Redis knows of the flush before, and notes this one before it is committed: an older
	// copy of it may have older states than the rows. If we crash here the next flush has the
	// same turn.
	if len(changes) > 0 {
		if err := w.note(ctx, f, tx); err != nil {
			return store.Outcome{}, err
		}
	}
	if only != nil {
		changes = slices.DeleteFunc(changes, func(c schema.Change) bool { return !slices.Contains(only, c.ID) })
	}

	tx.Reaches(f.reach(tx, only != nil))

	// Write. If we crash here the database rolls everything back; the records are pending as before.
	outcome, err := tx.Write(ctx, changes)
	if err != nil {
		return store.Outcome{}, err
	}

	// Keep the cache off what the database has changed beside the batch. If we crash here, or
	// after the commit, the barrier ends by itself and the next read loads the row.
	bars, err := w.bar(ctx, f, outcome.Beside)
	if err != nil {
		w.unbar(ctx, bars)
		return store.Outcome{}, err
	}

	// Commit. If we crash here, or the reply is lost, the batch may be in the database and is
	// still pending: the next flush writes the same state, or a newer one, again.
	err = tx.Commit(ctx)
	var split *store.SplitError
	if !errors.As(err, &split) {
		// After an error it may have been committed all the same: the barrier stays.
		if err == nil {
			f.barred = append(f.barred, bars...)
			f.committed(outcome)
		}
		return outcome, err
	}
	w.unbar(ctx, bars)
	outcome = split.Outcome
	for _, half := range split.Halves {
		more, err := w.transact(ctx, f, half)
		if err != nil {
			return store.Outcome{}, err
		}
		outcome.Add(more)
	}
	return outcome, nil
}

// paired returns an error unless Redis and the database belong together at this very moment: one of them may be another
// than a moment ago.
func (f *flushing) paired(tx *store.Flush) error {
	if len(f.last.Due)+len(f.last.Missing)+len(f.last.Unknown) == 0 || f.last.Pairing == tx.Pairing() {
		return nil
	}
	return fmt.Errorf("%w: the batch is of deployment %q, life %q, the database's is %q, %q", schema.ErrUnpaired,
		f.last.Pairing.Deployment, f.last.Pairing.Life, tx.Pairing().Deployment, tx.Pairing().Life)
}

// reach is what the flush leaves in the fence for the case that Redis goes back: how far it has read. A part of a batch
// persists only a part: what is known of all records stays as it is.
func (f *flushing) reach(tx *store.Flush, part bool) store.Reach {
	r := store.Reach(f.last.Reach)
	if part || r.Before == 0 {
		r.Before, r.Version = tx.Reach().Before, tx.Reach().Version
	}
	return r
}

// dueReader is DueNoted or DueAhead of Redis.
type dueReader = func(ctx context.Context, e *schema.Entity, partition, limit, maxBytes int) (pending.Batch, error)

// read reads the batch. It can be called more than once per flush, each time for a newer state.
func (w *Worker) read(ctx context.Context, f *flushing, due dueReader) ([]schema.Change, error) {
	b, err := w.batch(ctx, f, due)
	if err != nil {
		f.redis = err
		return nil, fmt.Errorf("read the batch: %w", err)
	}
	if f.reads++; f.reads == 1 {
		f.first, f.started, f.due = b, time.Now(), make(map[string]*pending.Due, len(b.Due))
	}
	f.last = b
	changes := make([]schema.Change, len(b.Due))
	for i := range b.Due {
		d := &b.Due[i]
		f.due[d.ID], changes[i] = d, d.Change
	}
	return changes, nil
}

func (w *Worker) batch(ctx context.Context, f *flushing, due dueReader) (pending.Batch, error) {
	if f.alone {
		return w.cache.DueAlone(ctx, f.order.Entity, f.order.Partition)
	}
	return due(ctx, f.order.Entity, f.order.Partition, f.limit, w.batchBytes)
}

// note has Redis note the turn of the flush of the batch that was read last.
func (w *Worker) note(ctx context.Context, f *flushing, tx *store.Flush) error {
	err := w.cache.Note(ctx, f.order.Entity, f.order.Partition, &f.last, tx.Before(), tx.Turn())
	if err != nil {
		if !errors.Is(err, schema.ErrOlder) {
			f.redis = err
		}
		return fmt.Errorf("note the turn: %w", err)
	}
	return nil
}

// committed has the acks of the flush name the turn of the transaction that ended last, if it persisted anything: a
// turn that was noted and rolled back, as where COMMIT was refused, must not be taken for a committed one.
func (f *flushing) committed(outcome store.Outcome) {
	if len(outcome.Persisted) > 0 {
		f.first.Follow(&f.last)
	}
}

// settle records in Redis what became of a batch, but for its refused records: persisted records are acked, slow
// records isolated, and ids without a record removed from the list. Every step is tried. If one fails, or we crash
// between two of them, its records stay as they were, and the next flush repeats the step without harm.
func (w *Worker) settle(ctx context.Context, f *flushing, outcome store.Outcome) error {
	ctx, cancel := finish(ctx)
	defer cancel()
	o := f.order
	w.unbar(ctx, f.barred)
	return errors.Join(
		w.dropAll(ctx, o, outcome.Beside),
		wrap("count the conflicts of", o, len(outcome.Noted), w.rowsChanged(ctx, o.Entity, outcome.Noted)),
		w.ack(ctx, f, outcome.Persisted),
		w.isolate(ctx, f, outcome.Slow),
		w.leave(ctx, f),
		w.drop(ctx, o, f.last.Missing),
	)
}

// ack marks changes as persisted in Redis, after the Persisted hook. If we crash between the two they are flushed
// again, and the hook runs again.
func (w *Worker) ack(ctx context.Context, f *flushing, persisted []schema.Change) error {
	o := f.order
	if hook := w.persisted[o.Entity.Name]; hook != nil && len(persisted) > 0 {
		if err := hook(ctx, persisted); err != nil {
			return wrap("hook after", o, len(persisted), err)
		}
	}
	acked, err := w.cache.Ack(ctx, o.Entity, o.Partition, f.first, persisted)
	w.metrics.persisted.WithLabelValues(o.Entity.Name).Add(float64(acked))
	return wrap("ack", o, len(persisted), err)
}

func wrap(step string, o schema.Order, n int, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s %d records of %s/%d: %w", step, n, o.Entity.Name, o.Partition, err)
}

// drop removes the ids of records that Redis has lost from the lists.
func (w *Worker) drop(ctx context.Context, o schema.Order, missing []string) error {
	if len(missing) == 0 {
		return nil
	}
	lost, err := w.cache.Drop(ctx, o.Entity, o.Partition, missing)
	if lost > 0 {
		w.log.ErrorContext(ctx, "records lost: listed as unpersisted, but Redis no longer has them; check its eviction policy",
			"entity", o.Entity.Name, "partition", o.Partition, "lost", lost, "first", missing[0])
	}
	return wrap("drop", o, len(missing), err)
}

// succeeded ends suspicions, and notes whether the partition has a backlog.
func (w *Worker) succeeded(f *flushing, outcome store.Outcome) {
	w.unpaired.Store(false)
	at, batch, persisted := f.place(), f.order.Entity.Flush.Batch, len(outcome.Persisted) > 0
	if persisted && w.troubles.clear(at) {
		w.log.Info("table accepts records again", "entity", at.entity, "table", f.order.Entity.Table, "partition",
			at.partition)
	}
	switch {
	case !f.alone:
		w.suspects.succeeded(at, f.limit, batch, persisted)
	case persisted:
		w.suspects.succeeded(at, batch, batch, true)
	}
	switch {
	case f.alone:
	case f.last.More:
		w.backlogs.Store(at, true)
	default:
		w.backlogs.Delete(at)
	}
}
