package worker

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/afterwrite/afterwrite/schema"
)

// flag is a partition's scheduled flag while a task works under it.
type flag struct {
	gone atomic.Bool
	stop context.CancelFunc
	done sync.WaitGroup
}

// keep renews the flag three times in its life until it is released, but not after ctx ends: a task that hangs must not
// keep its partition.
func (w *Worker) keep(ctx context.Context, o schema.Order) *flag {
	ctx, stop := context.WithCancel(ctx)
	f := &flag{stop: stop}
	f.done.Go(func() {
		tick := time.NewTicker(w.flagTTL / 3)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				// An error needs no action: the flag lives long enough for two more attempts, and losing it costs work,
				// not correctness.
				if live, err := w.cache.Begin(ctx, o, w.flagTTL); err == nil && live.None() {
					f.gone.Store(true)
					return
				}
			}
		}
	})
	return f
}

// lost reports whether another generation has taken over the partition.
func (f *flag) lost() bool { return f.gone.Load() }

// release ends the renewal and waits for it, so that it cannot extend a flag that the end of the task has just freed.
func (f *flag) release() {
	f.stop()
	f.done.Wait()
}
