package cache

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/afterwrite/afterwrite/schema"
)

// Full reports whether Redis has refused a command because its memory is at its limit and
// nothing may be evicted: what is not persisted fills it. Acks still work then, for they
// only take away.
func Full(err error) bool { return says(err, "OOM") }

// says reports whether an answer of Redis has a code: at its beginning, or where Redis 6
// quotes the command of a script that it refused.
func says(err error, code string) bool {
	return redis.HasErrorPrefix(err, code) ||
		redis.HasErrorPrefix(err, "ERR Error running script") && strings.Contains(err.Error(), "-"+code+" ")
}

// Writable writes a key that lives for a second, and reports why Redis does not take it:
// ErrRedisFull, ErrRedisReadOnly, or ErrUnavailable alone where it does not answer.
func (c *Cache) Writable(ctx context.Context) error {
	if err := c.redis.Set(ctx, c.probeKey(), "", time.Second).Err(); err != nil {
		return fault("probe", err)
	}
	return nil
}

// refusal names what an answer of Redis says of any write, or is nil.
func refusal(err error) error {
	if Full(err) {
		return schema.ErrRedisFull
	}
	for _, code := range []string{"READONLY", "NOREPLICAS", "MISCONF"} {
		if says(err, code) {
			return schema.ErrRedisReadOnly
		}
	}
	return nil
}

// unavailable joins an error of Redis with the names that callers know it by.
func unavailable(what string, err error) error {
	if named := refusal(err); named != nil {
		return fmt.Errorf("%s: %w: %w: %w", what, schema.ErrUnavailable, named, err)
	}
	return fmt.Errorf("%s: %w: %w", what, schema.ErrUnavailable, err)
}
