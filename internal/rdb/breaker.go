package rdb

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
	"github.com/sony/gobreaker/v2"

	"github.com/afterwrite/afterwrite/schema"
)

// breakerPause is how long the breaker stays open before it lets one command through.
const breakerPause = 500 * time.Millisecond

// breaker protects callers from a Redis that hangs. It opens when a command has waited its whole time and no other
// command was answered in that time. While it is open, commands fail immediately, so reads go to the database; then one
// command at a time probes Redis until it responds. Errors that come immediately, such as a refused connection, cost
// nothing and do not open the breaker.
//
// On a cluster each node has its own: a node that hangs closes nothing to the others.
//
// It guards only the client whose commands can be repeated: reads, acks, statistics. Writes are always tried, because a
// write that fails here is an error for a user.
type breaker struct {
	gate    *gobreaker.CircuitBreaker[struct{}]
	timeout time.Duration // of one command, including its repeat
	// answered is when Redis last answered any command, in ns. While Redis answers, a command that runs out of time has
	// waited in the queue for a connection: opening the breaker would send reads past a cache that works, and they
	// could be older than an accepted write.
	answered atomic.Int64
	// undialed is the last dial that failed. A command that waited for a connection until its time was over ends with
	// the error of its context, which does not tell the cause.
	undialed atomic.Pointer[undialed]
}

// undialed is a dial that failed.
type undialed struct {
	err error
	at  time.Time
}

func newBreaker(node string, timeout time.Duration, states *states, log *slog.Logger) *breaker {
	// Twice the client's own timeout: a command whose reply was lost once is sent again, and a pool without a free
	// connection returns its own error and is not mistaken for a Redis that hangs.
	return &breaker{timeout: 2 * timeout, gate: gobreaker.NewCircuitBreaker[struct{}](gobreaker.Settings{
		Name:         "redis",
		MaxRequests:  1,
		Timeout:      breakerPause,
		ReadyToTrip:  func(n gobreaker.Counts) bool { return n.ConsecutiveFailures >= 1 },
		IsSuccessful: func(err error) bool { return !errors.Is(err, errHangs) },
		IsExcluded:   func(err error) bool { return errors.Is(err, errGone) },
		OnStateChange: func(_ string, _, to gobreaker.State) {
			states.set(node, to)
			log.Warn("circuit breaker of Redis changed state", "state", to.String(), "node", node)
		},
	})}
}

// states is the metric of the breakers of a client: the worst state of any node.
type states struct {
	gauge prometheus.Gauge
	mu    sync.Mutex // guards of
	of    map[string]gobreaker.State
}

func newStates() *states {
	return &states{of: map[string]gobreaker.State{}, gauge: prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "afterwrite_redis_breaker_state",
		Help: "The breaker before Redis: 0 closed, 1 half-open, 2 open; on a cluster the worst of its nodes.",
	})}
}

func (s *states) set(node string, to gobreaker.State) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.of[node] = to // 0 closed, 1 half-open, 2 open
	s.gauge.Set(float64(slices.Max(slices.Collect(maps.Values(s.of)))))
}

// errHangs reports a command that had no answer in its whole time.
var errHangs = errors.New("redis hangs")

// errGone reports a command whose caller gave up, or that waited in this process's queue: it says nothing about Redis.
var errGone = errors.New("the caller has gone")

// guarded marks the context of a command behind the breaker. Commands that the client library sends on its behalf, such
// as HELLO on a new connection, pass unguarded: if one were rejected while the command probes Redis, the command would
// fail immediately, and the breaker would count that as an answer.
type guarded struct{}

// guard runs a command behind the breaker, within the breaker's timeout.
func (b *breaker) guard(ctx context.Context, do func(context.Context) error) error {
	if ctx.Value(guarded{}) != nil {
		return do(ctx)
	}
	var own error
	_, err := b.gate.Execute(func() (struct{}, error) {
		limited, cancel := context.WithTimeout(context.WithValue(ctx, guarded{}, true), b.timeout)
		defer cancel()
		began := time.Now()
		own = b.cause(do(limited), began)
		if own != nil && ctx.Err() == nil && TimedOut(own) {
			if time.Since(time.Unix(0, b.answered.Load())) < b.timeout/2 {
				return struct{}{}, errGone
			}
			return struct{}{}, errHangs
		}
		if own != nil && ctx.Err() != nil {
			return struct{}{}, errGone
		}
		b.answered.Store(time.Now().UnixNano())
		return struct{}{}, nil
	})
	if errors.Is(err, gobreaker.ErrOpenState) || errors.Is(err, gobreaker.ErrTooManyRequests) {
		return fmt.Errorf("redis hangs: %w", schema.ErrUnavailable)
	}
	return own
}

// cause adds to the error of a command that ran out of time why there was no connection: the dial that failed since the
// command began.
func (b *breaker) cause(err error, began time.Time) error {
	if dial := b.undialed.Load(); dial != nil && dial.at.After(began) && errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("%w: %w", err, dial.err)
	}
	return err
}

// DialHook does not guard dialling; it keeps why a dial failed.
func (b *breaker) DialHook(next redis.DialHook) redis.DialHook {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := next(ctx, network, addr)
		if err != nil {
			b.undialed.Store(&undialed{err, time.Now()})
		}
		return conn, err
	}
}

// ProcessHook guards one command.
func (b *breaker) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		return b.guard(ctx, func(ctx context.Context) error { return next(ctx, cmd) })
	}
}

// ProcessPipelineHook guards a pipeline.
func (b *breaker) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		sent := false
		err := b.guard(ctx, func(ctx context.Context) error {
			sent = true
			return next(ctx, cmds)
		})
		if !sent {
			for _, cmd := range cmds {
				cmd.SetErr(err)
			}
		}
		return err
	}
}
