package cache

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/redis/go-redis/v9"

	"github.com/afterwrite/afterwrite/internal/rdb"
	"github.com/afterwrite/afterwrite/schema"
)

// Adopt checks that Redis holds the entity with the same number of partitions as the
// configuration, and records the number where it holds none. Another number is taken over
// only while nothing waits for the database: an id changes its partition with it, and with
// the partition its order. Else the error is ErrPartitionsChanged.
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

// Readopt records anew the entities of which Redis holds nothing, and returns those that
// this caller was the first to. An entity that was adopted before is among them only
// where Redis was emptied, restored or exchanged: what it had accepted and the database
// has not seen is gone. Changed are those that Redis holds with another number of partitions
// than this caller: another process has taken them over since.
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

// Agrees reports whether Redis holds the entity with the number of partitions that it has
// here: the number may be changed while a process with the old one still runs.
func (c *Cache) Agrees(ctx context.Context, e *schema.Entity) (bool, error) {
	stored, err := c.partitions(ctx, e)
	if err != nil && !errors.Is(err, redis.Nil) {
		return false, rdb.Fault("partitions", err)
	}
	return err != nil || stored == e.Partitions, nil
}

// partitions is the number that Redis holds, or redis.Nil. It is asked for before it is
// set: a full Redis refuses even a write that changes nothing, and the worker that would
// empty it must be able to start.
func (c *Cache) partitions(ctx context.Context, e *schema.Entity) (int, error) {
	return c.redis.HGet(ctx, c.prefix.Partitions(), e.Name).Int()
}

// repartition retires every old partition, so that writers with the old number are
// refused; then drops what they had cached, which nobody would keep fresh; then records
// the new number. A crash on the way is mended by the next Adopt.
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
