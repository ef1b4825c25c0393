package rdb

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
)

// pools collects the metrics of both connection pools of a client, summed over all nodes.
type pools struct{ client *Client }

func pooled(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("afterwrite_"+name, help, append([]string{"pool"}, labels...), nil)
}

var (
	poolConnsDesc = pooled("redis_pool_connections",
		"Connections of this process to Redis; pool is write for scripts that are never sent again, else read.",
		"state")
	poolHitsDesc = pooled("redis_pool_hits_total", "Commands that found an idle connection.")
	poolMissDesc = pooled("redis_pool_misses_total", "Commands for which a connection was made.")
	poolTimeDesc = pooled("redis_pool_timeouts_total",
		"Commands that failed because no connection became free: raise redis.pool_size.")
)

// Describe implements [prometheus.Collector].
func (pools) Describe(descs chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{poolConnsDesc, poolHitsDesc, poolMissDesc, poolTimeDesc} {
		descs <- d
	}
}

// Collect implements [prometheus.Collector].
func (p pools) Collect(out chan<- prometheus.Metric) {
	for pool, client := range map[string]redis.UniversalClient{"read": p.client.UniversalClient,
		"write": p.client.Once} {
		if client == nil {
			continue
		}
		s := client.PoolStats()
		send := func(d *prometheus.Desc, t prometheus.ValueType, n uint32, labels ...string) {
			out <- prometheus.MustNewConstMetric(d, t, float64(n), append([]string{pool}, labels...)...)
		}
		send(poolConnsDesc, prometheus.GaugeValue, s.IdleConns, "idle")
		send(poolConnsDesc, prometheus.GaugeValue, max(s.TotalConns, s.IdleConns)-s.IdleConns, "used")
		send(poolHitsDesc, prometheus.CounterValue, s.Hits)
		send(poolMissDesc, prometheus.CounterValue, s.Misses)
		send(poolTimeDesc, prometheus.CounterValue, s.Timeouts)
	}
}
