package cache

import (
	"context"

	"github.com/afterwrite/afterwrite/internal/layout"
	"github.com/afterwrite/afterwrite/internal/rdb"
	"github.com/afterwrite/afterwrite/schema"
)

var pairScript = layout.Load(sources, "pair")

// Pairing returns the database with which this Redis is paired under the prefix. It is none if the two were never
// paired, or if Redis was emptied since.
func (c *Cache) Pairing(ctx context.Context) (schema.Pairing, error) {
	found, err := c.redis.HMGet(ctx, c.prefix.Pairing(), "deployment", "life").Result()
	if err != nil {
		return schema.Pairing{}, rdb.Fault("pairing", err)
	}
	return layout.Pairing(found), nil
}

// Pair pairs this Redis with a database, if its pairing still equals seen. paired is false if another process was
// faster. It works on a full Redis, too.
func (c *Cache) Pair(ctx context.Context, seen, with schema.Pairing) (paired bool, err error) {
	n, err := c.redis.RunInt(ctx, pairScript, []string{c.prefix.Pairing()}, seen.Deployment, seen.Life, with.Deployment,
		with.Life)
	return n == 1, err
}
