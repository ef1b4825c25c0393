package cache

import (
	"context"
	"sync"
)

// glances lets the callers of one value share looks at it. A caller who finds nobody
// looking looks alone, and who comes meanwhile goes with the next look. Nobody joins a look
// that has begun: what that finds may be older than a change the caller has seen.
type glances struct {
	mu sync.Mutex // guards the rest
	of map[string]*glance
}

// glance is a look under way, and the next one of those who wait.
type glance struct {
	next *nextLook
}

// nextLook is a look that has not begun.
type nextLook struct {
	callers int
	look    func(context.Context) (*entry, error)

	done  chan struct{} // closed when the rest is set
	found *entry
	err   error
}

func newGlances() *glances { return &glances{of: map[string]*glance{}} }

func (g *glances) do(ctx context.Context, key string, look func(context.Context) (*entry, error)) (*entry, error) {
	g.mu.Lock()
	under := g.of[key]
	if under == nil {
		g.of[key] = &glance{}
		g.mu.Unlock()
		defer g.end(ctx, key)
		return look(ctx)
	}
	if under.next == nil {
		under.next = &nextLook{look: look, done: make(chan struct{})}
	}
	n := under.next
	n.callers++
	g.mu.Unlock()
	select {
	case <-n.done:
		return n.found, n.err
	case <-ctx.Done():
		return nil, fault("load", ctx.Err())
	}
}

// end lets those look who wait. No context of theirs ends it; the client's own timeouts do.
func (g *glances) end(ctx context.Context, key string) {
	if n := g.take(key); n != nil {
		go func() {
			ctx := context.WithoutCancel(ctx)
			for ; n != nil; n = g.take(key) {
				n.found, n.err = n.look(ctx)
				close(n.done)
			}
		}()
	}
}

func (g *glances) take(key string) *nextLook {
	g.mu.Lock()
	defer g.mu.Unlock()
	n := g.of[key].next
	g.of[key].next = nil
	if n == nil {
		delete(g.of, key)
	}
	return n
}
