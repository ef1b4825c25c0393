package values

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"github.com/afterwrite/afterwrite/cache/internal/tags"
)

// loading is what a loader says of its value by way of its context.
type loading struct {
	began time.Time

	mu   sync.Mutex // guards what follows: a loader may have goroutines of its own
	tags []Tag
	ttl  *time.Duration
}

type loadingKey struct{}

// AddTags gives the value that is being loaded more tags. Call it with the context of a
// [Loading], before or after what they stand for was read; elsewhere it does nothing.
// The first value of a process with a tag of an entity is not cached: only from then on
// do the entity's changes reach its tags. Where tags are known beforehand, Policy.Tags
// spares that. A value with more than [MaxTags] tags, those of the policy included
// and each counted once, is returned and not cached.
func AddTags(ctx context.Context, more ...Tag) {
	if l, ok := ctx.Value(loadingKey{}).(*loading); ok {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.tags = append(l.tags, more...)
	}
}

// KeepFor gives the value that is being loaded a TTL of its own; zero keeps it out of the
// cache. Call it with the context of a [Loading]; elsewhere it does nothing.
func KeepFor(ctx context.Context, ttl time.Duration) {
	if l, ok := ctx.Value(loadingKey{}).(*loading); ok {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.ttl = &ttl
	}
}

// end returns what the loader has said: the TTL, else that of the policy, and its tags.
func (l *loading) end(ttl time.Duration) (time.Duration, []Tag) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ttl != nil {
		ttl = *l.ttl
	}
	return ttl, l.tags
}

// finish gives an entry its life and tags and packs it. One that is not to be cached has no life.
func (v *Values[T]) finish(ctx context.Context, e *entry, l *loading) {
	e.size = len(e.body)
	v.on.sized(ctx, &v.p, e.size)
	ttl, added := l.end(v.p.TTL)
	e.tags = tags.Names(v.p.Tags, added)
	if e.absent {
		ttl = min(v.p.NegativeTTL, ttl)
	} else if v.p.Jitter > 0 {
		ttl -= time.Duration(rand.Float64() * v.p.Jitter * float64(ttl))
	}
	e.fresh, e.total = ttl, ttl
	if !e.absent {
		e.total += max(v.p.Stale, v.p.StaleOnError)
	}
	if len(added) > 0 {
		v.tagged.Store(true)
	}
	watched := added
	if ttl > v.p.TTL { // the watch of the policy's own tags ends sooner
		watched = slices.Concat(v.p.Tags, added)
	}
	if ttl < time.Millisecond || e.size > v.p.MaxSize || tags.Given(e.tags) > MaxTags ||
		!v.on.Tags.Watching(ctx, watched, l.began, e.total+v.p.Lease) {
		e.fresh, e.total = 0, 0
		return
	}
	e.life = e.total
	if v.p.CompressAbove > 0 && e.size >= v.p.CompressAbove {
		e.pack()
	}
}

// safely keeps a panic of the loader, or of a codec, from ending the process: it is on no
// caller's stack.
func safely[T any](ctx context.Context, log *slog.Logger, load Loading[T]) (value T, err error) {
	defer func() {
		if p := recover(); p != nil {
			log.ErrorContext(ctx, "a loader panicked", "panic", p, "stack", string(debug.Stack()))
			err = fmt.Errorf("loader panicked: %v", p)
		}
	}()
	return load(ctx)
}
