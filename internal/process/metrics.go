package process

import "github.com/prometheus/client_golang/prometheus"

// metrics are the figures of a process as a whole.
type metrics struct {
	paired prometheus.Gauge
	losses prometheus.Gauge
}

func newMetrics(r prometheus.Registerer) metrics {
	m := metrics{
		paired: prometheus.NewGauge(prometheus.GaugeOpts{Name: "afterwrite_paired",
			Help: "1 while Redis and the database belong together as far as this process knows, 0 where they do not."}),
		losses: prometheus.NewGauge(prometheus.GaugeOpts{Name: "afterwrite_losses_unacknowledged",
			Help: "Losses of accepted writes in Redis that no operator has acknowledged."}),
	}
	m.paired.Set(1)
	r.MustRegister(m.paired, m.losses)
	return m
}
