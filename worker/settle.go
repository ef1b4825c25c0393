package worker

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/afterwrite/afterwrite/cache"
	"github.com/afterwrite/afterwrite/schema"
	"github.com/afterwrite/afterwrite/store"
)

// pending is the side of the cache that knows what the database has not seen.
type pending interface {
	Due(ctx context.Context, e *schema.Entity, partition, limit, maxBytes int) (cache.Batch, error)
	DueAlone(ctx context.Context, e *schema.Entity, partition int) (cache.Batch, error)
	Ack(ctx context.Context, e *schema.Entity, partition int, b cache.Batch, flushed []schema.Change) (int, error)
	Hold(ctx context.Context, e *schema.Entity, partition int, refused []cache.Refused) (int, error)
	Remember(ctx context.Context, e *schema.Entity, partition int, letters []cache.Versioned) ([]bool, error)
	Die(ctx context.Context, e *schema.Entity, partition int, refused []cache.Refused) (int, error)
	Drop(ctx context.Context, e *schema.Entity, partition int, ids []string) (int, error)
}

// settle tells Redis what became of a batch: persisted records are acked, refused ones
// held or buried, slow ones set apart, and ids without a record taken off the list. All of
// it is tried: what fails leaves its records as they were, and the next flush does them
// again, harmlessly.
func (w *Worker) settle(ctx context.Context, o cache.Order, r *reading, f store.Flushed) error {
	ctx, cancel := finish(ctx)
	defer cancel()
	acked, ackErr := w.cache.Ack(ctx, o.Entity, o.Partition, r.first, f.Persisted)
	w.metrics.persisted.WithLabelValues(o.Entity.Name).Add(float64(acked))
	return errors.Join(
		wrap("ack", o, len(f.Persisted), ackErr),
		w.letRest(ctx, o, r, f.Refused),
		w.setAside(ctx, o, r, f.Refused),
		w.setApart(ctx, o, r, f.Slow),
		w.drop(ctx, o, r.last.Missing),
	)
}

func wrap(step string, o cache.Order, n int, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s %d records of %s/%d: %w", step, n, o.Entity.Name, o.Partition, err)
}

// drop takes ids off the lists whose record Redis has lost.
func (w *Worker) drop(ctx context.Context, o cache.Order, missing []string) error {
	if len(missing) == 0 {
		return nil
	}
	lost, err := w.cache.Drop(ctx, o.Entity, o.Partition, missing)
	if lost > 0 {
		w.log.Error("records lost: listed as unpersisted, but Redis no longer has them; check its eviction policy",
			"entity", o.Entity.Name, "partition", o.Partition, "lost", lost, "first", missing[0])
	}
	return wrap("drop", o, len(missing), err)
}

// now is Redis's time, to the precision with which the clocks run alike.
func (r *reading) now() time.Time { return r.first.ReadAt.Add(time.Since(r.started)) }

// bounded cuts a message to what is kept of one.
func bounded(s string) string {
	return strings.ToValidUTF8(s[:min(len(s), schema.MaxRefusalMessage)], "")
}
