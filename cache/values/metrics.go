package values

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics count what the groups of values do.
type metrics struct {
	reads, loads, large *prometheus.CounterVec
	seconds             *prometheus.HistogramVec
	skipped             prometheus.Counter

	warned atomic.Int64 // when a large value was last logged, in ns
}

func newMetrics(r prometheus.Registerer) *metrics {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	}
	m := &metrics{
		reads: counter("afterwrite_value_reads_total", "Values answered, by where they were found.", "group", "source"),
		loads: counter("afterwrite_value_loads_total", "Loads of values.", "group", "outcome"),
		large: counter("afterwrite_value_large_total", "Values larger than the recommended size.", "group"),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "afterwrite_value_load_duration_seconds", Help: "Loads of values.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 4, 8),
		}, []string{"group"}),
		skipped: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "afterwrite_value_refreshes_skipped_total",
			Help: "Refreshes that were not begun because too many ran.",
		}),
	}
	r.MustRegister(m.reads, m.loads, m.large, m.seconds, m.skipped)
	return m
}

func (m *metrics) loaded(group string, cost time.Duration, outcome string) {
	m.loads.WithLabelValues(group, outcome).Inc()
	m.seconds.WithLabelValues(group).Observe(cost.Seconds())
}

// sized counts a value that is larger than it should be, and logs one a minute: what is
// large costs every reader, and holds Redis up for the others.
func (s *store) sized(ctx context.Context, p *Policy, size int) {
	if size < p.LargeSize {
		return
	}
	s.metrics.large.WithLabelValues(p.Group).Inc()
	last, now := s.metrics.warned.Load(), time.Now().UnixNano()
	if now-last > int64(time.Minute) && s.metrics.warned.CompareAndSwap(last, now) {
		s.Log.WarnContext(ctx, "a value is large", "group", p.Group, "bytes", size, "recommended", p.LargeSize,
			"largest", p.MaxSize)
	}
}
