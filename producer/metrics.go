package producer

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/afterwrite/afterwrite/cache"
	"github.com/afterwrite/afterwrite/schema"
)

type metrics struct {
	writes   *prometheus.CounterVec
	gathered prometheus.Histogram
	orders   *prometheus.CounterVec
	drawn    *prometheus.CounterVec
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
			Name: "afterwrite_sync_tasks_enqueued_total",
			Help: "Sync tasks enqueued by writes, by outcome; the sweeper repairs what was dropped or failed.",
		}, []string{"outcome"}),
		drawn: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "afterwrite_ids_drawn_total", Help: "Ids drawn from the sequences of tables; those that no create used are gaps.",
		}, []string{"entity"}),
	}
	if r != nil {
		r.MustRegister(m.writes, m.gathered, m.orders, m.drawn)
	}
	return m
}

// declare creates the series of an entity before the first write: the rate of a series that begins with its first event
// misses that event.
func (m *metrics) declare(e *schema.Entity) {
	for _, op := range []cache.Op{cache.OpPut, cache.OpCreate, cache.OpPatch, cache.OpIncrement, cache.OpDelete} {
		for _, name := range []string{"accepted", "error", "unavailable"} {
			m.writes.WithLabelValues(e.Name, string(op), name)
		}
	}
	m.drawn.WithLabelValues(e.Name)
}

func (m *metrics) write(e *schema.Entity, op cache.Op, err error) {
	if e == nil {
		return // an unknown entity cannot be a label
	}
	m.writes.WithLabelValues(e.Name, string(op), outcome(err)).Inc()
}

var outcomes = []struct {
	err  error
	name string
}{
	{schema.ErrInvalid, "invalid"},
	{schema.ErrNotFound, "not_found"},
	{schema.ErrExists, "exists"},
	{schema.ErrVersionMismatch, "version_mismatch"},
	{schema.ErrKeyReused, "key_reused"},
	{schema.ErrKeysFull, "keys_full"},
	{schema.ErrBacklogFull, "backlog_full"},
	{schema.ErrBusy, "busy"},
	{schema.ErrOutcomeUnknown, "unknown"},
	{schema.ErrNoID, "no_id"},
	{schema.ErrDatabaseUnavailable, "database_unavailable"},
	{schema.ErrRedisFull, "redis_full"},
	{schema.ErrRedisReadOnly, "redis_read_only"},
	{schema.ErrUnavailable, "unavailable"},
}

func outcome(err error) string {
	if err == nil {
		return "accepted"
	}
	if refusal := (schema.Refusal{}); errors.As(err, &refusal) {
		return "refused"
	}
	for _, o := range outcomes {
		if errors.Is(err, o.err) {
			return o.name
		}
	}
	return "error"
}
