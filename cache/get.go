package cache

import (
	"cmp"
	"context"
	"errors"
	"time"

	"github.com/afterwrite/afterwrite/internal/layout"
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

// names are what values of the entity are kept under: the fields, then former names of them, and then what tells which
// of two names was written last.
func names(e *schema.Entity) []string {
	names := make([]string, 0, len(e.Fields)+len(e.Renamed())+1)
	for i := range e.Fields {
		names = append(names, e.Fields[i].Name)
	}
	for _, i := range e.Renamed() {
		names = append(names, e.Fields[i].RenamedFrom)
	}
	if len(e.Renamed()) > 0 {
		names = append(names, "_c")
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
	for n, i := range e.Renamed() { // a value under the former name is the newer one, unless the record says otherwise
		former, own := layout.Text(texts[3+len(e.Fields)+n]), &r.Values[i]
		changed := layout.Text(texts[3+len(e.Fields)+len(e.Renamed())])
		switch {
		case former == "" || former == *own:
		case *own != "" && r.Status == schema.Persisted:
			*own = "" // the row has the newer one
		case *own == "" || !layout.WrittenLater(changed, r.Version, e.Fields[i].Name, e.Fields[i].RenamedFrom):
			*own = former
		}
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
		if l.answer == "granted" { // a flight that waits for this lease must not be joined
			c.loads.Forget(key)
		}
		loaded, mine, err := c.loads.Do(ctx, key, 4*c.lease, func(ctx context.Context) (any, error) {
			return c.load(ctx, l)
		})
		switch {
		case ctx.Err() != nil:
			return Read{}, ctx.Err()
		case errors.Is(err, schema.ErrUnavailable):
			return c.bypass(ctx, e, id)
		case err != nil:
			return Read{}, err
		case mine:
			return loaded.(Read), nil
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
