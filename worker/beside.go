package worker

import (
	"context"
	"fmt"
	"time"

	"github.com/afterwrite/afterwrite/schema"
)

// barred are records that a transaction changes beside its batch.
type barred struct {
	schema.Beside
	token string
}

// bar keeps the cache off records that the transaction under way changes beside its batch, for
// longer than it may last. Where they are too many to be listed there is no barrier: a reader
// that loads a row before the commit and a crash right after it leave an old record in the
// cache until it expires.
func (w *Worker) bar(ctx context.Context, f *flushing, beside []schema.Beside) (all []barred, err error) {
	life := 2 * w.patience(f.order.Entity)
	if deadline, ok := ctx.Deadline(); ok {
		life = time.Until(deadline) + w.patience(f.order.Entity)
	}
	for _, b := range beside {
		if b.All {
			continue
		}
		token, err := w.cache.BarAll(ctx, b.Entity, b.IDs, life)
		all = append(all, barred{b, token})
		if err != nil {
			f.redis = err
			return all, fmt.Errorf("bar %d records of %s: %w", len(b.IDs), b.Entity.Name, err)
		}
	}
	return all, nil
}

// unbar ends barriers. Where Redis does not respond they end by themselves.
func (w *Worker) unbar(ctx context.Context, all []barred) {
	ctx, cancel := finish(ctx)
	defer cancel()
	for _, b := range all {
		if err := w.cache.UnbarAll(ctx, b.Entity, b.IDs, b.token); err != nil {
			w.log.WarnContext(ctx, "barrier not ended; it ends by itself", "entity", b.Entity.Name, "error", err)
		}
	}
}

// dropAll drops the records of entities of which the database changed too many to be listed.
func (w *Worker) dropAll(ctx context.Context, o schema.Order, beside []schema.Beside) error {
	for _, b := range beside {
		if !b.All {
			continue
		}
		if _, err := w.cache.InvalidateMatch(ctx, b.Entity, "*", nil); err != nil {
			return wrap("drop beside", o, 0, err)
		}
		w.log.WarnContext(ctx, "the database changed more rows beside a flush than are listed; the entity was dropped from the cache",
			"entity", o.Entity.Name, "changed", b.Entity.Name)
	}
	return nil
}
