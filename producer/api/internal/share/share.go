// Package share bounds what all requests of the HTTP API together, and each of their callers alone, hold of its memory
// and its places, so that no caller starves the others.
//
//	share.go    what each caller has of what all share, and the places
//	memory.go   bytes of bodies and answers, and those of batches
//	request.go  what one request holds
package share

import (
	"context"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
)

// Resource is shared by all callers. Each caller can use a bounded part of it.
type Resource int

// The resources.
const (
	memory  Resource = iota // bytes of bodies and answers; half for one caller
	Batches                 // batches that are executed at once; half
	Waits                   // requests that wait for persistence; half
	Streams                 // event streams; a quarter, but at least four
	resources
)

var resourceNames = [resources]string{"memory", "batches", "waits", "streams"}

// Limits are of all callers together.
type Limits struct {
	Memory      int64 // bytes of bodies and answers, those of batches aside
	BatchMemory int64 // bytes of the bodies of batches
	BatchBody   int64 // bytes of the body of one batch: as much as one caller's batches can have
	Batches     int
	Waits       int
	Streams     int
}

// Shares counts what is held now, by all callers and by each.
type Shares struct {
	all     total
	callers *callers
	batches *batches
	places  [resources]chan struct{} // a token for each place that is taken
	metrics *metrics
}

// New returns shares of which nothing is held. The metrics are registered where r is not nil.
func New(l Limits, r prometheus.Registerer) (*Shares, error) {
	m, err := newMetrics(r)
	if err != nil {
		return nil, err
	}
	s := &Shares{
		all:     total{most: l.Memory},
		callers: newCallers(l.Memory, int64(l.Batches), int64(l.Waits), int64(l.Streams)),
		batches: newBatches(l.BatchMemory, l.BatchBody),
		metrics: m,
	}
	for r, n := range map[Resource]int{Batches: l.Batches, Waits: l.Waits, Streams: l.Streams} {
		s.places[r] = make(chan struct{}, n)
	}
	return s, nil
}

// callers counts what each caller uses now. A caller that uses nothing takes no memory.
type callers struct {
	most [resources]int64 // of one caller

	mu    sync.Mutex // guards the fields below
	of    map[string]*[resources]int64
	freed chan struct{} // closed when something is given back; nil while no request waits for that
}

func newCallers(bytes, batches, waits, streams int64) *callers {
	return &callers{of: map[string]*[resources]int64{}, most: [resources]int64{
		memory: max(bytes/2, 1), Batches: max(batches/2, 1), Waits: max(waits/2, 1),
		Streams: max(streams/4, min(streams, 4)),
	}}
}

// take adds n of a resource to what the caller uses, or returns false if its share is used up.
func (s *callers) take(caller string, r Resource, n int64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.locked(caller, r, n)
}

// await is take, but waits until the caller has given enough back, or ctx ends.
func (s *callers) await(ctx context.Context, caller string, r Resource, n int64) bool {
	for {
		s.mu.Lock()
		if s.locked(caller, r, n) {
			s.mu.Unlock()
			return true
		}
		if s.freed == nil {
			s.freed = make(chan struct{})
		}
		freed := s.freed
		s.mu.Unlock()
		select {
		case <-freed:
		case <-ctx.Done():
			return false
		}
	}
}

func (s *callers) locked(caller string, r Resource, n int64) bool {
	held := s.of[caller]
	if held == nil {
		held = new([resources]int64)
		s.of[caller] = held
	}
	if held[r]+n > s.most[r] {
		s.forget(caller, held)
		return false
	}
	held[r] += n
	return true
}

func (s *callers) give(caller string, r Resource, n int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	held := s.of[caller]
	held[r] -= n
	s.forget(caller, held)
	if s.freed != nil {
		close(s.freed)
		s.freed = nil
	}
}

func (s *callers) forget(caller string, held *[resources]int64) {
	if *held == [resources]int64{} {
		delete(s.of, caller)
	}
}
