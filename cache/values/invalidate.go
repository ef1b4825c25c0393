package values

import (
	"context"
	"fmt"

	"github.com/redis/go-redis/v9"

	"github.com/afterwrite/afterwrite/internal/layout"
	"github.com/afterwrite/afterwrite/internal/rdb"
)

// InvalidateMatch drops the values whose key matches a glob (* ? [a-c], a backslash before
// a literal one), and the right of loads under way to fill them. It scans in bounded
// steps, reports the number dropped so far after each (progress may be nil), and what it
// has dropped stays dropped where it ends early. Everything that was cached, or being
// loaded, when it began is dropped when it is over.
func (v *Values[T]) InvalidateMatch(ctx context.Context, pattern string, progress func(dropped int)) (int, error) {
	if err := layout.CheckPattern(pattern); err != nil {
		return 0, err
	}
	dropped := 0
	err := v.on.Redis.EachNode(ctx, func(ctx context.Context, node redis.Cmdable) error {
		for cursor := uint64(0); ; {
			n, next, err := v.drop(ctx, node, pattern, cursor)
			dropped += n
			if progress != nil {
				progress(dropped)
			}
			if cursor = next; err != nil || cursor == 0 {
				return err
			}
		}
	})
	if err = v.tellAll(ctx, err); err != nil {
		return dropped, fmt.Errorf("invalidate %s like %q: %w", v.p.Group, pattern, err)
	}
	return dropped, nil
}

// InvalidateStep is one bounded step of [Values.InvalidateMatch]: it begins with cursor 0
// and goes on with the cursor that the last step returned, at any later time and in any
// process, until that is 0 again. On a cluster, whose nodes have a cursor each, it
// returns an error: use InvalidateMatch.
func (v *Values[T]) InvalidateStep(ctx context.Context, pattern string, cursor uint64) (dropped int, next uint64,
	err error) {
	if v.on.Redis.Clustered() {
		return 0, cursor, fmt.Errorf("invalidate %s: a cluster has no cursor", v.p.Group)
	}
	dropped, next, err = v.drop(ctx, v.on.Redis, pattern, cursor)
	if err = v.tellAll(ctx, err); err != nil {
		return dropped, cursor, fmt.Errorf("invalidate %s like %q: %w", v.p.Group, pattern, err)
	}
	return dropped, next, nil
}

// drop drops what one step of a scan finds: values, and leases, whose loads it ends.
func (v *Values[T]) drop(ctx context.Context, node redis.Cmdable, pattern string, cursor uint64) (int, uint64, error) {
	match := layout.GlobQuote(string(v.on.Prefix)+":v:{"+v.p.Group+":") + pattern + "}*"
	names, next, err := node.Scan(ctx, cursor, match, layout.ScanStep).Result()
	if err != nil {
		return 0, cursor, rdb.Fault("scan", err)
	}
	dropped, err := v.Delete(ctx, v.keysOf(names)...)
	if err != nil {
		return dropped, cursor, err
	}
	return dropped, next, nil
}

// tellAll makes every L1 of the group drop everything: keys that match may be in one and
// not in Redis.
func (v *Values[T]) tellAll(ctx context.Context, err error) error {
	if v.p.L1.Bytes == 0 {
		return err
	}
	v.local.DropAll()
	channel, message, e := v.message("all", "*")
	if e == nil {
		e = v.on.Redis.Publish(ctx, channel, message).Err()
	}
	if err == nil && e != nil {
		err = rdb.Fault("invalidate", e)
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
		if key, ok := v.on.keyOf(v.p.Group, name); ok {
			keys = append(keys, key)
		}
	}
	return keys
}
