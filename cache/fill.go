package cache

import (
	"context"

	"github.com/afterwrite/afterwrite/internal/layout"
	"github.com/afterwrite/afterwrite/internal/rdb"
	"github.com/afterwrite/afterwrite/schema"
)

// fill puts loaded rows into the cache under the lease that they were loaded with, in one round trip. It returns the
// versions that the fills took. A version is 0, and the row is not cached, if the lease was gone, because the row may
// be older than what a write, a deletion or an invalidation left, or if the partition runs with another number of
// partitions.
func (c *Cache) fill(ctx context.Context, e *schema.Entity, rows []schema.Row, token string) ([]schema.Version, error) {
	calls := make([]*rdb.Call, len(rows))
	for i, row := range rows {
		k := c.prefix.Keys(e, e.Partition(row.ID))
		exists := "0"
		if row.Exists {
			exists = "1"
		}
		args := append(make([]any, 0, 6+2*len(row.Values)), token, layout.MS(layout.TTL(e, row.Values, !row.Exists)),
			exists,
			row.ID, layout.Score(e, row.Values), e.Partitions)
		for i, text := range row.Values {
			args = append(args, e.Fields[i].Name, text)
		}
		calls[i] = fillScript.Call([]string{k.Stats, k.Record + row.ID, k.Rank, k.Build, k.Unsure}, args...)
	}
	c.redis.Send(ctx, calls...)
	versions := make([]schema.Version, len(rows))
	for i, one := range calls {
		version, err := one.Text()
		if err != nil {
			return nil, rdb.Fault("fill", err)
		}
		if version != "" {
			c.metrics.fills.WithLabelValues(e.Name).Inc()
			versions[i] = layout.Version(version)
		}
	}
	return versions, nil
}
