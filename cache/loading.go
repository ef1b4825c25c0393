package cache

import (
	"context"
	"sync"
	"time"
)

// loading is what a loader says of its value by way of its context.
type loading struct {
	began   time.Time
	stamped bool // the stamp of tags was read before it began

	mu   sync.Mutex // guards what follows: a loader may have goroutines of its own
	tags []Tag
	ttl  *time.Duration
}

type loadingKey struct{}

// AddTags gives the value that is being loaded more tags. Call it with the context of a
// [Loading], before or after what they stand for was read; elsewhere it does nothing.
// The first value of a process with a tag of an entity is not cached: only from then on
// do the entity's changes reach its tags. Where tags are known beforehand, Policy.Tags
// spares that.
func AddTags(ctx context.Context, tags ...Tag) {
	if l, ok := ctx.Value(loadingKey{}).(*loading); ok {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.tags = append(l.tags, tags...)
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
