package worker

import (
	"context"
	"time"
)

// every runs one of the worker's periodic tasks immediately and then at each tick, until ctx ends. It logs when the
// task begins to fail and when it succeeds again, not each time.
func (w *Worker) every(ctx context.Context, interval time.Duration, duty string, do func(context.Context) error) {
	w.everyOr(ctx, interval, nil, duty, do)
}

// everyOr also runs it at each hint.
func (w *Worker) everyOr(ctx context.Context, interval time.Duration, hints <-chan struct{}, duty string,
	do func(context.Context) error) {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	failing := false
	for {
		err := do(ctx)
		if err != nil && !failing && ctx.Err() == nil {
			w.log.Warn("periodic task failed; will retry", "task", duty, "error", err)
		}
		if err == nil && failing {
			w.log.Info("periodic task succeeds again", "task", duty)
		}
		failing = err != nil
		select {
		case <-tick.C:
		case <-hints:
		case <-ctx.Done():
			return
		}
	}
}
