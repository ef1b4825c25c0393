package worker

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/afterwrite/afterwrite/schema"
	"github.com/afterwrite/afterwrite/store"
	"github.com/afterwrite/afterwrite/store/fault"
)

// pingTimeout bounds the check whether the database responds at all.
const pingTimeout = 3 * time.Second

// notLocked is how many failures in a row count, for the backoff, of flushes that did not come to hold the fence:
// another program has locked the database, or a frozen worker the partition. The delay is at most two seconds.
const notLocked = 3

// failed decides what a failed flush means: Redis is away, the task was cancelled, the database is away, or the
// database responds and cannot write this batch. A missing table or column belongs to the last case: it may be the
// entity's own, which [store.Store.Isolate] detects without blaming a record, or one that a trigger uses, for some
// records only. Neither makes other entities wait.
func (w *Worker) failed(ctx context.Context, f *flushing, err error, leave func(outcome)) error {
	switch {
	case f.redis != nil:
		leave(unknown)
		return w.later("redis", f.redis, redisPause)
	case errors.Is(err, schema.ErrUnpaired):
		leave(fine)
		if !w.unpaired.Swap(true) {
			w.log.ErrorContext(ctx, "nothing is flushed", "entity", f.order.Entity.Name, "error", err)
		}
		return w.later("pairing", err, redisPause)
	case errors.Is(err, schema.ErrOlder):
		leave(fine)
		if w.older != nil {
			w.older()
		}
		return w.later("older", err, redisPause)
	case errors.Is(ctx.Err(), context.Canceled):
		leave(unknown)
		return fmt.Errorf("sync task called off: %w", err)
	case !fault.Unavailable(err):
		leave(fine)
		return err
	case fault.Away(err) || !w.answers(ctx):
		w.gate.blame(err)
		leave(away)
		return w.later("database", err, w.gate.wait())
	}
	leave(fine)
	switch {
	case !fault.OfTable(err) || f.alone:
	case f.searching:
		return w.wait(ctx, f, fault.Message(err))
	default: // an error of a record or of the table: the next batch is isolated
		w.suspects.shrink(f.place(), len(f.last.Due))
		w.log.WarnContext(ctx, "flush failed although the database responds", "entity", f.order.Entity.Name, "partition",
			f.order.Partition,
			"records", len(f.last.Due), "error", err)
		return w.later("batch", err, backoff(1))
	}
	failures, condemned := w.suspects.failed(f.place(), f.ids(), !errors.Is(err, fault.ErrNotLocked), f.alone)
	w.log.WarnContext(ctx, "flush failed although the database responds", "entity", f.order.Entity.Name, "partition",
		f.order.Partition,
		"records", len(f.last.Due), "failures", failures, "error", err)
	if condemned {
		if held := w.condemn(ctx, f, err); held != nil {
			return w.unsettled(held)
		}
		if f.alone {
			return nil
		}
		failures = 0 // the partition's other records continue before it is retried
	}
	if errors.Is(err, fault.ErrNotLocked) { // it costs a wait at most, and the other may end at any time
		failures = min(failures, notLocked)
	}
	return w.later("batch", err, backoff(failures))
}

// unsettled defers a task whose batch could not be settled: Redis is away, or dead letters could not be inserted.
func (w *Worker) unsettled(err error) error {
	if fault.Unavailable(err) {
		return w.later("database", err, w.gate.wait())
	}
	return w.later("redis", err, redisPause)
}

// answers reports whether the database answers a query.
func (w *Worker) answers(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), pingTimeout)
	defer cancel()
	return w.store.Ping(ctx) == nil
}

// condemn holds the one record of a batch that the database cannot write although it responds.
func (w *Worker) condemn(ctx context.Context, f *flushing, cause error) error {
	refusal := schema.Refusal{Kind: schema.KindPoison, Message: bounded(fault.Message(cause))}
	if fault.Late(cause) {
		refusal.Kind = schema.KindTimeout
	}
	refused := store.Refused{Change: f.last.Due[0].Change, Refusal: refusal, Isolate: true,
		Blocked: fault.Blocked(cause)}
	return errors.Join(w.settle(ctx, f, store.Outcome{}), w.refuse(ctx, f, []store.Refused{refused}))
}

// bounded truncates a message to the length that is stored.
func bounded(s string) string {
	return strings.ToValidUTF8(s[:min(len(s), schema.MaxRefusalMessage)], "")
}
