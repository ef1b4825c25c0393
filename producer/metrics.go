package producer

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/afterwrite/afterwrite"
	"github.com/afterwrite/afterwrite/cache"
)

type metrics struct {
	writes   *prometheus.CounterVec
	gathered prometheus.Histogram
	orders   *prometheus.CounterVec
}

func newMetrics(r prometheus.Registerer) *metrics {
	m := &metrics{
		writes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "afterwrite_writes_total", Help: "Writes by operation and outcome.",
		}, []string{"entity", "op", "outcome"}),
		gathered: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "afterwrite_gathered_writes", Help: "Writes that shared one trip to Redis.",
			Buckets: prometheus.ExponentialBuckets(1, 2, 10),
		}),
		orders: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "afterwrite_orders_total", Help: "Sync tasks ordered by writes; the sweeper repairs what was dropped or failed.",
		}, []string{"outcome"}),
	}
	if r != nil {
		r.MustRegister(m.writes, m.gathered, m.orders)
	}
	return m
}

func (m *metrics) write(e *afterwrite.Entity, op cache.Op, err error) {
	if e == nil {
		return // an unknown entity is no label
	}
	m.writes.WithLabelValues(e.Name, string(op), outcome(err)).Inc()
}

var outcomes = []struct {
	err  error
	name string
}{
	{afterwrite.ErrInvalid, "invalid"},
	{afterwrite.ErrNotFound, "not_found"},
	{afterwrite.ErrExists, "exists"},
	{afterwrite.ErrVersionMismatch, "version_mismatch"},
	{afterwrite.ErrKeyReused, "key_reused"},
	{afterwrite.ErrBacklogFull, "backlog_full"},
	{afterwrite.ErrBusy, "busy"},
	{afterwrite.ErrOutcomeUnknown, "unknown"},
	{afterwrite.ErrDatabaseUnavailable, "database_unavailable"},
	{afterwrite.ErrRedisFull, "redis_full"},
	{afterwrite.ErrRedisReadOnly, "redis_read_only"},
	{afterwrite.ErrUnavailable, "unavailable"},
}

func outcome(err error) string {
	if err == nil {
		return "accepted"
	}
	if refusal := (afterwrite.Refusal{}); errors.As(err, &refusal) {
		return "refused"
	}
	for _, o := range outcomes {
		if errors.Is(err, o.err) {
			return o.name
		}
	}
	return "error"
}
