package cache

import (
	"cmp"
	"context"
	"errors"
	"slices"

	"github.com/redis/go-redis/v9"

	"github.com/afterwrite/afterwrite/internal/gather"
	"github.com/afterwrite/afterwrite/internal/rdb"
	"github.com/afterwrite/afterwrite/schema"
)

// Bounds of the looks that share round trips.
const (
	lookTrips  = 2   // under way at once
	lookGather = 256 // records of one trip
	lookWaits  = 10_000
)

// look is one read of a record. The looks of concurrent callers share round trips, as the
// producer's writes do.
type look struct {
	entity *schema.Entity
	id     string

	read Read // no Source: not cached
	err  error
}

func (c *Cache) newLooks() *gather.Combiner[*look] {
	limits := gather.Limits{Batches: lookTrips, Calls: lookGather, Waiting: lookWaits}
	return gather.New(limits, func(ctx context.Context, some []*look) { c.look(ctx, some...) })
}

// lookup reads what is cached of a record.
func (c *Cache) lookup(ctx context.Context, e *schema.Entity, id string) (Read, bool, error) {
	read, err := c.lookOne(ctx, e, id)
	if err == nil && lacks(read.Record) {
		read, err = c.complete(ctx, e, read)
	}
	return read, read.Source == Hit, err
}

func (c *Cache) lookOne(ctx context.Context, e *schema.Entity, id string) (Read, error) {
	l := &look{entity: e, id: id}
	switch err := c.looks.Do(ctx, l); {
	case errors.Is(err, gather.ErrFull):
		c.look(ctx, l) // it waits for a connection instead
	case err != nil: // its trip may still use it
		return Read{}, rdb.Fault("get", err)
	}
	return l.read, l.err
}

// look reads records in one round trip. Each has its own error: on a cluster one node may
// not answer.
func (c *Cache) look(ctx context.Context, some ...*look) {
	type asked struct {
		values *redis.SliceCmd
		life   *redis.DurationCmd
		local  *local
		mark   uint64
	}
	p := c.redis.Pipeline()
	asks := make([]asked, len(some))
	for i, l := range some {
		a := &asks[i]
		a.local = c.records.of(l.entity)
		a.mark = a.local.mark()
		key := c.recordKey(l.entity, l.id)
		a.values = redis.NewSliceCmd(ctx, slices.Concat([]any{"hmget", key}, c.wordsOf(l.entity).read)...)
		_ = p.Process(ctx, a.values) // it only joins the pipeline
		a.life = p.PTTL(ctx, key)
	}
	_, err := p.Exec(ctx)
	for i, l := range some {
		a := &asks[i]
		texts := a.values.Val()
		switch failed := cmp.Or(a.values.Err(), a.life.Err()); {
		case failed != nil:
			l.err = rdb.Fault("get", failed)
		case texts == nil: // none of its own: the whole pipeline failed
			l.err = rdb.Fault("get", err)
		case texts[0] == nil:
			c.metrics.misses.WithLabelValues(l.entity.Name).Inc()
		default:
			c.metrics.hits.WithLabelValues(l.entity.Name).Inc()
			l.read = Read{Source: Hit, Record: record(l.id, texts, a.life.Val())}
			if !lacks(l.read.Record) {
				a.local.putRead(l.read, a.mark)
			}
		}
	}
}

// lookupMany reads what is cached of ids in one round trip; a miss has no Source, nor
// has a record that lacks a field.
func (c *Cache) lookupMany(ctx context.Context, e *schema.Entity, ids []string) ([]Read, error) {
	looks := make([]look, len(ids))
	some := make([]*look, len(ids))
	for i, id := range ids {
		looks[i] = look{entity: e, id: id}
		some[i] = &looks[i]
	}
	c.look(ctx, some...)
	reads := make([]Read, len(ids))
	for i, l := range some {
		if l.err != nil {
			return nil, l.err
		}
		if !lacks(l.read.Record) {
			reads[i] = l.read
		}
	}
	return reads, nil
}
