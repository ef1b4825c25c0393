package cache

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// look reads the entry of a key. It returns nil for a miss, and for an entry that a tag
// has invalidated or that cannot be read. Callers may share it: it is not to be changed.
func (v *Values[T]) look(ctx context.Context, k valueKey) (*entry, error) {
	return v.cache.glances.do(ctx, k.value, func(ctx context.Context) (*entry, error) {
		found, err := v.lookMany(ctx, []valueKey{k})
		if err != nil {
			return nil, err
		}
		return found[0], nil
	})
}

func (v *Values[T]) lookMany(ctx context.Context, keys []valueKey) ([]*entry, error) {
	mark := v.local.mark()
	p := v.cache.redis.Pipeline()
	bodies, lives := make([]*redis.StringCmd, len(keys)), make([]*redis.DurationCmd, len(keys))
	for i, k := range keys {
		bodies[i], lives[i] = p.Get(ctx, k.value), p.PTTL(ctx, k.value)
	}
	var stamps *redis.FloatSliceCmd
	declared := tagNames(v.p.Tags)
	if len(declared) > 0 || v.tagged.Load() {
		stamps = v.cache.askStamps(ctx, p, declared)
	}
	if _, err := p.Exec(ctx); err != nil && !errors.Is(err, redis.Nil) {
		return nil, fault("load", err)
	}
	known := readStamps(stamps, declared)
	found := make([]*entry, len(keys))
	for i, k := range keys {
		text, err := bodies[i].Bytes()
		if err != nil {
			continue
		}
		found[i] = v.entry(ctx, k, text, lives[i].Val())
	}
	if err := v.dropInvalid(ctx, found, known); err != nil {
		return nil, err
	}
	for i, e := range found {
		if e != nil && e.ttl() > 0 {
			v.local.put(keys[i].key, e, mark)
		}
	}
	return found, nil
}

// entry reads what Redis has, or nil: another version of the program may have written it.
func (v *Values[T]) entry(ctx context.Context, k valueKey, text []byte, life time.Duration) *entry {
	e, err := decodeEntry(text)
	if err != nil {
		v.cache.log.DebugContext(ctx, "a cached value is loaded anew", "group", v.p.Group, "error", err)
		return nil
	}
	if !e.absent {
		if _, err := v.decode(e); err != nil {
			v.cache.log.WarnContext(ctx, "a cached value is loaded anew", "group", v.p.Group, "error", err)
			return nil
		}
	}
	e.life = max(life, 0)
	return e
}

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
