package gather

import (
	"context"
	"sync"
)

// Keyed is a [Combiner] for each key that has callers. Calls of different keys do not wait for each other. If every
// caller of a key leaves during a batch, the key's next caller does not wait for that batch. A Keyed is safe for
// concurrent use; make one with [NewKeyed].
type Keyed[K comparable, T any] struct {
	limits Limits
	run    func(ctx context.Context, batch []T)
	places *sync.Pool // shared by the combiners

	mu sync.Mutex // guards the rest
	of map[K]*counted[T]
}

type counted[T any] struct {
	Combiner[T]
	callers int // in Do; guarded by Keyed.mu
}

// NewKeyed returns a Keyed. run and limits are as for [New] and hold for each key.
func NewKeyed[K comparable, T any](limits Limits, run func(ctx context.Context, batch []T)) *Keyed[K, T] {
	return &Keyed[K, T]{limits: limits, run: run, places: newPlaces[T](), of: map[K]*counted[T]{}}
}

// Do is [Combiner.Do] among the calls of one key.
func (k *Keyed[K, T]) Do(ctx context.Context, key K, call T) error {
	k.mu.Lock()
	c := k.of[key]
	if c == nil {
		c = &counted[T]{Combiner: Combiner[T]{limits: k.limits, run: k.run, places: k.places}}
		k.of[key] = c
	}
	c.callers++
	k.mu.Unlock()
	defer k.end(key, c)
	return c.Do(ctx, call)
}

// Waiting returns how many calls of a key wait for a batch.
func (k *Keyed[K, T]) Waiting(key K) int {
	k.mu.Lock()
	defer k.mu.Unlock()
	if c := k.of[key]; c != nil {
		return c.Combiner.Waiting()
	}
	return 0
}

func (k *Keyed[K, T]) end(key K, c *counted[T]) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if c.callers--; c.callers == 0 {
		delete(k.of, key)
	}
}
