// Package gather combines the calls of concurrent callers into batches.
//
// A [Combiner] runs at most a fixed number of batches at once. A caller that finds a free place runs a batch of its own
// call alone, in its own goroutine and with its own context. Calls that arrive while every place is taken wait; the
// batch that begins when a place becomes free takes them together. A call never joins a batch that has begun: what that
// batch reads may be older than a change that the caller has already seen.
//
// There is no timer, so a lone caller never waits, and no collecting goroutine, so a lone caller is not handed over.
// One goroutine runs the batches of waiting calls, and ends when no call waits. A caller can therefore leave at any
// time: it never runs another caller's batch.
package gather

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
)

// Errors of a call without a result.
var (
	// ErrFull reports that Limits.Waiting calls are already waiting. The call was not run.
	ErrFull = errors.New("too many calls wait")
	// ErrSent reports that the caller's context ended while the call's batch ran. The call's outcome is unknown, and
	// the batch may still use the call.
	ErrSent = errors.New("the call was on its way")
)

// Limits bound a [Combiner]. Batches and Calls must be positive.
type Limits struct {
	Batches int // that run at once
	Calls   int // in one batch
	Waiting int // calls that wait for a batch
}

// Combiner runs calls in batches. A call T is usually a pointer to the arguments and to the place of the results. A
// Combiner is safe for concurrent use; make one with [New].
type Combiner[T any] struct {
	limits Limits
	run    func(ctx context.Context, batch []T)
	places *sync.Pool // of *place[T] that no caller and no batch uses

	mu      sync.Mutex // guards the fields below, so that a call joins exactly one batch
	running int
	waiting []*place[T]
	spare   []*batch[T] // a batch uses the memory of an earlier one
}

// place is where a caller waits for its batch.
type place[T any] struct {
	call  T
	ctx   context.Context
	taken bool          // into a batch; guarded by Combiner.mu
	done  chan struct{} // receives once: when the batch has run
}

type batch[T any] struct {
	calls  []T
	places []*place[T] // of waiting callers; empty for a call that runs alone
}

// New returns a Combiner. run runs a batch and leaves the results in its calls; it must not keep the slice and must not
// panic. At most Limits.Batches goroutines are in run at once. The context is the first caller's; in a batch of several
// calls it does not end with that caller, so run needs a time limit of its own.
func New[T any](limits Limits, run func(ctx context.Context, batch []T)) *Combiner[T] {
	return &Combiner[T]{limits: limits, run: run, places: newPlaces[T]()}
}

func newPlaces[T any]() *sync.Pool {
	return &sync.Pool{New: func() any { return &place[T]{done: make(chan struct{}, 1)} }}
}

// Do returns when the call has been run. An error other than ErrSent means that the call was not run and never will be:
// it is ErrFull or the error of the ended context. If the batch had begun when the context ended, its error is joined
// with ErrSent.
func (c *Combiner[T]) Do(ctx context.Context, call T) error {
	c.mu.Lock()
	if c.running < c.limits.Batches {
		c.running++
		b := c.batch()
		c.mu.Unlock()
		b.calls = append(b.calls, call)
		c.lead(ctx, b)
		return nil
	}
	if len(c.waiting) >= c.limits.Waiting {
		c.mu.Unlock()
		return ErrFull
	}
	p := c.places.Get().(*place[T])
	p.call, p.ctx = call, ctx
	c.waiting = append(c.waiting, p)
	c.mu.Unlock()
	select {
	case <-p.done:
	case <-ctx.Done():
		if sent, err := c.leave(p, ctx.Err()); sent {
			return err // the batch has the place already
		} else if err != nil {
			c.putBack(p)
			return err
		}
	}
	c.putBack(p)
	return nil
}

// Waiting returns how many calls wait for a batch.
func (c *Combiner[T]) Waiting() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.waiting)
}

func (c *Combiner[T]) putBack(p *place[T]) {
	*p = place[T]{done: p.done}
	c.places.Put(p)
}

// leave withdraws the call of a caller whose context has ended, unless the call has been run.
func (c *Combiner[T]) leave(p *place[T], ended error) (sent bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	select {
	case <-p.done:
		return false, nil
	default:
	}
	if p.taken {
		return true, fmt.Errorf("%w: %w", ErrSent, ended)
	}
	c.waiting = slices.DeleteFunc(c.waiting, func(other *place[T]) bool { return other == p })
	return false, ended
}

// lead runs the caller's own batch. Another goroutine runs the calls that arrived meanwhile, so this caller does not
// wait for them.
func (c *Combiner[T]) lead(ctx context.Context, b *batch[T]) {
	c.run(ctx, b.calls)
	if c.next(b) {
		go c.follow(b)
	}
}

// follow runs one batch after another while calls wait.
func (c *Combiner[T]) follow(b *batch[T]) {
	for again := true; again; again = c.next(b) {
		ctx := b.places[0].ctx
		if len(b.places) > 1 {
			ctx = context.WithoutCancel(ctx)
		}
		c.run(ctx, b.calls)
		for _, p := range b.places {
			p.done <- struct{}{}
		}
		// The callers that have their results go on first. Those that call again join the next batch, so that batches
		// are fewer and larger.
		runtime.Gosched()
	}
}

// batch returns an empty batch. The caller holds mu.
func (c *Combiner[T]) batch() *batch[T] {
	last := len(c.spare) - 1
	if last < 0 {
		return &batch[T]{}
	}
	b := c.spare[last]
	c.spare = c.spare[:last]
	return b
}

// next moves the waiting calls into the batch that has run. If no call waits, it frees the batch's place and returns
// false.
func (c *Combiner[T]) next(b *batch[T]) bool {
	clear(b.calls)
	clear(b.places)
	b.calls, b.places = b.calls[:0], b.places[:0]
	c.mu.Lock()
	defer c.mu.Unlock()
	n := min(len(c.waiting), c.limits.Calls)
	if n == 0 {
		c.running--
		c.spare = append(c.spare, b)
		return false
	}
	for _, p := range c.waiting[:n] {
		p.taken = true
		b.calls, b.places = append(b.calls, p.call), append(b.places, p)
	}
	c.waiting = slices.Delete(c.waiting, 0, n)
	return true
}
