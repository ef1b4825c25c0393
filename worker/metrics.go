package worker

import (
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/afterwrite/afterwrite/cache"
	"github.com/afterwrite/afterwrite/store"
)

// metrics count what this process did.
type metrics struct {
	records   *prometheus.HistogramVec
	seconds   *prometheus.HistogramVec
	lag       *prometheus.HistogramVec
	persisted *prometheus.CounterVec
	refused   *prometheus.CounterVec
	swept     *prometheus.CounterVec
	putOff    *prometheus.CounterVec
	stale     prometheus.Counter
	breaker   prometheus.Gauge
	leading   prometheus.Gauge
}

func newMetrics(r prometheus.Registerer) (*metrics, error) {
	histogram := func(name, help string, buckets []float64) *prometheus.HistogramVec {
		return prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: name, Help: help, Buckets: buckets}, []string{"entity"})
	}
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	}
	gauge := func(name, help string) prometheus.Gauge {
		return prometheus.NewGauge(prometheus.GaugeOpts{Name: name, Help: help})
	}
	m := &metrics{
		records: histogram("afterwrite_flush_records", "Records of one flush.",
			prometheus.ExponentialBuckets(1, 2, 14)),
		seconds: histogram("afterwrite_flush_seconds", "Time of one flush: lock, read, write, commit and ack.",
			prometheus.ExponentialBuckets(0.001, 2, 16)),
		lag: histogram("afterwrite_persist_lag_seconds", "Time from the acceptance of a record to its ack.",
			prometheus.ExponentialBuckets(0.005, 2.5, 14)),
		persisted: counter("afterwrite_persisted_total", "Records that this worker persisted and acked.", "entity"),
		refused:   counter("afterwrite_refused_total", "Refusals by the database, one an attempt.", "entity", "kind"),
		swept:     counter("afterwrite_sweeper_orders_total", "Lost orders that the sweeper repeated.", "entity"),
		putOff:    counter("afterwrite_tasks_put_off_total", "Sync tasks put off, by reason.", "reason"),
		stale: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "afterwrite_stale_tasks_total", Help: "Sync tasks that were not their partition's live one."}),
		breaker: gauge("afterwrite_breaker_state", "Circuit breaker before the database: 0 closed, 1 half-open, 2 open."),
		leading: gauge("afterwrite_sweeper_leading", "1 in the worker that holds the sweeper's lease."),
	}
	if r == nil {
		return m, nil
	}
	var err error
	for _, c := range []prometheus.Collector{
		m.records, m.seconds, m.lag, m.persisted, m.refused, m.swept, m.putOff, m.stale, m.breaker, m.leading,
	} {
		err = errors.Join(err, r.Register(c))
	}
	return m, err
}

// measure logs a batch and counts it. A look that found nothing is not a batch.
func (w *Worker) measure(o cache.Order, r *reading, f store.Flushed, took time.Duration) {
	if len(r.last.Due) == 0 {
		return
	}
	name := o.Entity.Name
	w.metrics.records.WithLabelValues(name).Observe(float64(len(r.last.Due)))
	w.metrics.seconds.WithLabelValues(name).Observe(took.Seconds())
	lag := w.metrics.lag.WithLabelValues(name)
	now := r.now()
	for _, c := range f.Persisted {
		if since := r.due[c.ID].PendingSince; !since.IsZero() {
			lag.Observe(now.Sub(since).Seconds())
		}
	}
	w.log.Info("flushed", "entity", name, "partition", o.Partition, "read", len(r.last.Due),
		"persisted", len(f.Persisted), "refused", len(f.Refused), "more", r.last.More, "elapsed", took.Round(time.Microsecond))
}
