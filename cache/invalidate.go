package cache

import (
	"context"
	"fmt"
	"time"

	"github.com/afterwrite/afterwrite/cache/internal/tags"
	"github.com/afterwrite/afterwrite/internal/layout"
	"github.com/afterwrite/afterwrite/schema"
)

var invalidateScript = layout.Load(sources, "invalidate")

// Invalidate drops persisted records from the cache, and the leases of loads in progress: call it after a change that
// was made directly in the database. A pending, held or dead record is never dropped. It returns the number of records
// dropped.
func (c *Cache) Invalidate(ctx context.Context, e *schema.Entity, ids []string) (int, error) {
	dropped, _, err := c.invalidateAll(ctx, e, ids, "", 0)
	return dropped, err
}

// BarAll is [Cache.Bar] for records whose rows a transaction changes beside those that it
// writes: it drops what is cached of them and bars fills for life, which must outlive the
// transaction. A record that is pending, held or dead stays, and leaves the cache when it is
// acked. Call UnbarAll with the token when the transaction is over; if no process calls it, the
// barrier ends by itself and the next read loads the row.
func (c *Cache) BarAll(ctx context.Context, e *schema.Entity, ids []string, life time.Duration) (token string,
	err error) {
	token = newToken()
	_, _, err = c.invalidateAll(ctx, e, ids, token, life.Milliseconds())
	return token, err
}

// UnbarAll ends a barrier, whether the transaction was committed or not.
func (c *Cache) UnbarAll(ctx context.Context, e *schema.Entity, ids []string, token string) error {
	_, _, err := c.invalidateAll(ctx, e, ids, token, 0)
	return err
}

// invalidateAll runs lua/invalidate.lua for the records of all partitions; life is its argument of that name.
func (c *Cache) invalidateAll(ctx context.Context, e *schema.Entity, ids []string, barrier string, life int64) (
	dropped int, conflicts []string, err error) {
	byPartition := map[int][]string{}
	for _, id := range ids {
		n := e.Partition(id)
		byPartition[n] = append(byPartition[n], id)
	}
	for partition, ids := range byPartition {
		n, some, err := c.invalidate(ctx, e, partition, ids, barrier, life)
		dropped, conflicts = dropped+n, append(conflicts, some...)
		if err != nil {
			return dropped, conflicts, err
		}
	}
	if len(ids) == 0 {
		return 0, nil, nil
	}
	c.records.of(e).Drop(ids...)
	return dropped, conflicts, c.tags.Touch(ctx, tags.Changed(e, "wx", ids))
}

func (c *Cache) invalidate(ctx context.Context, e *schema.Entity, partition int, ids []string, barrier string,
	life int64) (dropped int, conflicts []string, err error) {
	k := c.prefix.Keys(e, partition)
	for len(ids) > 0 {
		n := min(len(ids), layout.ScanStep)
		keys := []string{k.Stats, k.Unsure, k.Stream}
		args := []any{c.prefix.Channel(e.Name), 0, barrier, life, layout.KeptEvents}
		if e.RankBy != "" {
			args[1] = layout.MaxUnsure
		}
		for _, id := range ids[:n] {
			keys = append(keys, k.Record+id)
			args = append(args, id)
		}
		reply, err := c.redis.Run(ctx, invalidateScript, keys, args...)
		if err != nil {
			return dropped, conflicts, err
		}
		m, _ := reply[0].(int64)
		dropped += int(m)
		for _, id := range reply[1:] {
			conflicts = append(conflicts, layout.Text(id))
		}
		ids = ids[n:]
	}
	return dropped, conflicts, nil
}

// InvalidateMatch is [Cache.Invalidate] for the cached records whose id matches a glob (* ? [a-c], with a backslash
// before a literal one). It scans in bounded steps and reports the number dropped so far after each; progress can be
// nil. If it ends early, records that it dropped stay dropped, and a repeat continues.
func (c *Cache) InvalidateMatch(ctx context.Context, e *schema.Entity, pattern string, progress func(dropped int)) (int,
	error) {
	if err := layout.CheckPattern(pattern); err != nil {
		return 0, err
	}
	return c.invalidateMatch(ctx, e, pattern, 0, progress)
}

func (c *Cache) invalidateMatch(ctx context.Context, e *schema.Entity, pattern string, life int64,
	progress func(dropped int)) (int, error) {
	dropped := 0
	err := layout.ScanRecords(ctx, c.redis, c.prefix, e, pattern, func(partition int, ids []string) error {
		n, _, err := c.invalidate(ctx, e, partition, ids, "", life)
		dropped += n
		if progress != nil {
			progress(dropped)
		}
		return err
	})
	c.records.of(e).DropAll()
	// The L1 of another process may hold a matching record that Redis has evicted.
	if failed := c.bus.AnyInvalidated(ctx, e); err == nil {
		err = failed
	}
	if err == nil {
		// Values can depend on a matching record that was not cached, too.
		err = c.tags.TouchAny(ctx, e)
	}
	if err != nil {
		return dropped, fmt.Errorf("invalidate %s like %q: %w", e.Name, pattern, err)
	}
	return dropped, nil
}

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
