package login

import (
	"context"
	"errors"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// Limits of the tries to log in. They are by address, so that no guesser locks
// others out; how many are checked at once is bounded for all callers together.
const (
	loginsAtOnce = 2 // a check takes memory and a processor for a moment
	loginsWait   = 2 * time.Second
	loginsBurst  = 10
	loginEvery   = 3 * time.Second // beyond the burst
	loginsKnown  = 10_000          // addresses that are remembered
)

// Tries bounds the tries to log in, of each address and of all at once.
type Tries struct {
	checking chan struct{} // a token for each password that is being checked

	mu sync.Mutex // guards by
	by map[netip.Prefix]*rate.Limiter
}

// ErrTries reports too many tries to log in.
var ErrTries = errors.New("too many tries to log in; wait a few seconds")

// NewTries returns tries of which none was made.
func NewTries() *Tries {
	return &Tries{checking: make(chan struct{}, loginsAtOnce), by: map[netip.Prefix]*rate.Limiter{}}
}

// Begin lets an address try a password, and waits a little for its turn. The caller calls end when the password was
// checked.
func (t *Tries) Begin(ctx context.Context, from netip.Addr) (end func(), err error) {
	if !t.allow(from) {
		return nil, ErrTries
	}
	select {
	case t.checking <- struct{}{}:
		return func() { <-t.checking }, nil
	case <-time.After(loginsWait):
		return nil, ErrTries
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// allow reports whether an address may try again. An IPv6 network of 64 bits is one
// address: a client that has one has all of it.
func (t *Tries) allow(from netip.Addr) bool {
	bits := 32
	if from.Is6() {
		bits = 64
	}
	network, err := from.Prefix(bits)
	if err != nil {
		network = netip.Prefix{}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	one := t.by[network]
	if one == nil {
		if len(t.by) >= loginsKnown {
			t.forget()
		}
		one = rate.NewLimiter(rate.Every(loginEvery), loginsBurst)
		t.by[network] = one
	}
	return one.Allow()
}

// forget drops the addresses that have all their tries again or, under a flood, all.
func (t *Tries) forget() {
	for network, one := range t.by {
		if one.Tokens() >= loginsBurst {
			delete(t.by, network)
		}
	}
	if len(t.by) >= loginsKnown {
		clear(t.by)
	}
}
