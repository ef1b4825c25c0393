package share

import "github.com/prometheus/client_golang/prometheus"

type metrics struct {
	overfull    prometheus.Counter
	memory      prometheus.Gauge
	batchMemory prometheus.Gauge
	shares      *prometheus.CounterVec
}

func newMetrics(registerer prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		overfull: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "afterwrite_http_memory_refusals_total",
			Help: "Requests rejected because bodies and answers held the maximum of memory.",
		}),
		memory: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "afterwrite_http_memory_bytes",
			Help: "Bytes of large bodies and answers that requests hold now, those of batches aside.",
		}),
		batchMemory: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "afterwrite_http_batch_memory_bytes",
			Help: "Bytes of the bodies of batches that requests hold now.",
		}),
		shares: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "afterwrite_http_share_rejections_total",
			Help: "Requests rejected because their token or address held its whole share of memory, batches, waits or streams.",
		}, []string{"resource"}),
	}
	for _, resource := range resourceNames {
		m.shares.WithLabelValues(resource)
	}
	if registerer == nil {
		return m, nil
	}
	for _, c := range []prometheus.Collector{m.overfull, m.memory, m.batchMemory, m.shares} {
		if err := registerer.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}
