package cache

import (
	"context"

	"github.com/afterwrite/afterwrite/schema"
)

// The life that lua/invalidate.lua takes for rows that other programs changed.
const (
	rowsChanged    = -1 // conflicts are counted
	rowsMayDiffer  = -2 // they are not
	rankIncomplete = -1 // most ids of unsure rank: any number is too many
)

// RowsChanged drops what is cached of records whose rows another program has changed, as [Cache.Invalidate] does. A
// record that is not persisted is a conflict: it stays until it is acked and is dropped then, for the fields that it
// does not write are the row's. Conflicts are counted in the partition's statistics, published as the event "conflict",
// and returned. It is idempotent but for the count.
func (c *Cache) RowsChanged(ctx context.Context, e *schema.Entity, ids []string) (conflicts []string, err error) {
	_, conflicts, err = c.invalidateAll(ctx, e, ids, "", rowsChanged)
	return conflicts, err
}

// AnyRowChanged is [Cache.RowsChanged] for an entity of which any row may have changed, as after TRUNCATE. Ranks are
// rebuilt. It counts no conflicts. It scans in bounded steps; if it ends early, a repeat begins again.
func (c *Cache) AnyRowChanged(ctx context.Context, e *schema.Entity) error {
	if _, err := c.invalidateMatch(ctx, e, "*", rowsMayDiffer, nil); err != nil {
		return err
	}
	for partition := range e.Partitions {
		if e.RankBy == "" {
			return nil
		}
		k := c.prefix.Keys(e, partition)
		_, err := c.redis.Run(ctx, invalidateScript, []string{k.Stats, k.Unsure, k.Stream}, c.prefix.Channel(e.Name),
			rankIncomplete, "", rowsMayDiffer, 0)
		if err != nil {
			return err
		}
	}
	return nil
}
