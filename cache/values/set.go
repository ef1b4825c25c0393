package values

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/afterwrite/afterwrite/cache/internal/tags"
	"github.com/afterwrite/afterwrite/internal/layout"
	"github.com/afterwrite/afterwrite/internal/rdb"
	"github.com/afterwrite/afterwrite/schema"
)

var (
	setScript   = layout.Load(sources, "vset")
	touchScript = layout.Load(sources, "vtouch")
)

// Get returns a value that is cached, or [schema.ErrNotFound]. It loads nothing. A
// value past its TTL is not answered.
func (v *Values[T]) Get(ctx context.Context, key string) (T, error) {
	a, err := v.Peek(ctx, key)
	return a.Value, err
}

// Peek is [Values.Get] that tells where the value was found.
func (v *Values[T]) Peek(ctx context.Context, key string) (Answer[T], error) {
	k, err := v.key(key)
	if err != nil {
		return Answer[T]{}, err
	}
	if a, err, ok := v.readLocal(k); ok {
		return a, err
	}
	e, err := v.look(ctx, k)
	if err != nil {
		return Answer[T]{}, err
	}
	if e == nil || e.ttl() <= 0 {
		return Answer[T]{}, fmt.Errorf("value of %s: %w", v.p.Group, schema.ErrNotFound)
	}
	return v.answer(e, Hit)
}

// Set gives a key a value, with the TTL and tags of the policy and more tags. What a load
// under way has read is not cached over it. A tag that is invalidated after Set began
// invalidates the value: what depends on tagged data is better loaded, since Set cannot
// know when its value was made. A Set is not sent again when its reply is lost.
//
// Errors: ErrTooLarge, ErrKey, ErrTooManyTags, schema.ErrUnavailable where
// nothing was set, schema.ErrOutcomeUnknown where that is unknown.
func (v *Values[T]) Set(ctx context.Context, key string, value T, more ...Tag) error {
	return v.SetFor(ctx, key, value, v.p.TTL, more...)
}

// SetFor is [Values.Set] with a TTL of its own, which has no jitter.
func (v *Values[T]) SetFor(ctx context.Context, key string, value T, ttl time.Duration, more ...Tag) error {
	k, err := v.key(key)
	if err != nil {
		return err
	}
	e, err := v.made(ctx, value, ttl, more)
	if err != nil {
		return err
	}
	err = v.send(ctx, k, e)
	v.local.Drop(k.key) // however it ended
	return err
}

// made makes the entry of a value that is set.
func (v *Values[T]) made(ctx context.Context, value T, ttl time.Duration, more []Tag) (*entry, error) {
	body, err := v.encode(ctx, value)
	if err != nil {
		return nil, err
	}
	e := &entry{id: newToken()[:entryID], body: body, size: len(body), fresh: ttl, total: ttl,
		tags: tags.Names(v.p.Tags, more)}
	v.on.sized(ctx, &v.p, e.size)
	switch {
	case ttl < time.Millisecond:
		return nil, fmt.Errorf("set value of %s: the TTL is below 1ms", v.p.Group)
	case e.size > v.p.MaxSize:
		return nil, fmt.Errorf("set value of %s: %d bytes: %w (%d)", v.p.Group, e.size, ErrTooLarge, v.p.MaxSize)
	case len(v.p.Tags)+len(more) > MaxTags:
		return nil, ErrTooManyTags
	}
	if len(e.tags) > 0 {
		v.tagged.Store(true)
		if e.stamp, err = v.on.Tags.Newest(ctx); err != nil {
			return nil, err
		}
		for _, list := range [][]Tag{v.p.Tags, more} {
			if err := v.on.Tags.Watch(ctx, list, ttl+v.p.Lease); err != nil {
				return nil, err
			}
		}
	}
	if v.p.CompressAbove > 0 && e.size >= v.p.CompressAbove {
		e.pack()
	}
	return e, nil
}

func (v *Values[T]) send(ctx context.Context, k valueKey, e *entry) error {
	channel, message, err := v.message("set", k.key)
	if err != nil {
		return err
	}
	one := setScript.Call(k.names(), layout.MS(e.total), e.encode(), channel, message)
	v.on.Redis.SendOnce(ctx, one)
	if err := one.Err(); err != nil {
		return rdb.OnceFault("write", err)
	}
	return nil
}

// message is what the L1s of other processes are told, where the group has one.
func (v *Values[T]) message(kind string, keys ...string) (channel, message string, err error) {
	if v.p.L1.Bytes == 0 {
		return "", "", nil
	}
	return v.on.Tags.Message(kind, append([]string{v.p.Group}, keys...)...)
}

// Delete drops values, and the right of loads under way to fill them, and returns how
// many there were. It is how one invalidates by key.
func (v *Values[T]) Delete(ctx context.Context, keys ...string) (int, error) {
	calls := make([]*rdb.Call, len(keys))
	for i, key := range keys {
		k, err := v.key(key)
		if err != nil {
			return 0, err
		}
		channel, message, err := v.message("set", key)
		if err != nil {
			return 0, err
		}
		calls[i] = setScript.Call(k.names(), 0, "", channel, message)
	}
	n, err := 0, error(nil)
	for len(calls) > 0 && err == nil {
		step := min(len(calls), layout.ScanStep)
		v.on.Redis.Send(ctx, calls[:step]...)
		for _, one := range calls[:step] {
			had, e := one.Int()
			n += had
			if e != nil && err == nil {
				err = rdb.Fault("delete", e)
			}
		}
		calls = calls[step:]
	}
	v.local.Drop(keys...)
	return n, err
}

// Touch gives a value another time to live from now, if there is one that is not past its
// TTL: a sliding expiry. Its tags and content stay. It does not touch a value that its load
// has given tags of an entity: changes are watched for no longer than the load asked.
func (v *Values[T]) Touch(ctx context.Context, key string, ttl time.Duration) (bool, error) {
	k, err := v.key(key)
	if err != nil {
		return false, err
	}
	e, err := v.look(ctx, k)
	if err != nil || e == nil || e.absent || e.ttl() <= 0 || v.ends(e) {
		return false, err
	}
	life := ttl + e.total - e.fresh // it may be stale for as long after that as before
	if err := v.on.Tags.Watch(ctx, v.p.Tags, life+v.p.Lease); err != nil {
		return false, err
	}
	n, err := v.on.Redis.RunInt(ctx, touchScript, []string{k.value}, e.id, layout.MS(life))
	return n == 1, err
}

// ends reports whether an entry has tags of entities beside those of the policy.
func (v *Values[T]) ends(e *entry) bool {
	known := tags.Names(v.p.Tags)
	return slices.ContainsFunc(e.tags, func(tag string) bool {
		return tags.OfEntities(tag) && !slices.Contains(known, tag)
	})
}
