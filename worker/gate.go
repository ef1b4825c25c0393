package worker

import (
	"errors"
	"log/slog"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/sony/gobreaker/v2"
)

// The gate closes after outages in a row and lets one flush try the database once in a
// while.
const (
	outages    = 3
	gateClosed = time.Second
)

// Bounds of the wait of a task that is put off.
const (
	backoffBase = 500 * time.Millisecond
	backoffCap  = 15 * time.Second
)

// backoff is the wait after that many failures in a row, half of it random so that
// tasks which failed together part.
func backoff(failures int) time.Duration {
	d := min(backoffBase<<min(max(failures-1, 0), 10), backoffCap)
	return d/2 + rand.N(d/2)
}

// outcome is what a flush showed of the database.
type outcome int

const (
	fine    outcome = iota // it answers
	away                   // it does not
	unknown                // the flush did not come so far
)

// The outcomes as the breaker takes them; fine is nil.
var (
	errAway    = errors.New("database is away")
	errUnknown = errors.New("nothing is known of the database")
)

// gate is the circuit breaker before the database, one a process: while the database is
// away, tasks do not wait for its timeouts one by one.
type gate struct {
	breaker *gobreaker.TwoStepCircuitBreaker[struct{}]
	closed  atomic.Int64          // how often it closed in a row
	why     atomic.Pointer[error] // of the last that found the database away
}

func newGate(log *slog.Logger, state prometheus.Gauge) *gate {
	g := &gate{}
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
					log.Warn("database is away: flushes wait", "error", *g.why.Load())
				}
			case gobreaker.StateClosed:
				g.closed.Store(0)
				log.Info("database is back: flushes go on")
			}
		},
	})
	return g
}

// blame keeps the error of who is about to say that the database is away, for the log.
func (g *gate) blame(err error) { g.why.Store(&err) }

// enter asks for leave to use the database. Who is let in must say how it went.
func (g *gate) enter() (leave func(outcome), ok bool) {
	done, err := g.breaker.Allow()
	if err != nil {
		return nil, false
	}
	return func(o outcome) { done([]error{nil, errAway, errUnknown}[o]) }, true
}

// trouble is why the database is away, "" where it is not as far as is known.
func (g *gate) trouble() string {
	if g.closed.Load() == 0 {
		return ""
	}
	return (*g.why.Load()).Error()
}

// wait is when a task that was not let in, or found the database away, should come back.
func (g *gate) wait() time.Duration { return backoff(int(g.closed.Load())) }
