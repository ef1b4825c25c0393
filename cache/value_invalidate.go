package cache

import (
	"context"
	"fmt"

	"github.com/redis/go-redis/v9"
)

// InvalidateMatch drops the values whose key matches a glob (* ? [a-c], a backslash before
// a literal one), and the right of loads under way to fill them. It scans in bounded
// steps, reports the number dropped so far after each (progress may be nil), and what it
// has dropped stays dropped where it ends early. A load that begins while it runs may be
// of before or after; one that began before is dropped with its key if that was cached,
// or being loaded, when the scan came by.
func (v *Values[T]) InvalidateMatch(ctx context.Context, pattern string, progress func(dropped int)) (int, error) {
	dropped := 0
	match := globQuote(v.cache.prefix+":v:{"+v.p.Group+":") + pattern + "}*"
	err := v.cache.scanKeys(ctx, match, func(names []string) error {
		n, err := v.Delete(ctx, v.keysOf(names)...)
		dropped += n
		if progress != nil {
			progress(dropped)
		}
		return err
	})
	if v.p.L1.On() {
		err = v.tellAll(ctx, err)
	}
	if err != nil {
		return dropped, fmt.Errorf("invalidate %s like %q: %w", v.p.Group, pattern, err)
	}
	return dropped, nil
}

// tellAll makes every L1 of the group drop everything: keys that matched may be in one
// and not in Redis.
func (v *Values[T]) tellAll(ctx context.Context, err error) error {
	v.local.dropAll()
	channel, message, e := v.message("all", "*")
	if e == nil {
		e = v.cache.redis.Publish(ctx, channel, message).Err()
	}
	if err == nil && e != nil {
		err = fault("invalidate", e)
	}
	return err
}

// keysOf reads the names of values and of their leases.
func (v *Values[T]) keysOf(names []string) []string {
	var keys []string
	for _, name := range names {
		if n := len(name) - len(":lease"); n > 0 && name[n:] == ":lease" {
			name = name[:n]
		}
		if key, ok := v.cache.keyOf(v.p.Group, name); ok {
			keys = append(keys, key)
		}
	}
	return keys
}

// scanKeys calls fn with the names of keys that match a glob, a bounded step at a time, on
// every node. A name may come more than once, as SCAN's do.
func (c *Cache) scanKeys(ctx context.Context, match string, fn func(names []string) error) error {
	return c.eachNode(ctx, func(ctx context.Context, node redis.Cmdable) error {
		var cursor uint64
		for {
			names, next, err := node.Scan(ctx, cursor, match, scanStep).Result()
			if err != nil {
				return fault("scan", err)
			}
			if err := fn(names); err != nil {
				return err
			}
			if cursor = next; cursor == 0 {
				return nil
			}
		}
	})
}
