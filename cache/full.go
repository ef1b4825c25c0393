package cache

import "github.com/redis/go-redis/v9"

// Full reports whether Redis has refused a command because its memory is at its limit and
// nothing may be evicted: what is not persisted fills it. Acks still work then, for they
// only take away.
func Full(err error) bool { return redis.HasErrorPrefix(err, "OOM") }
