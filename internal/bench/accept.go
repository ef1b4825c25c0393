package bench

import (
	"context"
	"fmt"

	"github.com/afterwrite/afterwrite/cache/pending"
	"github.com/afterwrite/afterwrite/producer"
)

// some is the number of callers where a measurement does not vary it.
const some = 50

// put returns one write through the library.
func put(p *producer.Producer, entity string) action {
	return func(ctx context.Context, n int) error {
		_, err := p.Put(ctx, entity, id(n), fields)
		return err
	}
}

// loaded returns a way that is measured under closed load: the names of its measurements end in suffix.
func (r *run) loaded(name string, callers int, suffix string, do action) way {
	return way{name, func(ctx context.Context) (map[string]float64, error) {
		before, err := r.spent(ctx)
		if err != nil {
			return nil, err
		}
		o, err := closed(ctx, callers, r.Time, 0, do)
		if err != nil {
			return nil, err
		}
		after, err := r.spent(ctx)
		return map[string]float64{
			"writes" + suffix: o.rate(), "p50" + suffix: o.quantile(0.5), "p99" + suffix: o.quantile(0.99),
			"CPU of the callers a write" + suffix: micros(after.here-before.here, o.n),
			"CPU of Redis a write" + suffix:       micros(after.redis-before.redis, o.n),
		}, err
	}}
}

// accept measures accepted writes of new records while nothing is flushed.
func (r *run) accept(ctx context.Context) error {
	tasks := task(r.taskClient())
	for _, callers := range r.Callers {
		suffix := fmt.Sprintf(", callers: %d", callers)
		figures := []Figure{
			{Section: "accept", Name: "writes" + suffix, Unit: "/s", Base: waySet},
			{Section: "accept", Name: "p50" + suffix, Unit: "µs", Base: waySet},
			{Section: "accept", Name: "p99" + suffix, Unit: "µs", Base: waySet},
			{Section: "accept", Name: "CPU of the callers a write" + suffix, Unit: "µs", Base: waySet},
			{Section: "accept", Name: "CPU of Redis a write" + suffix, Unit: "µs", Base: waySet},
		}
		err := r.alternate(ctx, figures,
			r.loaded(waySet, callers, suffix, r.set),
			r.loaded(wayLibrary, callers, suffix, put(r.silent, entityName)),
			r.loaded(wayObvious, callers, suffix, r.obvious),
			r.loaded(wayTasks, callers, suffix, tasks))
		if err != nil {
			return err
		}
	}
	return nil
}

// flushing measures accepted writes while a worker flushes them all, and SET while the worker is idle. Its turns are
// longer, so that the worker is busy for most of a turn.
func (r *run) flushing(ctx context.Context) error {
	worker, err := r.worker(ctx)
	if err != nil {
		return err
	}
	defer worker.Kill()
	figures := []Figure{
		{Section: "flushing", Name: "writes while flushing", Unit: "/s", Base: waySet},
		{Section: "flushing", Name: "p99 while flushing", Unit: "µs", Base: waySet},
		{Section: "flushing", Name: "rows meanwhile", Unit: "/s"},
	}
	return r.alternate(ctx, figures,
		way{waySet, func(ctx context.Context) (map[string]float64, error) {
			o, err := closed(ctx, some, r.Time, 0, r.set)
			return map[string]float64{"writes while flushing": o.rate(), "p99 while flushing": o.quantile(0.99)}, err
		}},
		way{wayLibrary, func(ctx context.Context) (map[string]float64, error) {
			if _, err := closed(ctx, some, r.Time/4, 0, put(r.producer, entityName)); err != nil {
				return nil, err
			}
			before, err := r.persisted(ctx)
			if err != nil {
				return nil, err
			}
			o, err := closed(ctx, some, 2*r.Time, 0, func(ctx context.Context, n int) error {
				return put(r.producer, entityName)(ctx, n+1<<40)
			})
			if err != nil {
				return nil, err
			}
			after, err := r.persisted(ctx)
			if err != nil {
				return nil, err
			}
			rows := float64(after-before) / o.took.Seconds()
			return map[string]float64{
				"writes while flushing": o.rate(), "p99 while flushing": o.quantile(0.99), "rows meanwhile": rows,
			}, r.drained(ctx)
		}})
}

// latency measures writes at half of the library's maximum load, and SET at the same rate.
func (r *run) latency(ctx context.Context) error {
	var rates []float64
	for range r.Runs { // a single turn may coincide with a pause of the machine
		o, err := closed(ctx, some, r.Time, 0, put(r.silent, entityName))
		if err != nil {
			return err
		}
		rates = append(rates, o.rate())
		if err := r.clean(ctx); err != nil {
			return err
		}
	}
	half := Median(rates) / 2
	at := func(do action) func(context.Context) (map[string]float64, error) {
		return func(ctx context.Context) (map[string]float64, error) {
			o, err := paced(ctx, 2*some, 2*r.Time, half, do)
			return map[string]float64{
				"rate at half load": o.rate(), "p50 at half load": o.quantile(0.5),
				"p99 at half load": o.quantile(0.99),
			}, err
		}
	}
	return r.alternate(ctx, []Figure{
		{Section: "latency", Name: "rate at half load", Unit: "/s"},
		{Section: "latency", Name: "p50 at half load", Unit: "µs", Base: waySet},
		{Section: "latency", Name: "p99 at half load", Unit: "µs", Base: waySet},
	}, way{waySet, at(r.set)}, way{wayLibrary, at(put(r.silent, entityName))})
}

// stats returns the entity's statistics.
func (r *run) stats(ctx context.Context) (pending.Stats, error) {
	parts, err := r.pending.Stats(ctx, r.entity)
	return pending.Total(parts), err
}

func (r *run) persisted(ctx context.Context) (int64, error) {
	s, err := r.stats(ctx)
	return s.Persisted, err
}

// drained waits until nothing is pending.
func (r *run) drained(ctx context.Context) error {
	return r.until(ctx, patience, func() (bool, error) {
		s, err := r.stats(ctx)
		return err == nil && s.Pending == 0, err
	})
}
