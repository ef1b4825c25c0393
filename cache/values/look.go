package values

import (
	"context"
	"errors"
	"math"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/afterwrite/afterwrite/cache/internal/tags"
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
	if err := v.on.glances.Do(ctx, k.value, g); err != nil {
		return nil, rdb.Fault("load", err)
	}
	return g.found, g.err
}

func (v *Values[T]) lookMany(ctx context.Context, keys []valueKey) ([]*entry, error) {
	if len(keys) == 0 {
		return nil, nil
	}
	mark := v.local.Mark()
	raw := make([]*rawValue, len(keys))
	for i, k := range keys {
		raw[i] = &rawValue{key: k.value}
	}
	if declared := tags.Names(v.p.Tags); len(declared) > 0 || v.tagged.Load() {
		raw[0].tags = append([]string{}, declared...) // never nil: the newest stamp and the floor are wanted, too
	}
	if err := v.on.readRaw(ctx, raw); err != nil {
		return nil, rdb.Fault("load", err)
	}
	found := make([]*entry, len(keys))
	for i, k := range keys {
		if raw[i].body != nil {
			found[i] = v.entry(ctx, k, raw[i].body, raw[i].life)
		}
	}
	if err := v.dropInvalid(ctx, found, raw[0].stamps); err != nil {
		return nil, err
	}
	for i, e := range found {
		if e != nil && e.ttl() > 0 {
			v.put(keys[i].key, e, mark)
		}
	}
	return found, nil
}

// dropInvalid puts nil in the place of entries whose tags were invalidated after their
// load had begun.
func (v *Values[T]) dropInvalid(ctx context.Context, found []*entry, known *tags.Stamps) error {
	var names []string
	for i, e := range found {
		if e == nil || len(e.tags) == 0 {
			continue
		}
		v.tagged.Store(true)
		valid, told := known.Tell(e.stamp, e.tags)
		if !told {
			names = append(names, e.tags...)
		} else if !valid {
			found[i] = nil
		}
	}
	if len(names) == 0 {
		return nil
	}
	p := v.on.Redis.Pipeline()
	cmd := v.on.Tags.Ask(ctx, p, names)
	if _, err := p.Exec(ctx); err != nil {
		return rdb.Fault("tags", err)
	}
	known = tags.Answer(cmd, names)
	for i, e := range found {
		if e == nil || len(e.tags) == 0 {
			continue
		}
		if valid, _ := known.Tell(e.stamp, e.tags); !valid {
			found[i] = nil
		}
	}
	return nil
}

// entry reads what Redis has, or nil: another version of the program may have written it.
func (v *Values[T]) entry(ctx context.Context, k valueKey, text []byte, life time.Duration) *entry {
	e, err := decodeEntry(text)
	if err != nil {
		v.on.Log.DebugContext(ctx, "a cached value is loaded again", "group", v.p.Group, "error", err)
		return nil
	}
	if !e.absent {
		value, err := v.decode(e)
		if err != nil {
			v.on.Log.WarnContext(ctx, "a cached value is loaded again", "group", v.p.Group, "error", err)
			return nil
		}
		e.spare = newSpare(&value)
	}
	e.life = max(life, 0)
	return e
}

// rawValue is what Redis has under the key of a value.
type rawValue struct {
	key  string
	tags []string // whose stamps are asked for, too; nil: none are

	body   []byte // nil: there is no value
	life   time.Duration
	stamps *tags.Stamps
	err    error
}

// readRaw reads values in one round trip. One value shares the trip of concurrent callers, as records do.
func (s *store) readRaw(ctx context.Context, some []*rawValue) error {
	if len(some) > 1 {
		s.askRaw(ctx, some)
	} else if err := s.raws.Do(ctx, some[0]); errors.Is(err, gather.ErrFull) { // it waits for a connection instead
		s.askRaw(ctx, some)
	} else if err != nil {
		return err // the batch may still use the call
	}
	for _, r := range some {
		if r.err != nil {
			return r.err
		}
	}
	return nil
}

func (s *store) askRaw(ctx context.Context, some []*rawValue) {
	type asked struct {
		body   *redis.StringCmd
		life   *redis.DurationCmd
		stamps *redis.FloatSliceCmd
	}
	p := s.Redis.Pipeline()
	asks := make([]asked, len(some))
	for i, r := range some {
		asks[i].body, asks[i].life = p.Get(ctx, r.key), p.PTTL(ctx, r.key)
		if r.tags != nil {
			asks[i].stamps = s.Tags.Ask(ctx, p, r.tags)
		}
	}
	_, err := p.Exec(ctx)
	for i, r := range some {
		a := &asks[i]
		body, failed := a.body.Bytes()
		switch missing := errors.Is(failed, redis.Nil); {
		case failed != nil && !missing:
			r.err = failed
		case a.life.Err() != nil:
			r.err = a.life.Err()
		case a.stamps != nil && a.stamps.Err() != nil:
			r.err = a.stamps.Err()
		case !missing && len(body) == 0: // no error of its own: the whole pipeline failed
			r.err = err
		case !missing:
			r.body, r.life = body, a.life.Val()
		}
		r.stamps = tags.Answer(a.stamps, r.tags)
	}
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
