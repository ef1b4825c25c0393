package cache

import (
	"context"
	"errors"

	"golang.org/x/sync/errgroup"

	"github.com/afterwrite/afterwrite/schema"
)

// concurrentMisses bounds the loads of one GetMany.
const concurrentMisses = 16

// GetMany is [Cache.Get] for many records of one entity, in the order of ids: one round
// trip for the hits. The number of ids is the caller's to bound.
func (c *Cache) GetMany(ctx context.Context, e *schema.Entity, ids []string) ([]Read, error) {
	reads, err := c.lookupMany(ctx, e, ids)
	if errors.Is(err, schema.ErrUnavailable) {
		return c.bypassMany(ctx, e, ids)
	}
	if err != nil {
		return nil, err
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(concurrentMisses)
	for i := range reads {
		if reads[i].Source != "" {
			continue
		}
		g.Go(func() error {
			read, err := c.miss(ctx, e, ids[i])
			reads[i] = read
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	return reads, nil
}

func (c *Cache) bypassMany(ctx context.Context, e *schema.Entity, ids []string) ([]Read, error) {
	rows, err := c.rows(ctx, e, ids)
	if err != nil {
		return nil, err
	}
	c.metrics.bypasses.WithLabelValues(e.Name).Add(float64(len(ids)))
	reads := make([]Read, len(ids))
	for i, id := range ids {
		values, ok := rows[id]
		reads[i] = Read{Source: Bypass, Record: persisted(schema.Row{ID: id, Exists: ok, Values: values})}
	}
	return reads, nil
}
