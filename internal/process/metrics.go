package process

import "github.com/prometheus/client_golang/prometheus"

// metrics are the figures of a process as a whole.
type metrics struct {
	paired prometheus.Gauge
	losses prometheus.Gauge
	spans  *prometheus.CounterVec
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
	m.paired.Set(1)
	r.MustRegister(m.paired, m.losses, m.spans)
	return m
}
