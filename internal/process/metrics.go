package process

import "github.com/prometheus/client_golang/prometheus"

// metrics are the figures of a process as a whole.
type metrics struct {
	paired  prometheus.Gauge
	losses  prometheus.Gauge
	spans   *prometheus.CounterVec
	changes *prometheus.GaugeVec
}

func newMetrics(r prometheus.Registerer) metrics {
	m := metrics{
		paired: prometheus.NewGauge(prometheus.GaugeOpts{Name: "afterwrite_paired",
			Help: "1 while Redis and the database belong together as far as this process knows, 0 where they do not."}),
		losses: prometheus.NewGauge(prometheus.GaugeOpts{Name: "afterwrite_losses_unacknowledged",
			Help: "Losses of accepted writes in Redis that no operator has acknowledged."}),
	}
	m.spans = prometheus.NewCounterVec(prometheus.CounterOpts{Name: "afterwrite_trace_spans_total",
		Help: "Spans by outcome: exported, or failed, which are lost. 0 unless tracing is on."}, []string{"outcome"})
	for _, outcome := range []string{"exported", "failed"} {
		m.spans.WithLabelValues(outcome)
	}
	m.changes = prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "afterwrite_oldest_change_timestamp_seconds",
		Help: "When the oldest change of a watched table by another program was noted that no worker has followed; " +
			"absent without one."}, []string{"entity"})
	m.paired.Set(1)
	r.MustRegister(m.paired, m.losses, m.spans, m.changes)
	return m
}
