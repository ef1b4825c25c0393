package rdb

import (
	"errors"
	"fmt"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
)

// Scope registers what one component measures, whole or not at all. Where the registry has
// the metrics of another such component already, the component reports [Scope.Err] when it is
// made. It is safe for concurrent use.
type Scope struct {
	in prometheus.Registerer

	mu         sync.Mutex // guards what follows
	registered []prometheus.Collector
	err        error
}

// NewScope returns a scope of a registry; nil: nothing is registered.
func NewScope(in prometheus.Registerer) *Scope { return &Scope{in: in} }

// Register registers a collector, unless one before it could not be registered.
func (s *Scope) Register(c prometheus.Collector) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.in == nil || s.err != nil {
		return s.err
	}
	err := s.in.Register(c)
	if errors.As(err, new(prometheus.AlreadyRegisteredError)) {
		err = fmt.Errorf("another one has its metrics in this registry: give each a registerer with a label of its own, "+
			"as prometheus.WrapRegistererWith makes them: %w", err)
	}
	if err != nil {
		s.err = fmt.Errorf("register metrics: %w", err)
		s.drop()
		return s.err
	}
	s.registered = append(s.registered, c)
	return nil
}

// MustRegister registers collectors. It does not panic: see [Scope.Err].
func (s *Scope) MustRegister(collectors ...prometheus.Collector) {
	for _, c := range collectors {
		_ = s.Register(c) // Err has it
	}
}

// Unregister takes a collector out of the registry.
func (s *Scope) Unregister(c prometheus.Collector) bool { return s.in != nil && s.in.Unregister(c) }

// Err is why a collector could not be registered. Then none of the scope is.
func (s *Scope) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// Drop takes all collectors of the scope out of the registry.
func (s *Scope) Drop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.drop()
}

func (s *Scope) drop() {
	for _, c := range s.registered {
		s.in.Unregister(c)
	}
	s.registered = nil
}
