package store

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"time"

	"github.com/afterwrite/afterwrite/schema"
)

// Flushed is what became of a batch. A change in none of the lists was not tried, because
// isolating the others took too long: it is still to be flushed.
type Flushed struct {
	Persisted []schema.Change
	Refused   []Refused
	// Slow are changes whose statement, sent for each alone, was given up before its
	// neighbours had waited long. That is no refusal: [Store.Isolate] each by itself, with
	// all of its time.
	Slow []Refused
}

// Refused is a change that the database does not take, and why.
type Refused struct {
	schema.Change
	Refusal schema.Refusal
	// Apart says that the error is one that Flush does not take for a refusal: beside this
	// change no other is persisted, so it should be tried again alone.
	Apart bool
}

func (f *Flushed) add(more Flushed) {
	f.Persisted = append(f.Persisted, more.Persisted...)
	f.Refused = append(f.Refused, more.Refused...)
	f.Slow = append(f.Slow, more.Slow...)
}

// Reader reads the batch to flush. It is called when the fence is locked, so that whoever
// writes has read after everyone before it had committed, by [Store.FlushAhead] also
// before. It returns at most one change an id, must be bounded in time by its context,
// must not call the store, and may be called again within one flush, for a state that is
// newer: what it returned last counts.
type Reader = func(ctx context.Context) ([]schema.Change, error)

// Flush writes one batch of a partition: in one transaction it locks the partition's
// fence, reads the batch, deletes, upserts and commits. When it returns without an
// error every change in Persisted is durable, and none in Refused has left a trace.
//
// A change that the database refuses does not keep its neighbours from being
// persisted. A value that is unique and that a neighbour gives up is free for
// others of the same batch. A statement that hangs is given up after a part of the time,
// where the database can do that, and the changes that it hangs for are told as Slow.
//
// Any error means that nothing need have been persisted, though after a lost reply to
// COMMIT it may have been: flush again. It is [Unavailable], or that of read.
func (s *Store) Flush(ctx context.Context, e *schema.Entity, partition int, read Reader) (Flushed, error) {
	return s.flush(ctx, e, flush{partition: partition, read: read})
}

// Isolate flushes like [Store.Flush] for a batch that is [Unavailable] again and
// again though the database answers: an error that only one change's statement
// provokes, such as a statement that times out, counts as that change's refusal, of
// kind poison. A missing table or column, a lost connection and a database that is
// [Away] stay unavailable. A batch of one has half of the context's time for its statement,
// at most [Config.StatementTimeout], so that it times out in the database, where it can be
// told whose it is.
func (s *Store) Isolate(ctx context.Context, e *schema.Entity, partition int, read Reader) (Flushed, error) {
	if err := s.readable(ctx, e); err != nil {
		return Flushed{}, fmt.Errorf("isolate %s/%d: %w", e.Name, partition, err)
	}
	return s.flush(ctx, e, flush{partition: partition, read: read, suspicious: true})
}

// readable reports whether the entity's table has all of its columns.
func (s *Store) readable(ctx context.Context, e *schema.Entity) error {
	t, err := s.table(e)
	if err != nil {
		return err
	}
	_, err = s.find(t, t.scope(s.read(ctx)).Limit(1))
	return err
}

func (s *Store) flush(ctx context.Context, e *schema.Entity, f flush) (Flushed, error) {
	t, err := s.table(e)
	if err != nil {
		return Flushed{}, err
	}
	defer s.metrics.time("flush")()
	f.store, f.table = s, t
	flushed, err := f.run(ctx)
	var refused *commitRefused
	if errors.As(err, &refused) {
		flushed, err = f.split(ctx, refused)
	}
	if err != nil {
		return Flushed{}, fmt.Errorf("flush %s/%d: %w", e.Name, f.partition, err)
	}
	return flushed, nil
}

// flush is one call of Flush: a transaction, or several after a refusal at COMMIT.
type flush struct {
	store      *Store
	table      *table
	partition  int
	read       Reader
	ahead      bool // see FlushAhead
	suspicious bool // see Isolate
}

// run reads ahead if it should, and flushes.
func (f *flush) run(ctx context.Context) (Flushed, error) {
	if !f.ahead {
		return f.transact(ctx, nil, nil)
	}
	ahead, err := f.readAhead(ctx)
	if err != nil {
		return Flushed{}, err
	}
	return f.transact(ctx, ahead, nil)
}

// commitRefused is a refusal that the database kept until COMMIT, as it does for
// deferred constraints: all of the transaction is undone.
type commitRefused struct {
	refusal schema.Refusal
	flushed Flushed // what the transaction had written
}

func (c *commitRefused) Error() string { return "commit: " + c.refusal.Error() }

// lockAndRead locks the fence and returns the batch that counts. A nil ahead is none.
func (f *flush) lockAndRead(ctx context.Context, tx *transaction, ahead *early) ([]schema.Change, error) {
	flushes, err := tx.lock(f.table.entity.Name, f.partition)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNotLocked, err)
	}
	if ahead != nil && flushes == ahead.flushes+1 {
		return ahead.changes, nil
	}
	return f.readBatch(ctx)
}

func (f *flush) readBatch(ctx context.Context) ([]schema.Change, error) {
	changes, err := f.read(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the batch: %w", err)
	}
	return changes, nil
}

// transact is one transaction: lock, then read unless what was read ahead counts, then
// write. A non-nil only restricts it to those ids.
func (f *flush) transact(ctx context.Context, ahead *early, only map[string]bool) (Flushed, error) {
	tx, err := f.store.begin(ctx)
	if err != nil {
		return Flushed{}, fmt.Errorf("%w: %w", ErrNotLocked, err)
	}
	defer tx.rollback() // after a commit it does nothing
	changes, err := f.lockAndRead(ctx, tx, ahead)
	if err != nil {
		return Flushed{}, err
	}
	if only != nil {
		changes = slices.DeleteFunc(slices.Clone(changes), func(c schema.Change) bool { return !only[c.ID] })
	}
	if len(changes) == 0 {
		return Flushed{}, nil // the lock is let go by the rollback, without a write to the disk
	}
	b := &batch{tx: tx, table: f.table, suspicious: f.suspicious, until: f.patience(ctx)}
	if changes, err = b.complete(changes); err != nil {
		return Flushed{}, fmt.Errorf("read the fields that records lack: %w", err)
	}
	b.hurry(f.pace(ctx, len(changes)))
	if err := f.paced(b, changes); err != nil {
		return Flushed{}, err
	}
	if b.untried > 0 {
		f.store.cfg.Log.LogAttrs(ctx, slog.LevelWarn, "too little time to isolate the refused records, the rest waits for the next flush",
			slog.String("entity", f.table.entity.Name), slog.Int("partition", f.partition), slog.Int("untried", b.untried))
	}
	return f.commit(tx, b)
}

func (f *flush) commit(tx *transaction, b *batch) (Flushed, error) {
	if len(b.flushed.Persisted) == 0 {
		return b.flushed, nil
	}
	if err := b.unhurried(); err != nil {
		return Flushed{}, err
	}
	err := tx.commit()
	if err == nil {
		return b.flushed, nil
	}
	if r, ok := f.store.dialect.classify(err); ok {
		return Flushed{}, &commitRefused{f.table.presentable(r, b.flushed.Persisted), b.flushed}
	}
	return Flushed{}, f.store.unavailable("commit", f.table.told(err, b.flushed.Persisted))
}

// patience is the time at which a batch stops to isolate its refused changes and
// commits what it has: before its own deadline, or the next try would be no further.
func (f *flush) patience(ctx context.Context) time.Time {
	left := f.store.cfg.StatementTimeout
	if deadline, ok := ctx.Deadline(); ok {
		left = min(left, time.Until(deadline))
	}
	return time.Now().Add(left / 2)
}

// split flushes the halves of a refused transaction in transactions of their own.
// Each locks the fence and reads again, for others may have written in between.
func (f *flush) split(ctx context.Context, c *commitRefused) (Flushed, error) {
	written := c.flushed.Persisted
	if len(written) == 1 {
		last := Refused{Change: written[0], Refusal: f.located(ctx, c.refusal, written[0])}
		return Flushed{Refused: append(c.flushed.Refused, last), Slow: c.flushed.Slow}, nil
	}
	total := Flushed{Refused: c.flushed.Refused, Slow: c.flushed.Slow}
	for _, half := range [][]schema.Change{written[:len(written)/2], written[len(written)/2:]} {
		flushed, err := f.transact(ctx, nil, idsOf(half))
		var refused *commitRefused
		if errors.As(err, &refused) {
			flushed, err = f.split(ctx, refused)
		}
		if err != nil {
			return Flushed{}, err
		}
		total.add(flushed)
	}
	return total, nil
}

func idsOf(changes []schema.Change) map[string]bool {
	return maps.Collect(func(yield func(string, bool) bool) {
		for _, c := range changes {
			if !yield(c.ID, true) {
				return
			}
		}
	})
}
