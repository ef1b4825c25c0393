package process

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/afterwrite/afterwrite/internal/problem"
	"github.com/afterwrite/afterwrite/producer/api"
)

// ErrInterrupted is the cause of a context that a person at a terminal has ended: no
// balancer waits to be told, so nothing is drained.
var ErrInterrupted = errors.New("interrupted")

// quiet is how long no request may have come before a drain ends.
const quiet = 500 * time.Millisecond

// drain turns the balancers of a server away before it ends: /readyz answers 503, every
// other request is answered as before, and its connection is closed after the answer, so
// that no balancer keeps one that is about to end. The order is: not ready, drained, streams
// and waits end, listener closed, requests in flight finished.
type drain struct {
	begun atomic.Bool
	last  atomic.Int64  // when the last request came that is no probe, in ns
	over  chan struct{} // closed when the drain has ended
}

func newDrain() *drain { return &drain{over: make(chan struct{})} }

// run waits until ctx ends, and then for the drain. Where requests go on coming, for a
// balancer that has not noticed, it waits for up to four fifths longer. A server that was never
// ready has no balancer to turn away.
func (d *drain) run(ctx context.Context, lasts time.Duration, ready func() bool, log *slog.Logger) {
	<-ctx.Done()
	defer close(d.over)
	d.begun.Store(true)
	if lasts == 0 || !ready() || errors.Is(context.Cause(ctx), ErrInterrupted) {
		return
	}
	log.Info("draining: not ready for new requests, which are answered still", "for", lasts)
	time.Sleep(lasts)
	until := time.Now().Add(lasts * 4 / 5)
	for time.Now().Before(until) && time.Since(time.Unix(0, d.last.Load())) < quiet {
		time.Sleep(quiet / 10)
	}
}

// handler answers with next, and politely while the drain lasts.
func (d *drain) handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !d.begun.Load() {
			next.ServeHTTP(w, r)
			return
		}
		w.Header().Set("Connection", "close")
		if r.URL.Path == "/readyz" {
			api.Refuse(w, r, &problem.Problem{Name: "draining", Code: http.StatusServiceUnavailable, Title: "Draining",
				RetryAfter: 1,
				Detail:     "this process is about to end; requests are answered until then"})
			return
		}
		d.last.Store(time.Now().UnixNano())
		next.ServeHTTP(w, r)
	})
}

// context returns a context that goes on after ctx, until the drain is over.
func (d *drain) context(ctx context.Context) (context.Context, context.CancelFunc) {
	going, cancel := context.WithCancel(context.WithoutCancel(ctx))
	go func() {
		select {
		case <-d.over:
			cancel()
		case <-going.Done():
		}
	}()
	return going, cancel
}
