package worker

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/sony/gobreaker/v2"
)

// The gate closes after this many outages in a row, and then lets one flush, or [Worker.probe], at a time probe the
// database.
const (
	outages    = 3
	gateClosed = time.Second
)

// Bounds of the delay of a deferred task.
const (
	backoffBase = 500 * time.Millisecond
	backoffCap  = 15 * time.Second
)

// backoff returns the delay after that many failures in a row; half of it is random, so that tasks that failed together
// are spread.
func backoff(failures int) time.Duration {
	d := min(backoffBase<<min(max(failures-1, 0), 10), backoffCap)
	return d/2 + rand.N(d/2)
}

// outcome is what a flush showed about the database.
type outcome int

const (
	fine    outcome = iota // it responds
	away                   // it does not respond
	unknown                // the flush did not get that far
)

// The outcomes as the breaker takes them; for fine it takes nil.
var (
	errAway    = errors.New("database is away")
	errUnknown = errors.New("nothing is known of the database")
)

// gate is the circuit breaker in front of the database, one per process: while the database is away, tasks do not wait
// for its timeouts one by one.
type gate struct {
	breaker *gobreaker.TwoStepCircuitBreaker[struct{}]
	closed  atomic.Int64          // how many times in a row it closed
	why     atomic.Pointer[error] // error of the last flush that found the database away
	// reopened receives when the database is back.
	reopened chan struct{}
}

func newGate(log *slog.Logger, state prometheus.Gauge) *gate {
	g := &gate{reopened: make(chan struct{}, 1)}
	g.blame(errAway)
	g.breaker = gobreaker.NewTwoStepCircuitBreaker[struct{}](gobreaker.Settings{
		MaxRequests: 1,
		Timeout:     gateClosed,
		ReadyToTrip: func(c gobreaker.Counts) bool { return c.ConsecutiveFailures >= outages },
		IsExcluded:  func(err error) bool { return errors.Is(err, errUnknown) },
		OnStateChange: func(_ string, from, to gobreaker.State) {
			state.Set(float64(to))
			switch to {
			case gobreaker.StateOpen:
				if g.closed.Add(1) == 1 {
					log.Warn("database is unavailable; flushes wait", "error", *g.why.Load())
				}
			case gobreaker.StateClosed:
				g.closed.Store(0)
				log.Info("database is available again; flushes continue")
				select {
				case g.reopened <- struct{}{}:
				default:
				}
			}
		},
	})
	return g
}

// blame stores, for the log, the error of a flush that is about to report that the database is away.
func (g *gate) blame(err error) { g.why.Store(&err) }

// enter asks for permission to use the database. If ok, the caller must report the outcome with leave.
func (g *gate) enter() (leave func(outcome), ok bool) {
	done, err := g.breaker.Allow()
	if err != nil {
		return nil, false
	}
	return func(o outcome) { done([]error{nil, errAway, errUnknown}[o]) }, true
}

// trouble returns why the database is away, "" if it is not known to be away.
func (g *gate) trouble() string {
	if g.closed.Load() == 0 {
		return ""
	}
	return (*g.why.Load()).Error()
}

// wait returns the delay of a task that was not let in, or found the database away.
func (g *gate) wait() time.Duration { return backoff(int(g.closed.Load())) }

// probeEvery is how often a worker looks whether it should probe a database that was away.
const probeEvery = 500 * time.Millisecond

// probe finds out whether a database that was away is back, because no task may be due for as long as backoffCap, and
// wakes the deferred tasks once it is. It returns when ctx ends.
func (w *Worker) probe(ctx context.Context) {
	tick := time.NewTicker(probeEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-w.gate.reopened:
			w.wake(ctx)
		case <-tick.C:
			w.probeOnce(ctx)
		}
	}
}

// probeOnce writes to the database if it was away and no flush is let in.
func (w *Worker) probeOnce(ctx context.Context) {
	if w.gate.closed.Load() == 0 {
		return
	}
	leave, ok := w.gate.enter()
	if !ok {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, pingTimeout)
	defer cancel()
	switch err := w.store.Writable(ctx); {
	case err == nil:
		leave(fine)
	case ctx.Err() != nil && context.Cause(ctx) == context.Canceled:
		leave(unknown)
	default:
		w.gate.blame(err)
		leave(away)
	}
}

// wake has the tasks run now that were deferred while the database was away. If that fails, they run at their own time.
func (w *Worker) wake(ctx context.Context) {
	queues := map[string]bool{}
	for _, e := range w.all {
		queues[e.Flush.Queue] = true
	}
	for _, name := range slices.Sorted(maps.Keys(queues)) {
		if _, err := w.queue.Wake(ctx, name); err != nil {
			w.log.Warn("deferred sync tasks not woken; they run at their time", "queue", name, "error", err)
		}
	}
}
