package cache

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	hits, misses, fills, bypasses *prometheus.CounterVec
	lost                          *prometheus.CounterVec
	scripts                       *prometheus.HistogramVec
}

func newMetrics(r prometheus.Registerer) *metrics {
	counter := func(name, help string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, []string{"entity"})
	}
	m := &metrics{
		hits:     counter("afterwrite_cache_hits_total", "Reads that found their record in Redis."),
		misses:   counter("afterwrite_cache_misses_total", "Reads that did not find their record in Redis."),
		fills:    counter("afterwrite_cache_fills_total", "Rows put into Redis after a miss."),
		bypasses: counter("afterwrite_cache_bypasses_total", "Reads answered by the database because Redis did not answer."),
		lost:     counter("afterwrite_lost_records_total", "Listed records whose data Redis no longer had."),
		scripts: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "afterwrite_redis_script_duration_seconds", Help: "Round trips of Redis scripts, a pipeline counting once.",
			Buckets: prometheus.ExponentialBuckets(0.0001, 2.5, 12),
		}, []string{"script"}),
	}
	if r != nil {
		r.MustRegister(m.hits, m.misses, m.fills, m.bypasses, m.lost, m.scripts)
	}
	return m
}

func (m *metrics) script(name string, start time.Time) {
	m.scripts.WithLabelValues(name).Observe(time.Since(start).Seconds())
}
