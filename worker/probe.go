package worker

import (
	"context"
	"maps"
	"slices"
	"time"
)

// probeEvery is how often a worker looks whether it should probe a database that was away.
const probeEvery = 500 * time.Millisecond

// probe finds out whether a database that was away is back, because no task may be due for as long as backoffCap, and
// wakes the deferred tasks once it is. It returns when ctx ends.
func (w *Worker) probe(ctx context.Context) {
	tick := time.NewTicker(probeEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-w.gate.reopened:
			w.wake(ctx)
		case <-tick.C:
			w.probeOnce(ctx)
		}
	}
}

// probeOnce writes to the database if it was away and no flush is let in.
func (w *Worker) probeOnce(ctx context.Context) {
	if w.gate.closed.Load() == 0 {
		return
	}
	leave, ok := w.gate.enter()
	if !ok {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, pingTimeout)
	defer cancel()
	switch err := w.store.Writable(ctx); {
	case err == nil:
		leave(fine)
	case ctx.Err() != nil && context.Cause(ctx) == context.Canceled:
		leave(unknown)
	default:
		w.gate.blame(err)
		leave(away)
	}
}

// wake has the tasks run now that were deferred while the database was away. If that fails, they run at their own time.
func (w *Worker) wake(ctx context.Context) {
	queues := map[string]bool{}
	for _, e := range w.all {
		queues[e.Flush.Queue] = true
	}
	for _, name := range slices.Sorted(maps.Keys(queues)) {
		if _, err := w.queue.Wake(ctx, name); err != nil {
			w.log.Warn("deferred sync tasks not woken; they run at their time", "queue", name, "error", err)
		}
	}
}
