package cache

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/afterwrite/afterwrite/schema"
)

// valueMetrics count what the groups of values do.
type valueMetrics struct {
	reads, loads, large, lost *prometheus.CounterVec
	seconds                   *prometheus.HistogramVec
	skipped                   prometheus.Counter

	warned atomic.Int64 // when a large value was last logged, in ns
}

func newValueMetrics(r prometheus.Registerer) *valueMetrics {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	}
	m := &valueMetrics{
		reads: counter("afterwrite_value_reads_total", "Values answered, by where they were found.", "group", "source"),
		loads: counter("afterwrite_value_loads_total", "Loads of values.", "group", "outcome"),
		large: counter("afterwrite_value_large_total", "Values larger than the recommended size.", "group"),
		lost: counter("afterwrite_l1_dropped_total",
			"Times that an L1 was dropped whole because events may have been lost.", "of"),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "afterwrite_value_load_duration_seconds", Help: "Loads of values.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 4, 8),
		}, []string{"group"}),
		skipped: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "afterwrite_value_refreshes_skipped_total",
			Help: "Refreshes that were not begun because too many ran.",
		}),
	}
	if r != nil {
		r.MustRegister(m.reads, m.loads, m.large, m.lost, m.seconds, m.skipped)
	}
	return m
}

func (m *valueMetrics) loaded(group string, cost time.Duration, err error) {
	outcome := "loaded"
	switch {
	case errors.Is(err, schema.ErrNotFound):
		outcome = "absent"
	case err != nil:
		outcome = "failed"
	}
	m.loads.WithLabelValues(group, outcome).Inc()
	m.seconds.WithLabelValues(group).Observe(cost.Seconds())
}

// sized counts a value that is larger than it should be, and logs one a minute: what is
// large costs every reader, and holds Redis up for the others.
func (c *Cache) sized(ctx context.Context, p *Policy, size int) {
	if size < p.LargeSize {
		return
	}
	c.values.large.WithLabelValues(p.Group).Inc()
	last, now := c.values.warned.Load(), time.Now().UnixNano()
	if now-last > int64(time.Minute) && c.values.warned.CompareAndSwap(last, now) {
		c.log.WarnContext(ctx, "a value is large", "group", p.Group, "bytes", size, "recommended", p.LargeSize,
			"largest", p.MaxSize)
	}
}

// maxRefreshes bounds the refreshes of one process; more are not begun.
const maxRefreshes = 64

// behind runs do, a refresh of some keys, behind the caller, where not too many run. A key
// that is being refreshed already is left to that. Close waits for it.
func (c *Cache) behind(keys []string, do func()) {
	mine := keys[:0:0]
	for _, key := range keys {
		if _, running := c.refreshing.LoadOrStore(key, true); !running {
			mine = append(mine, key)
		}
	}
	end := func() {
		for _, key := range mine {
			c.refreshing.Delete(key)
		}
	}
	if len(mine) == 0 {
		return
	}
	select {
	case c.refreshes <- struct{}{}:
	default:
		c.values.skipped.Inc()
		end()
		return
	}
	ran := c.bus.Go(func(context.Context) {
		defer func() { <-c.refreshes }()
		defer end()
		do()
	})
	if !ran {
		end()
		<-c.refreshes
	}
}
