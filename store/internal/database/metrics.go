package database

import (
	"database/sql"
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

// Metrics of a store. A nil Registerer leaves them uncollected, not unmeasured.
type Metrics struct {
	seconds *prometheus.HistogramVec
}

func newMetrics(r prometheus.Registerer) (*Metrics, error) {
	seconds := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name:    "afterwrite_sql_duration_seconds",
		Help:    "Time of operations at the database.",
		Buckets: prometheus.ExponentialBuckets(0.0002, 2.5, 13),
	}, []string{"op"})
	if r == nil {
		return &Metrics{seconds}, nil
	}
	var twice prometheus.AlreadyRegisteredError
	if err := r.Register(seconds); errors.As(err, &twice) {
		if same, ok := twice.ExistingCollector.(*prometheus.HistogramVec); ok {
			return &Metrics{same}, nil // another store of this process
		}
		return nil, err
	} else if err != nil {
		return nil, err
	}
	return &Metrics{seconds}, nil
}

// watch collects the figures of a pool until the returned function is called.
func watch(r prometheus.Registerer, name string, db *sql.DB) (stop func()) {
	if r == nil {
		return func() {}
	}
	pool := collectors.NewDBStatsCollector(db, name)
	if r.Register(pool) != nil {
		return func() {} // another store of this process has the name
	}
	return func() { r.Unregister(pool) }
}

// Time starts to measure op; the returned function ends it.
func (m *Metrics) Time(op string) func() {
	start := time.Now()
	return func() { m.seconds.WithLabelValues(op).Observe(time.Since(start).Seconds()) }
}
