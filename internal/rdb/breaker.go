package rdb

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
	"github.com/sony/gobreaker/v2"

	"github.com/afterwrite/afterwrite/schema"
)

// breakerPause is how long the breaker stays open before one command tries again.
const breakerPause = 500 * time.Millisecond

// breaker is between the callers and a Redis that hangs. The first command that has
// waited its whole time, in which nobody else had an answer either, opens it: the others
// then fail at once, so reads go to the
// database, until one command finds Redis answering again. Errors that come at once, such
// as a refused connection, cost nothing and do not open it.
//
// It stands before the client whose commands may be sent again: reads, acks, figures. A
// write is tried in any case, since a write that is refused is refused to a user.
type breaker struct {
	gate    *gobreaker.CircuitBreaker[struct{}]
	timeout time.Duration // of one command, its repeat included
	// answered is when Redis last answered anybody, in ns. While it does, a command that
	// runs out of time has stood in the queue for a connection: an open breaker would send
	// reads past a cache that works, and they may be older than an accepted write.
	answered atomic.Int64
}

func newBreaker(timeout time.Duration, state prometheus.Gauge, log *slog.Logger) *breaker {
	// Twice the client's own bound: what was lost once is sent again, and a pool without a
	// free connection says so by itself and is not taken for a Redis that hangs.
	return &breaker{timeout: 2 * timeout, gate: gobreaker.NewCircuitBreaker[struct{}](gobreaker.Settings{
		Name:         "redis",
		MaxRequests:  1,
		Timeout:      breakerPause,
		ReadyToTrip:  func(n gobreaker.Counts) bool { return n.ConsecutiveFailures >= 1 },
		IsSuccessful: func(err error) bool { return !errors.Is(err, errHangs) },
		IsExcluded:   func(err error) bool { return errors.Is(err, errGone) },
		OnStateChange: func(_ string, _, to gobreaker.State) {
			state.Set(float64(to)) // 0 closed, 1 half-open, 2 open
			log.Warn("the breaker before Redis has changed", "state", to.String())
		},
	})}
}

// errHangs is a command whose whole time was waited for in vain.
var errHangs = errors.New("redis hangs")

// errGone is a command whose caller gave up, or that stood in a queue here: it tells
// nothing of Redis.
var errGone = errors.New("the caller has gone")

// guarded is in the context of a command behind the breaker. What the client library sends for
// it, such as HELLO on a new connection, belongs to it: refused on its own while the command
// probes Redis, it would fail the command at once, and the breaker would take that for an answer.
type guarded struct{}

// guard runs a command behind the breaker, within its time.
func (b *breaker) guard(ctx context.Context, do func(context.Context) error) error {
	if ctx.Value(guarded{}) != nil {
		return do(ctx)
	}
	var own error
	_, err := b.gate.Execute(func() (struct{}, error) {
		limited, cancel := context.WithTimeout(context.WithValue(ctx, guarded{}, true), b.timeout)
		defer cancel()
		own = do(limited)
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

// DialHook leaves dialling alone.
func (b *breaker) DialHook(next redis.DialHook) redis.DialHook { return next }

// ProcessHook guards one command.
func (b *breaker) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		err := b.guard(ctx, func(ctx context.Context) error { return next(ctx, cmd) })
		if err != nil && cmd.Err() == nil {
			cmd.SetErr(err)
		}
		return err
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
