package afterwrite

import (
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
)

// series are the metrics of one DB among those of its program. Each DB has a registry of its
// own, and any number of them may be registered at once: a label tells them apart.
type series struct {
	from atomic.Pointer[prometheus.Registry] // nil once the DB is closed
	mark prometheus.Collector
	at   prometheus.Registerer
}

// maxDoors bounds how many DBs of one prefix a registerer takes.
const maxDoors = 1000

// export registers a DB's metrics under the label db, the prefix of its keys, or prefix/2 for
// the second of that prefix.
func export(at prometheus.Registerer, from *prometheus.Registry, prefix string) (*series, error) {
	s := &series{at: at}
	if at == nil {
		return s, nil
	}
	for n := 1; n <= maxDoors; n++ {
		name := prefix
		if n > 1 {
			name = fmt.Sprintf("%s/%d", prefix, n)
		}
		open := prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "afterwrite_open", Help: "1 for each DB that is open in this process.",
			ConstLabels: prometheus.Labels{"db": name},
		})
		open.Set(1)
		err := at.Register(open)
		if taken := (prometheus.AlreadyRegisteredError{}); errors.As(err, &taken) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("register metrics: %w", err)
		}
		s.mark = open
		s.from.Store(from)
		if err := at.Register(prometheus.WrapCollectorWith(prometheus.Labels{"db": name}, s)); err != nil {
			at.Unregister(open)
			return nil, fmt.Errorf("register metrics: %w", err)
		}
		return s, nil
	}
	return nil, fmt.Errorf("register metrics: %d DBs of prefix %s are open", maxDoors, prefix)
}

// Describe tells nothing: what the DB does decides which metrics there are.
func (s *series) Describe(chan<- *prometheus.Desc) {}

// Collect passes the DB's metrics on.
func (s *series) Collect(to chan<- prometheus.Metric) {
	if from := s.from.Load(); from != nil {
		from.Collect(to)
	}
}

func (s *series) end() {
	s.from.Store(nil)
	if s.mark != nil {
		s.at.Unregister(s.mark)
	}
}
