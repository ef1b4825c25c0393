package store

import (
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics of a store. A nil Registerer leaves them uncollected, not unmeasured.
type metrics struct {
	seconds *prometheus.HistogramVec
}

func newMetrics(r prometheus.Registerer) (*metrics, error) {
	seconds := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name:    "afterwrite_sql_seconds",
		Help:    "Time of operations at the database.",
		Buckets: prometheus.ExponentialBuckets(0.0002, 2.5, 13),
	}, []string{"op"})
	if r == nil {
		return &metrics{seconds}, nil
	}
	var twice prometheus.AlreadyRegisteredError
	if err := r.Register(seconds); errors.As(err, &twice) {
		if same, ok := twice.ExistingCollector.(*prometheus.HistogramVec); ok {
			return &metrics{same}, nil // another store of this process
		}
		return nil, err
	} else if err != nil {
		return nil, err
	}
	return &metrics{seconds}, nil
}

// time starts to measure op; the returned function ends it.
func (m *metrics) time(op string) func() {
	start := time.Now()
	return func() { m.seconds.WithLabelValues(op).Observe(time.Since(start).Seconds()) }
}
