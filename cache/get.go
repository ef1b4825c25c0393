package cache

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/afterwrite/afterwrite/internal/layout"
	"github.com/afterwrite/afterwrite/internal/rdb"
	"github.com/afterwrite/afterwrite/schema"
)

// Source says where a read found its record.
type Source string

// The sources of a read.
const (
	Hit    Source = "hit"    // in Redis
	Filled Source = "filled" // in the database, and now in Redis
	Missed Source = "missed" // in the database; not put into Redis
	Bypass Source = "bypass" // in the database, because Redis does not respond: it may be older than an accepted write
	Local  Source = "local"  // in the L1 of this process
)

// Read is a record and its source. A record that does not exist is Deleted.
type Read struct {
	schema.Record
	Source Source
}

// Get returns the newest accepted state of a record. On a miss one caller, among all processes, reads the row and fills
// the cache; the others wait for it, at most for the life of a lease. While Redis does not respond, the row is read
// from the database, and Source is Bypass.
//
// Errors: ErrDatabaseUnavailable if the row is needed and cannot be read, ErrBusy if a record that lacks a field is
// written faster than its row is read, and the error of an ended context. A caller whose context ends does not end the
// load for others.
func (c *Cache) Get(ctx context.Context, e *schema.Entity, id string) (Read, error) {
	if read, ok := findRead(c.records.of(e), id); ok {
		c.metrics.hits.WithLabelValues(e.Name).Inc()
		return read, nil
	}
	l := c.lookup(ctx, &look{entity: e, id: id})
	if errors.Is(l.err, schema.ErrUnavailable) {
		return c.bypass(ctx, e, id)
	}
	if l.err != nil || l.read.Source == Hit {
		return l.read, l.err
	}
	return c.miss(ctx, l)
}

func readFields(e *schema.Entity) []string {
	fields := []string{"_v", "_s", "_d"}
	return append(fields, names(e)...)
}

// names are what values of the entity are kept under: the fields, then former names of them.
func names(e *schema.Entity) []string {
	names := make([]string, 0, len(e.Fields)+len(e.Renamed()))
	for i := range e.Fields {
		names = append(names, e.Fields[i].Name)
	}
	for _, r := range e.Renamed() {
		names = append(names, r.From)
	}
	return names
}

// record reads what HMGET answers for readFields. A field that was added to the entity
// after the record was written has no text: see [Cache.complete].
func record(e *schema.Entity, id string, texts []any, life time.Duration) schema.Record {
	r := schema.Record{ID: id, Version: layout.Version(layout.Text(texts[0])), Status: statuses[layout.Text(texts[1])],
		TTL: max(life, 0)}
	if r.Deleted = layout.Text(texts[2]) != ""; r.Deleted {
		return r
	}
	r.Values = make(schema.Values, len(e.Fields))
	for i, value := range texts[3 : 3+len(e.Fields)] {
		r.Values[i] = layout.Text(value)
	}
	for i, value := range texts[3+len(e.Fields):] { // newer where it is there, see schema.Entity.Renamed
		r.Values[e.Renamed()[i].Field] = cmp.Or(layout.Text(value), r.Values[e.Renamed()[i].Field])
	}
	for i, text := range r.Values {
		if text == schema.Undecided {
			r.Values[i] = schema.Null
		}
	}
	return r
}

var statuses = map[string]schema.Status{
	"": schema.Persisted, "p": schema.Pending, "h": schema.Held, "d": schema.Dead,
}

// joins bounds how often a caller waits for another caller's load.
const joins = 3

// miss reads a record that was not cached. Callers of one process share a load, but only the caller that began it uses
// its row: for a caller that joined later, the loaded row can be older than an invalidation whose effect it has already
// seen. So the others look again after the load, and find what it filled.
func (c *Cache) miss(ctx context.Context, l *look) (Read, error) {
	e, id := l.entity, l.id
	l.token = cmp.Or(l.token, newToken())
	key := c.recordKey(e, id)
	for join := 0; ; join++ {
		if join == joins {
			return c.own(ctx, l) // fills are rejected again and again, because other callers write
		}
		mine := false
		if l.answer == "granted" { // a flight that waits for this lease must not be joined
			c.loads.Forget(key)
		}
		// The load outlives the caller that began it, because others may wait for it.
		flight := c.loads.DoChan(key, func() (any, error) {
			mine = true
			detached, cancel := context.WithTimeout(context.WithoutCancel(ctx), 4*c.lease)
			defer cancel()
			return c.load(detached, l)
		})
		select {
		case <-ctx.Done():
			return Read{}, ctx.Err()
		case result := <-flight:
			if errors.Is(result.Err, schema.ErrUnavailable) {
				return c.bypass(ctx, e, id)
			}
			if result.Err != nil {
				return Read{}, result.Err
			}
			if mine {
				return result.Val.(Read), nil
			}
		}
		l = c.lookup(ctx, &look{entity: e, id: id, token: l.token})
		if errors.Is(l.err, schema.ErrUnavailable) {
			return c.bypass(ctx, e, id)
		}
		if l.err != nil || l.read.Source == Hit {
			return l.read, l.err
		}
	}
}

func (c *Cache) own(ctx context.Context, l *look) (Read, error) {
	read, err := c.load(ctx, l)
	if errors.Is(err, schema.ErrUnavailable) {
		return c.bypass(ctx, l.entity, l.id)
	}
	return read, err
}

// load loads under the lease that a look has taken, or takes the lease, or waits for the load that has it. A row that
// it read without a lease, or whose lease was removed meanwhile, is returned but not cached: it was the newest
// persisted state at some moment of the load.
func (c *Cache) load(ctx context.Context, l *look) (Read, error) {
	until := time.Now().Add(c.lease)
	for pause := time.Millisecond; ; {
		switch {
		case l.err != nil:
			return Read{}, l.err
		case l.read.Source == Hit && lacks(l.read.Record):
			if read, err := c.complete(ctx, l.entity, l.read); err != nil || read.Source == Hit {
				return read, err
			}
		case l.read.Source == Hit:
			return l.read, nil
		case l.answer == "granted":
			return c.loadOne(ctx, l, l.token)
		case l.answer == "barred" || time.Now().After(until):
			return c.loadOne(ctx, l, "")
		case l.answer == "refused":
			if err := rdb.Sleep(ctx, pause); err != nil {
				return Read{}, err
			}
			pause = min(2*pause, 50*time.Millisecond)
		}
		l = &look{entity: l.entity, id: l.id, token: l.token}
		c.ask(ctx, l)
	}
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
