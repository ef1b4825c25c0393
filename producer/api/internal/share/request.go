package share

import (
	"context"
	"net/http"
	"net/netip"

	"github.com/afterwrite/afterwrite/internal/peer"
	"github.com/afterwrite/afterwrite/internal/token"
)

// Request is what one request holds of the shares. Start begins it.
type Request struct {
	of      *Shares
	http    *http.Request
	who     *token.Identity
	proxies []netip.Prefix
	caller  string // see by; "" before its first call
	memory  int64  // bytes counted by Hold
	batch   int64  // bytes counted by HoldBatch
}

// Start begins a request that holds nothing. who is read when the request first takes something; proxies are trusted to
// report a client's address.
func (r *Request) Start(of *Shares, http *http.Request, who *token.Identity, proxies []netip.Prefix) {
	*r = Request{of: of, http: http, who: who, proxies: proxies}
}

// by names the caller whose share the request uses: its token, or else its client's address. IPv6 clients are counted
// by their /64, because one machine has that many addresses.
func (r *Request) by() string {
	if r.caller == "" {
		r.caller = "token " + r.who.Name
		if r.who.Anonymous() {
			address := peer.Address(r.http, r.proxies)
			if p, err := address.Prefix(64); err == nil && address.Is6() {
				address = p.Addr()
			}
			r.caller = "address " + address.String()
		}
	}
	return r.caller
}

// Hold counts bytes that the request holds until it is answered. A caller that sends or reads slowly holds them for
// minutes.
func (r *Request) Hold(bytes int) error {
	more := int64(bytes-free) - r.memory
	if more <= 0 {
		return nil
	}
	if !r.of.all.take(more) {
		r.of.metrics.overfull.Inc()
		return errMemoryFull
	}
	if err := r.take(memory, more); err != nil {
		r.of.all.give(more)
		return err
	}
	r.of.metrics.memory.Add(float64(more))
	r.memory += more
	return nil
}

// HoldBatch is Hold for the body of a batch.
func (r *Request) HoldBatch(bytes int) error {
	more := min(int64(bytes), r.of.batches.body) - r.batch
	if more <= 0 {
		return nil
	}
	switch err := r.of.batches.take(r.by(), more); err {
	case nil:
	case errMemoryFull:
		r.of.metrics.overfull.Inc()
		return err
	default:
		r.of.metrics.shares.WithLabelValues(resourceNames[memory]).Inc()
		return err
	}
	r.of.metrics.batchMemory.Add(float64(more))
	r.batch += more
	return nil
}

// Free releases what Hold and HoldBatch counted.
func (r *Request) Free() {
	if r.batch > 0 {
		r.of.batches.give(r.by(), r.batch)
		r.of.metrics.batchMemory.Sub(float64(r.batch))
		r.batch = 0
	}
	if r.memory > 0 {
		r.of.callers.give(r.by(), memory, r.memory)
		r.of.all.give(r.memory)
		r.of.metrics.memory.Sub(float64(r.memory))
		r.memory = 0
	}
}

// Take takes one of a resource for the request's caller; Give gives it back. The error says that the caller's
// share is used up.
func (r *Request) Take(res Resource) error { return r.take(res, 1) }

func (r *Request) take(res Resource, n int64) error {
	if r.of.callers.take(r.by(), res, n) {
		return nil
	}
	r.of.metrics.shares.WithLabelValues(resourceNames[res]).Inc()
	return errShare(res)
}

// Give gives one of a resource back.
func (r *Request) Give(res Resource) { r.of.callers.give(r.by(), res, 1) }

// Enter takes one of the places of all callers if one is free; it is given back with Leave.
func (r *Request) Enter(res Resource) bool {
	select {
	case r.of.places[res] <- struct{}{}:
		return true
	default:
		return false
	}
}

// Leave gives a place back.
func (r *Request) Leave(res Resource) { <-r.of.places[res] }

// Await takes one of a bounded number of places, within the caller's share, and waits for both until ctx ends; the
// error is full if it ends for want of a place. The bodies of waiting requests are already read, so the bytes of the
// caller bound how many wait. The caller must call the returned function.
func (r *Request) Await(ctx context.Context, res Resource, full error) (back func(), err error) {
	if !r.of.callers.await(ctx, r.by(), res, 1) {
		r.of.metrics.shares.WithLabelValues(resourceNames[res]).Inc()
		return nil, errShare(res)
	}
	select {
	case r.of.places[res] <- struct{}{}:
		return func() { r.Leave(res); r.Give(res) }, nil
	case <-ctx.Done():
		r.Give(res)
		return nil, full
	}
}
