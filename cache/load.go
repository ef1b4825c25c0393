package cache

import (
	"context"
	"crypto/rand"
	"fmt"

	"github.com/afterwrite/afterwrite/cache/internal/flight"
	"github.com/afterwrite/afterwrite/internal/layout"
	"github.com/afterwrite/afterwrite/internal/rdb"
	"github.com/afterwrite/afterwrite/schema"
)

var (
	unleaseScript = layout.Load(sources, "unlease")
	fillScript    = layout.Load(sources, "fill")
)

// load loads under the lease that a look has taken, or takes the lease, or waits for the load that has it. A row that
// it read without a lease, or whose lease was removed meanwhile, is returned but not cached: it was the newest
// persisted state at some moment of the load.
func (c *Cache) load(ctx context.Context, l *look) (read Read, err error) {
	err = flight.Run(ctx, c.lease, func(ctx context.Context, late bool) (_ flight.Outcome, err error) {
		switch {
		case l.err != nil:
			return flight.Done, l.err
		case l.read.Source == Hit && lacks(l.read.Record):
			read, err = c.complete(ctx, l.entity, l.read)
			if err != nil || read.Source == Hit {
				return flight.Done, err
			}
		case l.read.Source == Hit:
			read = l.read
			return flight.Done, nil
		case l.answer == "granted":
			read, err = c.loadOne(ctx, l, l.token)
			return flight.Done, err
		case l.answer == "barred" || l.answer == "refused" && late && !l.waited:
			read, err = c.loadOne(ctx, l, "")
			return flight.Done, err
		case l.answer == "refused" && !l.waited:
			l.waited = true
			return flight.Wait, nil
		}
		l = &look{entity: l.entity, id: l.id, token: l.token}
		c.ask(ctx, l)
		return flight.Again, nil
	})
	return read, err
}

func (c *Cache) loadOne(ctx context.Context, l *look, token string) (Read, error) {
	reads, err := c.loadRows(ctx, l.entity, []string{l.id}, token)
	if err != nil {
		return Read{}, err
	}
	return reads[0], nil
}

// loadRows loads records in one call of the loader and, if there is a token, fills them under it in one round trip.
func (c *Cache) loadRows(ctx context.Context, e *schema.Entity, ids []string, token string) ([]Read, error) {
	rows, err := c.rows(ctx, e, ids)
	if err != nil {
		if token != "" {
			c.giveBack(ctx, e, ids, token)
		}
		return nil, err
	}
	reads, loaded := make([]Read, len(ids)), make([]schema.Row, len(ids))
	for i, id := range ids {
		values, ok := rows[id]
		loaded[i] = schema.Row{ID: id, Exists: ok, Values: values}
		reads[i] = Read{Source: Missed, Record: persisted(loaded[i])}
	}
	if token == "" {
		return reads, nil
	}
	versions, err := c.fill(ctx, e, loaded, token)
	if err != nil {
		return nil, err
	}
	for i, version := range versions {
		if version > 0 {
			reads[i].Version, reads[i].Source = version, Filled
		}
	}
	return reads, nil
}

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
		args := append(make([]any, 0, 7+2*len(row.Values)), token, layout.MS(layout.TTL(e, row.Values, !row.Exists)),
			exists,
			row.ID, layout.Member(e, row.ID), layout.Score(e, row.Values), e.Partitions)
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

// giveBack releases leases under which nothing will be filled, so that no reader waits for them.
func (c *Cache) giveBack(ctx context.Context, e *schema.Entity, ids []string, token string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), c.lease)
	defer cancel()
	calls := make([]*rdb.Call, len(ids))
	for i, id := range ids {
		calls[i] = unleaseScript.Call([]string{c.recordKey(e, id)}, token)
	}
	c.redis.Send(ctx, calls...)
	for _, one := range calls {
		if err := one.Err(); err != nil {
			c.log.DebugContext(ctx, "a lease was left to expire", "entity", e.Name, "error", err)
		}
	}
}

// giveBackLater releases the lease of a caller that has gone and cannot know whether its look has taken one. If the
// release arrives before the look, the lease expires.
func (c *Cache) giveBackLater(ctx context.Context, l *look) {
	c.bus.Go(func(context.Context) { c.giveBack(ctx, l.entity, []string{l.id}, l.token) })
}

func persisted(row schema.Row) schema.Record {
	return schema.Record{ID: row.ID, Status: schema.Persisted, Deleted: !row.Exists, Values: row.Values}
}

func (c *Cache) row(ctx context.Context, e *schema.Entity, id string) (schema.Row, error) {
	rows, err := c.rows(ctx, e, []string{id})
	if err != nil {
		return schema.Row{}, err
	}
	values, ok := rows[id]
	return schema.Row{ID: id, Exists: ok, Values: values}, nil
}

func (c *Cache) rows(ctx context.Context, e *schema.Entity, ids []string) (map[string]schema.Values, error) {
	if c.loader == nil {
		return nil, fmt.Errorf("load %s: no loader: %w", e.Name, schema.ErrDatabaseUnavailable)
	}
	rows, err := c.loader.Load(ctx, e, ids)
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, fmt.Errorf("load %s: %w: %w", e.Name, schema.ErrDatabaseUnavailable, err)
	}
	for id, values := range rows {
		if len(values) != len(e.Fields) { // otherwise every reader would get it from the cache
			return nil, fmt.Errorf("load %s: the loader gave %q %d values for %d fields", e.Name, id, len(values),
				len(e.Fields))
		}
	}
	return rows, nil
}

func (c *Cache) bypass(ctx context.Context, e *schema.Entity, id string) (Read, error) {
	row, err := c.row(ctx, e, id)
	if err != nil {
		return Read{}, err
	}
	c.metrics.bypasses.WithLabelValues(e.Name).Inc()
	return Read{Source: Bypass, Record: persisted(row)}, nil
}

// newToken returns a lease token, fresh for every load, so that a load that began before a lease was removed cannot be
// mistaken for one that began after the next lease was taken.
func newToken() string { return rand.Text() }
