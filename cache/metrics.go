package cache

import (
	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	hits, misses, fills, bypasses *prometheus.CounterVec
}

func newMetrics(r prometheus.Registerer) *metrics {
	counter := func(name, help string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, []string{"entity"})
	}
	m := &metrics{
		hits:   counter("afterwrite_cache_hits_total", "Reads that found their record in Redis."),
		misses: counter("afterwrite_cache_misses_total", "Reads that did not find their record in Redis."),
		fills:  counter("afterwrite_cache_fills_total", "Rows put into Redis after a miss."),
		bypasses: counter("afterwrite_cache_bypasses_total",
			"Reads answered by the database because Redis did not answer."),
	}
	if r != nil {
		r.MustRegister(m.hits, m.misses, m.fills, m.bypasses)
	}
	return m
}

// declare creates the series of an entity before the first read: the rate of a series that begins with its first event
// misses that event.
func (m *metrics) declare(entity string) {
	for _, c := range []*prometheus.CounterVec{m.hits, m.misses, m.fills, m.bypasses} {
		c.WithLabelValues(entity)
	}
}
