package api

import (
	"context"
	"net/http"
	"sync"

	"github.com/afterwrite/afterwrite/internal/peer"
	"github.com/afterwrite/afterwrite/internal/problem"
)

// resource is shared by all callers. Each caller can use a bounded part of it, so that one caller cannot starve the
// others.
type resource int

const (
	memoryBytes  resource = iota // bytes of bodies and answers; half for one caller
	batchPlaces                  // batches that are executed at once; half
	waitPlaces                   // requests that wait for persistence; half
	streamPlaces                 // event streams; a quarter, but at least four
	resources
)

var resourceNames = [resources]string{"memory", "batches", "waits", "streams"}

// shares counts what each caller uses now. A caller that uses nothing takes no memory.
type shares struct {
	most [resources]int64 // of one caller

	mu    sync.Mutex // guards the fields below
	of    map[string]*[resources]int64
	freed chan struct{} // closed when something is given back; nil while no request waits for that
}

func newShares(memory, batches, waits, streams int64) *shares {
	return &shares{of: map[string]*[resources]int64{}, most: [resources]int64{
		memoryBytes: max(memory/2, 1), batchPlaces: max(batches/2, 1), waitPlaces: max(waits/2, 1),
		streamPlaces: max(streams/4, min(streams, 4)),
	}}
}

// take adds n of a resource to what the caller uses, or returns false if its share is used up.
func (s *shares) take(caller string, r resource, n int64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.locked(caller, r, n)
}

// await is take, but waits until the caller has given enough back, or ctx ends.
func (s *shares) await(ctx context.Context, caller string, r resource, n int64) bool {
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

func (s *shares) locked(caller string, r resource, n int64) bool {
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

func (s *shares) give(caller string, r resource, n int64) {
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

func (s *shares) forget(caller string, held *[resources]int64) {
	if *held == [resources]int64{} {
		delete(s.of, caller)
	}
}

// caller names the caller whose share the request uses: its token, or else its client's address. IPv6 clients are
// counted by their /64, because one machine has that many addresses.
func (a *API) caller(c *call) string {
	if c.caller == "" {
		c.caller = "token " + c.who.Name
		if c.who.Anonymous() {
			address := peer.Address(c.r, a.proxies)
			if p, err := address.Prefix(64); err == nil && address.Is6() {
				address = p.Addr()
			}
			c.caller = "address " + address.String()
		}
	}
	return c.caller
}

// take takes n of a resource for the request's caller; the caller of take must give it back.
func (a *API) take(c *call, r resource, n int64) error {
	if a.shares.take(a.caller(c), r, n) {
		return nil
	}
	a.metrics.shares.WithLabelValues(resourceNames[r]).Inc()
	return errShare(r)
}

func (a *API) give(c *call, r resource, n int64) { a.shares.give(a.caller(c), r, n) }

func errShare(r resource) *problem.Problem {
	return &problem.Problem{Name: "share-used-up", Code: http.StatusTooManyRequests, Title: "Share used up",
		RetryAfter: 1,
		Detail: "this token or address holds as many " + shareWords[r] +
			" as one caller can; the request was not carried out"}
}

var shareWords = [resources]string{"bytes of bodies and answers", "batches", "waits", "event streams"}

// place takes one of a bounded number of places, within the caller's share, and waits for both until ctx ends. The
// bodies of waiting requests are already read, so the bytes of the caller bound how many wait. The caller must call the
// returned function.
func (a *API) place(ctx context.Context, c *call, r resource, places chan struct{}, full error) (back func(),
	err error) {
	if !a.shares.await(ctx, a.caller(c), r, 1) {
		a.metrics.shares.WithLabelValues(resourceNames[r]).Inc()
		return nil, errShare(r)
	}
	select {
	case places <- struct{}{}:
		return func() { <-places; a.give(c, r, 1) }, nil
	case <-ctx.Done():
		a.give(c, r, 1)
		return nil, full
	}
}
