package cache

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/redis/go-redis/v9"

	"github.com/afterwrite/afterwrite/internal/layout"
	"github.com/afterwrite/afterwrite/internal/rdb"
	"github.com/afterwrite/afterwrite/schema"
)

var (
	retireScript = layout.Load(sources, "retire")
	pairScript   = layout.Load(sources, "pair")
)

// Adopt checks that Redis holds the entity with the same number of partitions as the configuration, and records the
// number if Redis holds none. A different number is taken over only while the entity has no unpersisted records: with
// the number, ids change their partition, and with the partition their order. Otherwise the error is
// ErrPartitionsChanged.
func (c *Cache) Adopt(ctx context.Context, e *schema.Entity) error {
	c.metrics.declare(e.Name)
	stored, err := c.partitions(ctx, e)
	if errors.Is(err, redis.Nil) {
		if err := c.redis.HSetNX(ctx, c.prefix.Partitions(), e.Name, e.Partitions).Err(); err != nil {
			return rdb.Fault("adopt", err)
		}
		stored, err = c.partitions(ctx, e)
	}
	if err != nil {
		return rdb.Fault("adopt", err)
	}
	if stored == e.Partitions {
		return nil
	}
	return c.repartition(ctx, e, stored)
}

// Readopt records entities of which Redis holds nothing, and returns those that this caller recorded first. If an
// entity among them was adopted before, Redis was emptied, restored or replaced: accepted writes that were not
// persisted are lost. changed are the entities that Redis holds with another number of partitions than this caller:
// another process has taken them over since.
func (c *Cache) Readopt(ctx context.Context, entities []*schema.Entity) (forgotten, changed []*schema.Entity, _ error) {
	known, err := c.redis.HGetAll(ctx, c.prefix.Partitions()).Result()
	if err != nil {
		return nil, nil, rdb.Fault("adopt", err)
	}
	for _, e := range entities {
		if number, ok := known[e.Name]; ok {
			if number != strconv.Itoa(e.Partitions) {
				changed = append(changed, e)
			}
			continue
		}
		first, err := c.redis.HSetNX(ctx, c.prefix.Partitions(), e.Name, e.Partitions).Result()
		if err != nil {
			return forgotten, changed, rdb.Fault("adopt", err)
		}
		if first {
			forgotten = append(forgotten, e)
		}
	}
	return forgotten, changed, nil
}

// Agrees reports whether Redis holds the entity with this caller's number of partitions: the number can be changed
// while a process with the old one still runs.
func (c *Cache) Agrees(ctx context.Context, e *schema.Entity) (bool, error) {
	stored, err := c.partitions(ctx, e)
	if err != nil && !errors.Is(err, redis.Nil) {
		return false, rdb.Fault("partitions", err)
	}
	return err != nil || stored == e.Partitions, nil
}

// partitions returns the number that Redis holds, or redis.Nil. It is read before it is set: a full Redis refuses even
// a write that changes nothing, and a worker that could make room must be able to start.
func (c *Cache) partitions(ctx context.Context, e *schema.Entity) (int, error) {
	return c.redis.HGet(ctx, c.prefix.Partitions(), e.Name).Int()
}

// repartition retires every old partition, so that writers with the old number are rejected. Then it drops their cached
// records, which nothing would keep fresh, and records the new number. After a crash the next Adopt completes it.
func (c *Cache) repartition(ctx context.Context, e *schema.Entity, stored int) error {
	for partition := range max(stored, e.Partitions) {
		k := c.prefix.Keys(e, partition)
		retired, err := c.redis.RunInt(ctx, retireScript, append(k.Lists()[:4], k.Ranks()...), e.Partitions)
		if err != nil {
			return err
		}
		if retired == 1 {
			continue
		}
		for undo := range partition {
			k := c.prefix.Keys(e, undo)
			if _, err := c.redis.RunInt(ctx, retireScript, append(k.Lists()[:4], k.Ranks()...), stored); err != nil {
				return err
			}
		}
		return fmt.Errorf("%s: redis holds records of partition %d that are not in the database yet; configured are %d partitions, redis has %d: %w",
			e.Name, partition, e.Partitions, stored, schema.ErrPartitionsChanged)
	}
	if _, err := c.InvalidateMatch(ctx, e, "*", nil); err != nil {
		return err
	}
	if err := c.redis.HSet(ctx, c.prefix.Partitions(), e.Name, e.Partitions).Err(); err != nil {
		return rdb.Fault("adopt", err)
	}
	c.log.WarnContext(ctx, "number of partitions changed", "entity", e.Name, "from", stored, "to", e.Partitions)
	return nil
}

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
