package ratelimit

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/sony/gobreaker/v2"

	"github.com/afterwrite/afterwrite/schema"
)

// gatePause is how long the gate stays closed before it lets one request ask Redis again.
const gatePause = 500 * time.Millisecond

// gate is the circuit breaker of a limiter. A limiter waits for less time than the cache's own breaker, which
// therefore learns nothing from it: without a gate each request would wait its whole time on a Redis that hangs.
type gate struct {
	breaker  *gobreaker.CircuitBreaker[any]
	answered atomic.Int64 // when Redis last answered a request, in ns
}

var (
	errHangs = errors.New("redis does not answer in time")
	errGone  = errors.New("the caller has gone") // it says nothing about Redis
)

func newGate() *gate {
	return &gate{breaker: gobreaker.NewCircuitBreaker[any](gobreaker.Settings{
		MaxRequests:  1,
		Timeout:      gatePause,
		ReadyToTrip:  func(n gobreaker.Counts) bool { return n.ConsecutiveFailures >= 1 },
		IsSuccessful: func(err error) bool { return !errors.Is(err, errHangs) },
		IsExcluded:   func(err error) bool { return errors.Is(err, errGone) },
	})}
}

// ask lets do ask Redis for at most the timeout, or fails at once while Redis hangs. One late answer among others in
// time is not taken for a Redis that hangs.
func (g *gate) ask(ctx context.Context, timeout time.Duration, do func(context.Context) (any, error)) (any, error) {
	reply, err := g.breaker.Execute(func() (any, error) {
		bounded, cancel := context.WithTimeout(ctx, timeout)
		defer cancel()
		reply, err := do(bounded)
		switch {
		case err == nil:
			g.answered.Store(time.Now().UnixNano())
		case ctx.Err() != nil:
			err = fmt.Errorf("%w: %w", errGone, err)
		case bounded.Err() != nil && time.Since(time.Unix(0, g.answered.Load())) >= timeout:
			err = fmt.Errorf("%w: %w", errHangs, err)
		}
		return reply, err
	})
	if errors.Is(err, gobreaker.ErrOpenState) || errors.Is(err, gobreaker.ErrTooManyRequests) {
		err = fmt.Errorf("%w: %w", errHangs, schema.ErrUnavailable)
	}
	return reply, err
}
