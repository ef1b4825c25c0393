package bench

import (
	"context"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/afterwrite/afterwrite/cache/pending"
	"github.com/afterwrite/afterwrite/schema"
)

// Sampling of the lag: how many records are watched at once, and how often each is read.
const (
	watched  = 8
	lookEach = time.Millisecond
)

// lag measures the time from the answer to a write until its row is committed, at half of the load that the worker can
// sustain.
func (r *run) lag(ctx context.Context) error {
	worker, err := r.worker(ctx)
	if err != nil {
		return err
	}
	defer worker.Kill()
	var rates []float64
	for range r.Runs { // a single turn may coincide with a pause of the machine
		rate, err := r.sustained(ctx)
		if err != nil {
			return err
		}
		rates = append(rates, rate)
		if err := r.clean(ctx); err != nil {
			return err
		}
	}
	sustained := Median(rates)
	return r.alternate(ctx, []Figure{
		{Section: "lag", Name: "rate", Unit: "/s"},
		{Section: "lag", Name: "lag p50", Unit: "ms"},
		{Section: "lag", Name: "lag p99", Unit: "ms"},
	}, way{wayLibrary, func(ctx context.Context) (map[string]float64, error) { return r.lagAt(ctx, sustained/2) }})
}

// sustained returns the rate of writes and rows together when callers wait for neither.
func (r *run) sustained(ctx context.Context) (float64, error) {
	start := time.Now()
	o, err := closed(ctx, some, patience, r.writes(30_000), put(r.producer, entityName))
	if err != nil {
		return 0, err
	}
	err = r.drained(ctx)
	return float64(o.n) / time.Since(start).Seconds(), err
}

func (r *run) lagAt(ctx context.Context, rate float64) (map[string]float64, error) {
	loading, stop := context.WithCancel(ctx)
	defer stop()
	var group errgroup.Group
	var mu sync.Mutex
	var lags []time.Duration
	for w := range watched {
		group.Go(func() error {
			for n := 0; loading.Err() == nil; n++ {
				d, err := r.watch(ctx, id(1<<50+w<<32+n))
				if err != nil {
					return err
				}
				mu.Lock()
				lags = append(lags, d)
				mu.Unlock()
			}
			return nil
		})
	}
	o, err := paced(ctx, some, 3*r.Time, rate, put(r.producer, entityName))
	stop()
	if watching := group.Wait(); err == nil {
		err = watching
	}
	if err != nil {
		return nil, err
	}
	slices.Sort(lags)
	seen := outcome{times: lags}
	return map[string]float64{
		"rate": o.rate(), "lag p50": seen.quantile(0.5) / 1000, "lag p99": seen.quantile(0.99) / 1000,
	}, r.drained(ctx)
}

// watch writes a record and waits until it is persisted.
func (r *run) watch(ctx context.Context, id string) (time.Duration, error) {
	if _, err := r.producer.Put(ctx, entityName, id, fields); err != nil {
		return 0, err
	}
	start := time.Now()
	for {
		s, err := r.cache.Status(ctx, r.entity, id)
		if err != nil || s.Record.Status == schema.Persisted {
			return time.Since(start), err
		}
		time.Sleep(lookEach)
	}
}

// hot measures how many accepted writes share one row when all writes go to a few records.
func (r *run) hot(ctx context.Context) error {
	const records = 1000
	return r.alternate(ctx, []Figure{
		{Section: "hot", Name: "accepted writes a row", Unit: ""},
		{Section: "hot", Name: "accepted on hot records", Unit: "/s"},
	}, way{wayLibrary, func(ctx context.Context) (map[string]float64, error) {
		worker, err := r.worker(ctx)
		if err != nil {
			return nil, err
		}
		defer worker.Kill()
		o, err := closed(ctx, some, patience, r.Hot, func(ctx context.Context, n int) error {
			_, err := r.producer.Put(ctx, hotName, id(n%records), fields)
			return err
		})
		if err != nil {
			return nil, err
		}
		err = r.until(ctx, patience, func() (bool, error) {
			parts, err := r.pending.Stats(ctx, r.place.hot)
			return err == nil && pending.Total(parts).Pending == 0, err
		})
		if err != nil {
			return nil, err
		}
		rows, err := metric(ctx, r.config.Worker.Addr, `afterwrite_flush_records_sum{entity="`+hotName+`"}`)
		return map[string]float64{"accepted writes a row": float64(o.n) / rows, "accepted on hot records": o.rate()},
			err
	}})
}
