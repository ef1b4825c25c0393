package cli

import (
	"context"
	"time"

	"github.com/afterwrite/afterwrite/cache/pending"
	"github.com/afterwrite/afterwrite/schema"
)

// flushTick is the time between two looks at what is pending.
const flushTick = 200 * time.Millisecond

// AwaitFlush returns when nothing is pending or the time is over; the caller looks
// which. A signal ends it with the context's error.
func (a *App) AwaitFlush(ctx context.Context, p *Parts, entities []*schema.Entity, timeout time.Duration) error {
	var over <-chan time.Time
	if timeout > 0 {
		over = time.After(timeout)
	}
	tick := time.NewTicker(flushTick)
	defer tick.Stop()
	var progress Bar
	most := int64(0)
	for {
		pending, err := p.StillPending(ctx, entities)
		if err != nil || pending == 0 {
			if most > 0 {
				progress.Done()
			}
			return err
		}
		if pending > most { // writes may still be coming in
			most, progress = pending, a.Bar(pending, "flushing")
		}
		progress.At(most - pending)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-over:
			return nil
		case <-tick.C:
		}
	}
}

// StillPending counts the pending records of entities.
func (p *Parts) StillPending(ctx context.Context, entities []*schema.Entity) (int64, error) {
	total := int64(0)
	for _, e := range entities {
		stats, err := p.Pending.Stats(ctx, e)
		if err != nil {
			return 0, err
		}
		total += pending.Total(stats).Pending
	}
	return total, nil
}
