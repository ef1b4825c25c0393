package cache

import (
	"context"
	"slices"
	"strconv"
	"strings"

	"github.com/afterwrite/afterwrite/internal/rdb"
	"github.com/afterwrite/afterwrite/schema"
)

// Strangers returns, by name, the entities that have records waiting for the database and
// are none of the given ones: whoever knows only those never flushes them. An entity
// that is returned has a name and partitions, enough for [Cache.Stats] and [Cache.List].
func (c *Cache) Strangers(ctx context.Context, known []*schema.Entity) ([]*schema.Entity, error) {
	adopted, err := c.redis.HGetAll(ctx, c.prefix.Partitions()).Result()
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
			continue // another hand wrote it
		}
		e := &schema.Entity{Name: name, Partitions: partitions}
		stats, err := c.Stats(ctx, e)
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
