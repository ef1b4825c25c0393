package cache

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/afterwrite/afterwrite/internal/layout"
	"github.com/afterwrite/afterwrite/internal/rdb"
	"github.com/afterwrite/afterwrite/schema"
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
// Errors: ErrTooLarge, ErrValueKey, ErrTooManyTags, schema.ErrUnavailable where
// nothing was set, schema.ErrOutcomeUnknown where nobody knows.
func (v *Values[T]) Set(ctx context.Context, key string, value T, tags ...Tag) error {
	return v.SetFor(ctx, key, value, v.p.TTL, tags...)
}

// SetFor is [Values.Set] with a TTL of its own, which has no jitter.
func (v *Values[T]) SetFor(ctx context.Context, key string, value T, ttl time.Duration, tags ...Tag) error {
	k, err := v.key(key)
	if err != nil {
		return err
	}
	e, err := v.made(ctx, value, ttl, tags)
	if err != nil {
		return err
	}
	err = v.send(ctx, k, e)
	v.local.drop(k.key) // however it ended
	return err
}

// made makes the entry of a value that is set.
func (v *Values[T]) made(ctx context.Context, value T, ttl time.Duration, tags []Tag) (*entry, error) {
	body, err := v.encode(ctx, value)
	if err != nil {
		return nil, err
	}
	e := &entry{id: newToken()[:entryID], body: body, size: len(body), fresh: ttl, total: ttl,
		tags: tagNames(v.p.Tags, tags)}
	v.cache.sized(ctx, &v.p, e.size)
	switch {
	case ttl < time.Millisecond:
		return nil, fmt.Errorf("set value of %s: the TTL is below 1ms", v.p.Group)
	case e.size > v.p.MaxSize:
		return nil, fmt.Errorf("set value of %s: %d bytes: %w (%d)", v.p.Group, e.size, ErrTooLarge, v.p.MaxSize)
	case len(v.p.Tags)+len(tags) > MaxValueTags:
		return nil, ErrTooManyTags
	}
	if len(e.tags) > 0 {
		v.tagged.Store(true)
		if e.stamp, err = v.cache.stampNow(ctx); err != nil {
			return nil, err
		}
		for _, list := range [][]Tag{v.p.Tags, tags} {
			if err := v.cache.watch(ctx, list, ttl+v.p.Lease); err != nil {
				return nil, err
			}
		}
	}
	if v.p.CompressAbove > 0 && e.size >= v.p.CompressAbove {
		e.pack()
	}
	return e, nil
}

// stampNow reads the newest stamp of tags.
func (c *Cache) stampNow(ctx context.Context) (int64, error) {
	reply, err := c.redis.Run(ctx, stampScript, []string{c.tagsKey()})
	if err != nil {
		return 0, err
	}
	if len(reply) != 2 {
		return 0, errors.New("stamp script: another reply")
	}
	c.watches.seen(layout.Text(reply[1]))
	return int64(layout.Version(layout.Text(reply[0]))), nil
}

func (v *Values[T]) send(ctx context.Context, k valueKey, e *entry) error {
	channel, message, err := v.message("set", k.key)
	if err != nil {
		return err
	}
	one := vsetScript.Call(k.names(), layout.MS(e.total), e.encode(), channel, message)
	v.cache.redis.SendOnce(ctx, one)
	if err := one.Err(); err != nil {
		return rdb.OnceFault("write", err)
	}
	return nil
}

// message is what the L1s of other processes are told, where the group has one.
func (v *Values[T]) message(kind string, keys ...string) (channel, message string, err error) {
	if !v.p.L1.On() {
		return "", "", nil
	}
	l := v.cache.locals
	texts := append([]string{kind, l.sender, strconv.FormatInt(l.next(), 10), v.p.Group}, keys...)
	b, err := json.Marshal(texts)
	return v.cache.prefix.Channel(localTopic), string(b), err
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
		calls[i] = vsetScript.Call(k.names(), 0, "", channel, message)
	}
	n, err := 0, error(nil)
	for len(calls) > 0 && err == nil {
		step := min(len(calls), scanStep)
		v.cache.redis.Send(ctx, calls[:step]...)
		for _, one := range calls[:step] {
			had, e := one.Int()
			n += had
			if e != nil && err == nil {
				err = rdb.Fault("delete", e)
			}
		}
		calls = calls[step:]
	}
	v.local.drop(keys...)
	return n, err
}

var vtouchScript = layout.Load(sources, "vtouch")

// Touch gives a value another time to live from now, if there is one that is not past its
// TTL: a sliding expiry. Its tags and content stay. It does not touch a value that its load
// has given tags of an entity: nobody would hear of changes for longer than the load asked.
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
	if err := v.cache.watch(ctx, v.p.Tags, life+v.p.Lease); err != nil {
		return false, err
	}
	n, err := v.cache.redis.RunInt(ctx, vtouchScript, []string{k.value}, e.id, layout.MS(life))
	return n == 1, err
}

// ends reports whether an entry has tags of entities beside those of the policy.
func (v *Values[T]) ends(e *entry) bool {
	known := tagNames(v.p.Tags)
	return slices.ContainsFunc(e.tags, func(tag string) bool {
		return tag[:2] != namedTag &&
			!slices.Contains(known, tag)
	})
}
