package pending

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/afterwrite/afterwrite/internal/layout"
	"github.com/afterwrite/afterwrite/internal/rdb"
	"github.com/afterwrite/afterwrite/schema"
)

// Strangers returns, by name, the entities with unpersisted records that are not among the given ones: a process that
// knows only those never flushes them. A returned entity has a name and partitions, enough for [Backlog.Stats] and
// [Backlog.List].
func (b *Backlog) Strangers(ctx context.Context, known []*schema.Entity) ([]*schema.Entity, error) {
	adopted, err := b.redis.HGetAll(ctx, b.prefix.Partitions()).Result()
	if err != nil {
		return nil, rdb.Fault("strangers", err)
	}
	for _, e := range known {
		delete(adopted, e.Name)
	}
	var strangers []*schema.Entity
	for name, number := range adopted {
		partitions, err := strconv.Atoi(number)
		if err != nil {
			continue // not written by Afterwrite
		}
		e := &schema.Entity{Name: name, Partitions: partitions}
		stats, err := b.Stats(ctx, e)
		if err != nil {
			return nil, err
		}
		if t := Total(stats); t.Pending+t.Held+t.Dead > 0 {
			strangers = append(strangers, e)
		}
	}
	slices.SortFunc(strangers, func(a, b *schema.Entity) int { return strings.Compare(a.Name, b.Name) })
	return strangers, nil
}

// Listed is an id on one of a partition's lists.
type Listed struct {
	ID    string
	Since time.Time // pending: first pending; held: the next attempt; dead: time of death
}

// List reads a page of a partition's pending, held or dead ids, oldest first, after the first skip ids.
func (b *Backlog) List(ctx context.Context, e *schema.Entity, partition int, status schema.Status, skip,
	limit int) ([]Listed, error) {
	k := b.prefix.Keys(e, partition)
	key := map[schema.Status]string{schema.Pending: k.Pending, schema.Held: k.Held, schema.Dead: k.Dead}[status]
	if key == "" {
		return nil, fmt.Errorf("list: no list of %q records", status)
	}
	found, err := b.redis.ZRangeWithScores(ctx, key, int64(skip), int64(skip+limit-1)).Result()
	if err != nil {
		return nil, rdb.Fault("list", err)
	}
	ids := make([]Listed, len(found))
	for i, z := range found {
		ids[i] = Listed{ID: layout.Text(z.Member), Since: time.UnixMilli(int64(z.Score))}
	}
	return ids, nil
}
