package cache

import (
	"context"
	"errors"
	"math"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/afterwrite/afterwrite/internal/gather"
	"github.com/afterwrite/afterwrite/internal/rdb"
)

// look reads the entry of a key. It returns nil for a miss, and for an entry that a tag
// has invalidated or that cannot be read. Callers may share it: it is not to be changed.
func (v *Values[T]) look(ctx context.Context, k valueKey) (*entry, error) {
	g := &glance{look: func(ctx context.Context) (*entry, error) {
		found, err := v.lookMany(ctx, []valueKey{k})
		if err != nil {
			return nil, err
		}
		return found[0], nil
	}}
	if err := v.cache.glances.Do(ctx, k.value, g); err != nil {
		return nil, rdb.Fault("load", err)
	}
	return g.found, g.err
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
		return nil, rdb.Fault("load", err)
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

// glance is a look at one value. The glances of concurrent callers at one key share a look.
type glance struct {
	look  func(context.Context) (*entry, error)
	found *entry
	err   error
}

func newGlances() *gather.Keyed[string, *glance] {
	limits := gather.Limits{Batches: 1, Calls: math.MaxInt, Waiting: math.MaxInt}
	return gather.NewKeyed[string](limits, func(ctx context.Context, some []*glance) {
		found, err := some[0].look(ctx)
		for _, g := range some {
			g.found, g.err = found, err
		}
	})
}
