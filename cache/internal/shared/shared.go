// Package shared is what the records and the values of one Redis share.
package shared

import (
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/afterwrite/afterwrite/cache/events"
	"github.com/afterwrite/afterwrite/cache/internal/tags"
	"github.com/afterwrite/afterwrite/internal/gather"
	"github.com/afterwrite/afterwrite/internal/layout"
	"github.com/afterwrite/afterwrite/internal/rdb"
)

// State is the state of one Redis in this process.
type State struct {
	Redis   *rdb.Client
	Prefix  layout.Prefix
	Lease   time.Duration // life of the right to fill one record or value
	Log     *slog.Logger
	Metrics *rdb.Scope
	Bus     *events.Bus
	Tags    *tags.Table
	Dropped *prometheus.CounterVec // L1s that were dropped whole, by what they keep

	once   sync.Once
	values any
}

// NewDropped returns the metric of [State.Dropped].
func NewDropped(r prometheus.Registerer) *prometheus.CounterVec {
	m := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "afterwrite_l1_dropped_total",
		Help: "Times that an L1 was dropped whole because events may have been lost."}, []string{"of"})
	for _, of := range []string{"records", "values"} {
		m.WithLabelValues(of)
	}
	r.MustRegister(m)
	return m
}

// Values returns what the values of the state share: what the first call has made.
func (s *State) Values(make func() any) any {
	s.once.Do(func() { s.values = make() })
	return s.values
}

// Trips bounds the reads that share round trips.
var Trips = gather.Limits{Batches: 2, Calls: 256, Waiting: 10_000}

// Misses approximates the share of recent reads that found nothing, in 1/65536.
type Misses struct{ share atomic.Int32 }

// manyMisses is the share above which a script that takes the lease costs less than commands that read, because it
// saves a round trip for each miss.
const manyMisses = 65536 / 7

// Many reports whether the next read should take the lease in the same round trip.
func (m *Misses) Many() bool { return m.share.Load() > manyMisses }

// Add notes a read.
func (m *Misses) Add(missed bool) {
	share := m.share.Load()
	switch {
	case missed:
		m.share.Store(share + (65536-share)/64)
	case share > 0:
		m.share.Store(share - (share+63)/64)
	}
}
