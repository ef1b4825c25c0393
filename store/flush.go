package store

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"time"

	"github.com/afterwrite/afterwrite/schema"
	"github.com/afterwrite/afterwrite/store/catalog"
	"github.com/afterwrite/afterwrite/store/fault"
	"github.com/afterwrite/afterwrite/store/internal/database"
)

// Outcome is what became of a batch. A change in none of the lists was not tried, for lack of time: flush it again.
type Outcome struct {
	Persisted []schema.Change // with their Row where the database has the last word on it
	Refused   []Refused
	Slow      []Refused       // given up early, which is no refusal: flush each alone, by [Store.Isolate]
	Beside    []schema.Beside // rows that may have changed with these: keep the cache off them before the commit
	Noted     []string        // ids of Persisted that other programs had changed, by notes that no worker has read
}

// Refused is a change that the database does not take, and why.
type Refused struct {
	schema.Change
	Refusal  schema.Refusal
	Isolate  bool // no refusal unless the batch is isolated: try the change again alone
	OfTable  bool // the statement does not fit the table; where all changes fail so, the fault is the table's
	Unmapped bool // a column without a field must have a value in a new row: an operator has to fix the table
	Blocked  bool // by another transaction, with a lock or a deadlock
}

// Add appends what became of another batch.
func (o *Outcome) Add(more Outcome) {
	o.Persisted = append(o.Persisted, more.Persisted...)
	o.Refused = append(o.Refused, more.Refused...)
	o.Slow = append(o.Slow, more.Slow...)
	o.Beside = append(o.Beside, more.Beside...)
	o.Noted = append(o.Noted, more.Noted...)
}

// Flush is one transaction that holds a partition's fence: see the example of [Store.Begin]. What was read before Begin
// counts only if [Flush.Follows] says so. Every error is [fault.Unavailable] or a [SplitError]; after the former flush
// again, though the reply to a COMMIT may have been lost. It is not safe for concurrent use.
type Flush struct {
	store      *Store
	table      *table
	partition  int
	suspicious bool // see Isolate
	unhurried  bool // no statement is given up early, see hang.go
	tx         *database.Transaction
	fence      database.Fence
	id         string // of this transaction
	batch      *batch
	timed      func() // ends the measurement

	others []*Flush       // of the other partitions of the transaction, see Together
	note   *database.Note // of one of those: what Reaches notes
}

// Pairing is the Redis of the database: write no batch of another one.
func (f *Flush) Pairing() schema.Pairing { return f.fence.Paired() }

// SplitError reports that COMMIT was refused, or that a record had no row.
type SplitError struct {
	Outcome Outcome        // of the batch; nothing is in Persisted
	Halves  [][]string     // ids to flush by a transaction each; none: the one change is in Outcome.Refused
	Refusal schema.Refusal // of COMMIT, or for the row
}

// Error is the refusal.
func (e *SplitError) Error() string { return "commit: " + e.Refusal.Error() }

// Begin starts a flush of one batch and locks the partition's fence: no other flush of the partition gets past this
// call until this one ends, and all that others committed before is visible. The transaction lives no longer than
// ctx. An error is [fault.ErrNotLocked].
func (s *Store) Begin(ctx context.Context, e *schema.Entity, partition int) (*Flush, error) {
	t, err := s.table(e)
	if err != nil {
		return nil, err
	}
	return s.hold(ctx, t, partition, "flush")
}

// Together begins one flush of several partitions, whose fences it locks in ascending order. Each of [Flush.All] has a
// turn and a reach; write and commit the changes of all with the flush that is returned.
func (s *Store) Together(ctx context.Context, e *schema.Entity, partitions []int) (*Flush, error) {
	t, err := s.table(e)
	if err != nil {
		return nil, err
	}
	// No two of them wait for each other: a flush of one partition waits for no second fence.
	partitions = slices.Sorted(slices.Values(partitions))
	f, err := s.hold(ctx, t, partitions[0], "exchange")
	if err != nil {
		return nil, err
	}
	for _, partition := range partitions[1:] {
		other := &Flush{store: s, table: t, partition: partition, tx: f.tx, id: rand.Text()[:turnID]}
		if other.fence, err = f.tx.Lock(e.Name, partition); err != nil {
			f.Rollback()
			return nil, other.failed(fmt.Errorf("%w: %w", fault.ErrNotLocked, err))
		}
		other.note = other.reachedAt(other.fence.Reach)
		f.others = append(f.others, other)
	}
	return f, nil
}

// All are the flushes of the transaction, in ascending order, this one first.
func (f *Flush) All() []*Flush { return append([]*Flush{f}, f.others...) }

// Partition is the partition that is flushed.
func (f *Flush) Partition() int { return f.partition }

// hold begins a transaction, measured as that operation, and locks the partition's fence.
func (s *Store) hold(ctx context.Context, t *table, partition int, op string) (f *Flush, err error) {
	f = &Flush{store: s, table: t, partition: partition, timed: s.db.Metrics.Time(op)}
	if f.tx, err = s.db.Begin(ctx); err == nil {
		f.fence, err = f.tx.Lock(t.Entity.Name, partition)
	}
	if err == nil {
		f.tx.Writes = true
		f.id = rand.Text()[:turnID]
		f.tx.Note = f.reachedAt(f.fence.Reach)
	}
	if k := t.known.Load(); err == nil && k != nil && k.watched {
		f.tx.Flushes(t.Table)
	}
	if err != nil {
		f.Rollback()
		return nil, f.failed(fmt.Errorf("%w: %w", fault.ErrNotLocked, err))
	}
	return f, nil
}

// Isolate is [Store.Begin] for a batch that is [fault.Unavailable] again and again though the database answers: an
// error that the statement of one change provokes alone, as a timeout, is then a refusal of that change. A batch of
// one has half of the context's time, at most [Config.StatementTimeout].
func (s *Store) Isolate(ctx context.Context, e *schema.Entity, partition int) (*Flush, error) {
	if err := s.readable(ctx, e); err != nil {
		return nil, fmt.Errorf("isolate %s/%d: %w", e.Name, partition, err)
	}
	f, err := s.Begin(ctx, e, partition)
	if err == nil {
		f.suspicious = true
	}
	return f, err
}

// readable reports whether the entity's table has all of its columns.
func (s *Store) readable(ctx context.Context, e *schema.Entity) error {
	t, err := s.table(e)
	if err != nil {
		return err
	}
	_, err = s.db.Find(t.Table, t.Scope(s.db.Read(ctx)), database.Part{None: true})
	return err
}

// Write deletes and upserts the changes, at most one for each id. Call it once. A change that is refused leaves no
// trace and keeps no neighbour from being written; a unique value that one change gives up is free for others of the
// batch.
func (f *Flush) Write(ctx context.Context, changes []schema.Change) (Outcome, error) {
	if len(changes) == 0 {
		return Outcome{}, nil
	}
	b := &batch{tx: f.tx, table: f.table, suspicious: f.suspicious, until: f.patience(ctx), absent: map[string]bool{}}
	write := b.write
	if !f.unhurried {
		b.hurry(f.pace(ctx, len(changes)))
		write = func(changes []schema.Change) error { return f.paced(b, changes) }
	}
	known, err := f.table.fitting(f.tx)
	if err != nil {
		return Outcome{}, f.failed(err)
	}
	b.known, f.tx.Known = known, known.ends
	if known.watched {
		f.tx.Flushes(f.table.Table)
	}
	if err := write(b.guarded(leftToDatabase(changes, known.computed), known.guards)); err != nil {
		r, ok := f.store.db.Dialect.Classify(f.tx.Gone)
		if !ok {
			return Outcome{}, f.failed(err)
		}
		f.batch = &batch{tx: f.tx, table: f.table, refused: &r, outcome: Outcome{Persisted: changes}}
		return f.batch.outcome, nil
	}
	if b.followed && f.store.db.Dialect.CatalogOf() == catalog.PostgreSQL {
		if err := f.table.unchanged(f.tx, known); err != nil {
			return Outcome{}, f.failed(err)
		}
	}
	if slices.ContainsFunc(b.outcome.Refused, func(r Refused) bool { return r.OfTable }) {
		f.misfits(true)
	}
	if b.untried > 0 {
		f.store.db.Settings.Log.LogAttrs(ctx, slog.LevelWarn,
			"too little time to isolate the refused records, the rest waits for the next flush",
			slog.String("entity", f.table.Entity.Name), slog.Int("partition", f.partition),
			slog.Int("untried", b.untried))
	}
	f.batch = b
	b.outcome.Beside = b.besideOf()
	if known.watched {
		if b.outcome.Noted, err = b.noted(); err != nil {
			return Outcome{}, f.failed(err)
		}
	}
	if known.lastWord {
		if err := b.readBack(); err != nil {
			return Outcome{}, f.failed(err)
		}
	}
	return b.outcome, nil
}

// Commit makes what was written durable. Nothing written costs no disk write.
func (f *Flush) Commit(ctx context.Context) error {
	defer f.Rollback()
	b := f.batch
	if b == nil || len(b.outcome.Persisted) == 0 {
		return nil
	}
	if b.refused != nil {
		r := f.table.presentable(*b.refused, b.outcome.Persisted, f.store.rowsNow(ctx, f.table))
		return f.failed(f.split(ctx, r))
	}
	if b.moved {
		return f.failed(f.split(ctx, fault.Refusal(schema.KindCheck, "", "", moved)))
	}
	if err := b.unhurried(); err != nil {
		return f.failed(err)
	}
	if err := f.reached(); err != nil {
		return f.failed(err)
	}
	err := f.tx.Commit()
	if err == nil {
		return nil
	}
	if r, ok := f.store.db.Dialect.Classify(err); ok {
		return f.failed(f.split(ctx, f.table.presentable(r, b.outcome.Persisted, f.store.rowsNow(ctx, f.table))))
	}
	return f.failed(f.store.db.Unavailable("commit", f.table.told(err, b.outcome.Persisted, f.store.rowsNow(ctx, f.table))))
}

// Rollback undoes what is not committed. Of a nil Flush it does nothing.
func (f *Flush) Rollback() {
	if f == nil || f.timed == nil {
		return
	}
	if f.tx != nil {
		f.tx.Rollback() // after a commit it does nothing
	}
	f.timed()
	f.timed = nil
}

// misfits has the catalog read again, and the session closed that a statement has failed in: it may keep what the table
// was, as PostgreSQL's do in the plans of functions that triggers call.
func (f *Flush) misfits(failed bool) {
	f.table.forget()
	if f.tx != nil {
		f.tx.Spoiled = failed
	}
}

// failed says which flush failed.
func (f *Flush) failed(err error) error {
	if fault.OfTable(err) {
		f.misfits(!errors.Is(err, fault.ErrUnfit))
	}
	return fmt.Errorf("flush %s/%d: %w", f.table.Entity.Name, f.partition, err)
}

// split makes of a refusal at COMMIT the halves to try next, or the refusal of the one change
// that was written.
func (f *Flush) split(ctx context.Context, r schema.Refusal) *SplitError {
	f.Rollback()
	written := f.batch.outcome.Persisted
	e := &SplitError{Refusal: r, Outcome: Outcome{Refused: f.batch.outcome.Refused, Slow: f.batch.outcome.Slow}}
	if len(written) == 1 {
		last := Refused{Change: written[0], Refusal: f.located(ctx, r, written[0])}
		e.Outcome.Refused = append(e.Outcome.Refused, last)
		return e
	}
	for _, half := range [][]schema.Change{written[:len(written)/2], written[len(written)/2:]} {
		ids := make([]string, len(half))
		for i, c := range half {
			ids[i] = c.ID
		}
		e.Halves = append(e.Halves, ids)
	}
	return e
}

// patience is the time at which a batch stops to isolate its refused changes and
// commits what it has: before its own deadline, or the next try would be no further.
func (f *Flush) patience(ctx context.Context) time.Time {
	left := f.store.db.Settings.StatementTimeout
	if deadline, ok := ctx.Deadline(); ok {
		left = min(left, time.Until(deadline))
	}
	return time.Now().Add(left / 2)
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
