package bench

import (
	"context"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"
)

// action does the nth action of a load.
type action func(ctx context.Context, n int) error

// outcome is what a load measured.
type outcome struct {
	n     int
	took  time.Duration
	times []time.Duration // of each action, sorted
}

func (o outcome) rate() float64 { return float64(o.n) / o.took.Seconds() }

// quantile is in microseconds.
func (o outcome) quantile(q float64) float64 {
	if len(o.times) == 0 {
		return 0
	}
	return float64(o.times[min(int(q*float64(len(o.times))), len(o.times)-1)]) / float64(time.Microsecond)
}

// closed lets callers do one action after another, as fast as they can, for the time lasting; most bounds the number of
// actions, 0 is no bound. Each caller uses its own numbers.
func closed(ctx context.Context, callers int, lasting time.Duration, most int, do action) (outcome, error) {
	each := 0
	if most > 0 {
		each = (most + callers - 1) / callers
	}
	return loads(ctx, callers, func(ctx context.Context, caller int, note func(time.Duration)) error {
		until := time.Now().Add(lasting)
		for i := 0; each == 0 || i < each; i++ {
			start := time.Now()
			if start.After(until) {
				return nil
			}
			if err := do(ctx, i*callers+caller); err != nil {
				return err
			}
			note(time.Since(start))
		}
		return nil
	})
}

// paced does actions at a fixed rate, however long each takes: a late caller continues without a pause, so enough
// callers keep the rate.
func paced(ctx context.Context, callers int, lasting time.Duration, rate float64, do action) (outcome, error) {
	step := time.Duration(float64(callers) / rate * float64(time.Second))
	began := time.Now()
	return loads(ctx, callers, func(ctx context.Context, caller int, note func(time.Duration)) error {
		next := began.Add(step * time.Duration(caller) / time.Duration(callers))
		for i := 0; next.Sub(began) < lasting; i++ {
			time.Sleep(time.Until(next))
			next = next.Add(step)
			start := time.Now()
			if err := do(ctx, i*callers+caller); err != nil {
				return err
			}
			note(time.Since(start))
		}
		return nil
	})
}

func loads(ctx context.Context, callers int, run func(ctx context.Context, caller int,
	note func(time.Duration)) error) (outcome, error) {
	group, ctx := errgroup.WithContext(ctx)
	times := make([][]time.Duration, callers)
	start := time.Now()
	for caller := range callers {
		group.Go(func() error {
			mine := make([]time.Duration, 0, 1<<14)
			err := run(ctx, caller, func(d time.Duration) { mine = append(mine, d) })
			times[caller] = mine
			return err
		})
	}
	err := group.Wait()
	o := outcome{took: time.Since(start), times: slices.Concat(times...)}
	o.n = len(o.times)
	slices.Sort(o.times)
	return o, err
}
