package cache

import (
	"context"
	"errors"

	"golang.org/x/sync/errgroup"

	"github.com/afterwrite/afterwrite/cache/internal/flight"
	"github.com/afterwrite/afterwrite/schema"
)

// concurrentWaits bounds the records of one GetMany that are waited for at once.
const concurrentWaits = 16

// GetMany is [Cache.Get] for many records of one entity, in the order of ids. Cached records take one round trip, the
// others two more and one call of the loader, except records that other callers are loading: it waits for those. The
// caller bounds the number of ids.
func (c *Cache) GetMany(ctx context.Context, e *schema.Entity, ids []string) ([]Read, error) {
	some := make([]*look, 0, len(ids)) // each record once
	of := make(map[string]*look, len(ids))
	token := newToken()
	for _, id := range ids {
		if of[id] == nil {
			of[id] = &look{entity: e, id: id, token: token}
			some = append(some, of[id])
		}
	}
	err := c.getAll(ctx, e, some)
	if errors.Is(err, schema.ErrUnavailable) {
		return c.bypassMany(ctx, e, ids)
	}
	if err != nil {
		return nil, err
	}
	reads := make([]Read, len(ids))
	for i, id := range ids {
		reads[i] = of[id].read
	}
	return reads, nil
}

// getAll sets the read of each look.
func (c *Cache) getAll(ctx context.Context, e *schema.Entity, some []*look) error {
	c.look(ctx, some...)
	some, err := missing(some)
	if err != nil || len(some) == 0 {
		return err
	}
	if err := c.loadMissing(ctx, e, some); err != nil {
		return err
	}
	some, err = missing(some)
	if err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(concurrentWaits)
	for _, l := range some {
		g.Go(func() error {
			var err error
			l.read, err = c.miss(ctx, &look{entity: e, id: l.id})
			return err
		})
	}
	return g.Wait()
}

// missing returns the looks without a record, or with a record that lacks fields.
func missing(some []*look) ([]*look, error) {
	var rest []*look
	for _, l := range some {
		if l.err != nil {
			return nil, l.err
		}
		if l.read.Source == "" || lacks(l.read.Record) {
			rest = append(rest, l)
		}
	}
	return rest, nil
}

// loadMissing takes the leases of records in one round trip, loads those that were granted, and fills them in another.
// The load outlives a caller that goes, because others may wait for it.
func (c *Cache) loadMissing(ctx context.Context, e *schema.Entity, some []*look) error {
	asked := make([]*look, len(some))
	for i, l := range some {
		asked[i] = &look{entity: e, id: l.id, token: l.token}
	}
	err := flight.Detach(ctx, 4*c.lease, func(ctx context.Context) error { return c.loadGranted(ctx, e, asked) })
	if ctx.Err() != nil {
		return ctx.Err() // the load may go on
	}
	for i, l := range asked {
		some[i].read = l.read
	}
	return err
}

func (c *Cache) loadGranted(ctx context.Context, e *schema.Entity, asked []*look) error {
	c.ask(ctx, asked...)
	var failed error
	var granted []*look
	var ids []string
	for _, l := range asked {
		if l.err != nil {
			failed = l.err
		} else if l.answer == "granted" {
			granted, ids = append(granted, l), append(ids, l.id)
		}
	}
	if len(ids) == 0 {
		return failed
	}
	if failed != nil {
		c.giveBack(ctx, e, ids, granted[0].token)
		return failed
	}
	reads, err := c.loadRows(ctx, e, ids, granted[0].token)
	for i := range reads {
		granted[i].read = reads[i]
	}
	return err
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
