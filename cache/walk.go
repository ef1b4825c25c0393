package cache

import (
	"context"
	"fmt"
	"time"

	"github.com/afterwrite/afterwrite/internal/layout"
	"github.com/afterwrite/afterwrite/internal/rdb"
	"github.com/afterwrite/afterwrite/schema"
)

// Cached is a record as [Cache.Walk] finds it, with the lists that name it.
type Cached struct {
	schema.Record
	Expires             bool // it has a time to live
	Pending, Held, Dead bool // named by the list
}

// Walk calls fn for every cached record of an entity, in no order, at most a page of them
// in memory. A record may come twice. Lease placeholders are passed over.
func (c *Cache) Walk(ctx context.Context, e *schema.Entity, fn func(Cached) error) error {
	return c.scan(ctx, e, "*", func(partition int, ids []string) error {
		records, err := c.Peek(ctx, e, partition, ids)
		if err != nil {
			return err
		}
		for _, r := range records {
			if err := fn(r); err != nil {
				return err
			}
		}
		return nil
	})
}

// Peek reads records of one partition and the lists that name them, all at one moment,
// without a load. What is not cached is left out.
func (c *Cache) Peek(ctx context.Context, e *schema.Entity, partition int, ids []string) ([]Cached, error) {
	k := c.prefix.Keys(e, partition)
	keys := []string{k.Pending, k.Held, k.Dead}
	args := []any{len(e.Fields)}
	for i := range e.Fields {
		args = append(args, e.Fields[i].Name)
	}
	for _, id := range ids {
		keys = append(keys, k.Record+id)
		args = append(args, id)
	}
	reply, err := c.redis.Run(ctx, peekScript, keys, args...)
	if err != nil {
		return nil, err
	}
	var records []Cached
	for i, item := range reply {
		list, _ := item.([]any)
		if len(list) != 7+len(e.Fields) {
			continue // not cached
		}
		life, _ := list[0].(int64)
		r := Cached{Record: record(ids[i], list[4:], time.Duration(life)*time.Millisecond), Expires: life > 0}
		r.Pending, r.Held, r.Dead = layout.Text(list[1]) != "", layout.Text(list[2]) != "", layout.Text(list[3]) != ""
		records = append(records, r)
	}
	return records, nil
}

// Listed is an id on one of a partition's lists.
type Listed struct {
	ID    string
	Since time.Time // pending: first pending; held: the next attempt; dead: of death
}

// List reads a page of a partition's pending, held or dead ids, oldest first, after that
// many others.
func (c *Cache) List(ctx context.Context, e *schema.Entity, partition int, status schema.Status, skip, limit int) ([]Listed, error) {
	k := c.prefix.Keys(e, partition)
	key := map[schema.Status]string{schema.Pending: k.Pending, schema.Held: k.Held, schema.Dead: k.Dead}[status]
	if key == "" {
		return nil, fmt.Errorf("list: no list of %q records", status)
	}
	found, err := c.redis.ZRangeWithScores(ctx, key, int64(skip), int64(skip+limit-1)).Result()
	if err != nil {
		return nil, rdb.Fault("list", err)
	}
	ids := make([]Listed, len(found))
	for i, z := range found {
		ids[i] = Listed{ID: layout.Text(z.Member), Since: time.UnixMilli(int64(z.Score))}
	}
	return ids, nil
}
