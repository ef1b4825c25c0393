package cache

import (
	"context"
	"slices"
	"time"

	"github.com/afterwrite/afterwrite/internal/layout"
	"github.com/afterwrite/afterwrite/schema"
)

var peekScript = layout.Load(sources, "peek")

// Walk calls fn for every cached record of an entity, in no order, with at most a page of them in memory. Redis reads
// at most step records at a time. A record can come twice. Lease placeholders are skipped.
func (c *Cache) Walk(ctx context.Context, e *schema.Entity, step int, fn func(schema.Cached) error) error {
	return layout.ScanRecords(ctx, c.redis, c.prefix, e, "*", func(partition int, ids []string) error {
		for some := range slices.Chunk(ids, max(step, 1)) {
			records, err := c.Peek(ctx, e, partition, some)
			if err != nil {
				return err
			}
			for _, r := range records {
				if err := fn(r); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

// Peek reads records of one partition and the lists that contain them, all at one moment, without a load. Records that
// are not cached are left out.
func (c *Cache) Peek(ctx context.Context, e *schema.Entity, partition int, ids []string) ([]schema.Cached, error) {
	k := c.prefix.Keys(e, partition)
	keys := []string{k.Pending, k.Held, k.Dead}
	names := names(e)
	args := []any{len(names)}
	for _, name := range names {
		args = append(args, name)
	}
	for _, id := range ids {
		keys = append(keys, k.Record+id)
		args = append(args, id)
	}
	reply, err := c.redis.Run(ctx, peekScript, keys, args...)
	if err != nil {
		return nil, err
	}
	var records []schema.Cached
	for i, item := range reply {
		list, _ := item.([]any)
		if len(list) != 7+len(names) {
			continue // not cached
		}
		life, _ := list[0].(int64)
		r := schema.Cached{Record: record(e, ids[i], list[4:], time.Duration(life)*time.Millisecond), Expires: life > 0}
		r.Pending, r.Held, r.Dead = layout.Text(list[1]) != "", layout.Text(list[2]) != "", layout.Text(list[3]) != ""
		records = append(records, r)
	}
	return records, nil
}
