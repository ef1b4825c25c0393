package worker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/afterwrite/afterwrite/cache"
	"github.com/afterwrite/afterwrite/schema"
	"github.com/afterwrite/afterwrite/store"
)

// pingTimeout bounds the question whether the database answers at all.
const pingTimeout = 3 * time.Second

// reading is what one flush saw of the partition. The store may have it read more than
// once, each time something newer.
type reading struct {
	due     map[string]*cache.Due // by id, as last read
	first   cache.Batch           // of which ReadAt is used: all that was accepted before it is in the flush
	last    cache.Batch
	read    bool      // at all
	started time.Time // of the first read, by this process's clock
	err     error     // Redis's
	alone   bool      // it is of one record that is set apart: see apart.go
	behind  time.Time // that record's next attempt is not before this time of Redis's
}

// ids are the records that were read last.
func (r *reading) ids() []string {
	ids := make([]string, len(r.last.Due))
	for i, d := range r.last.Due {
		ids[i] = d.ID
	}
	return ids
}

// flush persists one batch of the partition and settles it in Redis; more says that
// another is due. After it comes one record that is set apart, if any is due, so that the
// others are never behind more than one. The error is ready to be returned to the queue.
func (w *Worker) flush(ctx context.Context, o cache.Order) (more bool, err error) {
	more, apart, err := w.flushBatch(ctx, o)
	if err != nil || !apart || w.ending() {
		return more, err
	}
	return more, w.flushAlone(ctx, o)
}

// flushBatch persists one batch; apart says that a record which is set apart may be tried.
func (w *Worker) flushBatch(ctx context.Context, o cache.Order) (more, apart bool, err error) {
	leave, ok := w.gate.enter()
	if !ok {
		return false, false, w.later("closed", errClosed, w.gate.wait())
	}
	at := place{o.Entity.Name, o.Partition}
	limit, suspicious := w.suspects.limit(at, o.Entity.Flush.Batch)
	begun := time.Now()
	r := &reading{}
	flushed, err := w.persist(ctx, o, r, limit, suspicious)
	if err != nil {
		return false, false, w.failed(ctx, o, r, err, leave)
	}
	leave(fine)
	w.suspects.succeeded(at, limit, o.Entity.Flush.Batch, len(flushed.Persisted) > 0)
	if r.last.More {
		w.backlogs.Store(at, true)
	} else {
		w.backlogs.Delete(at)
	}
	if err := w.settle(ctx, o, r, flushed); err != nil {
		return false, false, w.unsettled(err)
	}
	w.measure(o, r, flushed, time.Since(begun))
	untried := len(r.last.Due) > len(flushed.Persisted)+len(flushed.Refused)+len(flushed.Slow)
	// In a partition whose flushes fail the neighbours come first.
	return r.last.More || untried, r.last.Apart && !suspicious, nil
}

// persist has the store lock, read, write and commit.
func (w *Worker) persist(ctx context.Context, o cache.Order, r *reading, limit int, suspicious bool) (store.Flushed, error) {
	run, bound := w.store.Flush, w.patience(o.Entity)
	if _, full := w.backlogs.Load(place{o.Entity.Name, o.Partition}); full {
		run = w.store.FlushAhead
	}
	if suspicious || r.alone {
		// Twice the time: a statement that times out should do so in the database,
		// where it can be told whose it is.
		run, bound = w.store.Isolate, 2*bound
	}
	ctx, cancel := context.WithTimeout(ctx, bound)
	defer cancel()
	return run(ctx, o.Entity, o.Partition, func(ctx context.Context) ([]schema.Change, error) {
		return w.read(ctx, o, r, limit)
	})
}

// read reads the batch, behind the lock of the fence or ahead of it: see [store.Reader].
func (w *Worker) read(ctx context.Context, o cache.Order, r *reading, limit int) ([]schema.Change, error) {
	b, err := w.due(ctx, o, r, limit)
	if err != nil {
		r.err = err
		return nil, err
	}
	if !r.read {
		r.read, r.first, r.started = true, b, time.Now()
	}
	r.last = b
	if r.due == nil {
		r.due = make(map[string]*cache.Due, len(b.Due))
	}
	changes := make([]schema.Change, len(b.Due))
	for i := range b.Due {
		d := &b.Due[i]
		r.due[d.ID], changes[i] = d, d.Change
	}
	return changes, nil
}

func (w *Worker) due(ctx context.Context, o cache.Order, r *reading, limit int) (cache.Batch, error) {
	if r.alone {
		return w.cache.DueAlone(ctx, o.Entity, o.Partition)
	}
	return w.cache.Due(ctx, o.Entity, o.Partition, limit, w.batchBytes)
}

// failed decides what a flush that failed means: Redis is away, the task was called off,
// the database is away, or it answers and this batch is what it cannot do. A missing table
// or column is the last: it may be the entity's, which [store.Store.Isolate] finds out and
// blames on no record, or one that a trigger looks for, for some records only. Neither keeps
// other entities waiting.
func (w *Worker) failed(ctx context.Context, o cache.Order, r *reading, err error, leave func(outcome)) error {
	switch {
	case r.err != nil:
		leave(unknown)
		return w.later("redis", r.err, redisPause)
	case errors.Is(ctx.Err(), context.Canceled):
		leave(unknown)
		return fmt.Errorf("sync task called off: %w", err)
	case !store.Unavailable(err):
		leave(fine)
		return err
	case store.Away(err) || !w.answers(ctx):
		w.gate.blame(err)
		leave(away)
		return w.later("database", err, w.gate.wait())
	}
	leave(fine)
	at := place{o.Entity.Name, o.Partition}
	failures, condemned := w.suspects.failed(at, r.ids(), !errors.Is(err, store.ErrNotLocked), r.alone)
	w.log.Warn("flush failed though the database answers", "entity", o.Entity.Name, "partition", o.Partition,
		"records", len(r.last.Due), "failures", failures, "error", err)
	if condemned {
		if held := w.condemn(ctx, o, r, err); held != nil {
			return w.unsettled(held)
		}
		if r.alone {
			return nil
		}
		failures = 0 // its neighbours go on before it comes back
	}
	return w.later("batch", err, backoff(failures))
}

// unsettled puts a task off whose batch could not be settled: Redis is away, or dead
// letters could not be inserted.
func (w *Worker) unsettled(err error) error {
	if store.Unavailable(err) {
		return w.later("database", err, w.gate.wait())
	}
	return w.later("redis", err, redisPause)
}

// answers asks the database whether it is there.
func (w *Worker) answers(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), pingTimeout)
	defer cancel()
	return w.store.Ping(ctx) == nil
}

// condemn holds the one record of a batch that the database cannot do though it answers.
func (w *Worker) condemn(ctx context.Context, o cache.Order, r *reading, cause error) error {
	refusal := schema.Refusal{Kind: schema.KindPoison, Message: bounded(store.Message(cause))}
	flushed := store.Flushed{Refused: []store.Refused{{Change: r.last.Due[0].Change, Refusal: refusal, Apart: true}}}
	return w.settle(ctx, o, r, flushed)
}
