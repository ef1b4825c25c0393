package cache

import (
	"cmp"
	"context"
	"slices"
	"sync"

	"github.com/redis/go-redis/v9"

	"github.com/afterwrite/afterwrite/schema"
)

// Bounds of the looks that share round trips.
const (
	lookTrips  = 2   // under way at once
	lookGather = 256 // records of one trip
	lookWaits  = 10_000
)

// looks gathers the reads of concurrent callers, as the producer gathers writes: a caller
// who finds a free trip takes it alone, without a timer or a hand-over, and who comes
// while all are under way goes on the next. A look never joins a trip that has begun:
// what that reads may be older than a write that the caller has seen the answer to.
type looks struct {
	cache *Cache

	mu      sync.Mutex // guards the rest
	away    int        // trips under way
	waiting []*look
}

// look is one read of a record.
type look struct {
	entity *schema.Entity
	id     string

	read Read // no Source: not cached
	err  error
	done chan struct{} // closed when the rest is set, by another's trip
}

// lookup reads what is cached of a record.
func (c *Cache) lookup(ctx context.Context, e *schema.Entity, id string) (Read, bool, error) {
	read, err := c.looks.do(ctx, &look{entity: e, id: id})
	if err == nil && lacks(read.Record) {
		read, err = c.complete(ctx, e, read)
	}
	return read, read.Source == Hit, err
}

func (s *looks) do(ctx context.Context, l *look) (Read, error) {
	s.mu.Lock()
	switch {
	case s.away < lookTrips:
		s.away++
		s.mu.Unlock()
		s.cache.look(ctx, l)
		if some := s.next(); some != nil {
			go s.run(ctx, some)
		}
	case len(s.waiting) == lookWaits: // it waits for a connection instead
		s.mu.Unlock()
		s.cache.look(ctx, l)
	default:
		l.done = make(chan struct{})
		s.waiting = append(s.waiting, l)
		s.mu.Unlock()
		select {
		case <-l.done:
		case <-ctx.Done(): // the look stays on its trip, and is not touched here any more
			return Read{}, fault("get", ctx.Err())
		}
	}
	return l.read, l.err
}

// run makes one trip after another while somebody waits. The looks belong to many
// callers, so none of their contexts ends it; the client's own timeouts do.
func (s *looks) run(ctx context.Context, some []*look) {
	ctx = context.WithoutCancel(ctx)
	for ; some != nil; some = s.next() {
		s.cache.look(ctx, some...)
		for _, l := range some {
			close(l.done)
		}
	}
}

// next takes those who wait on the trip that has just ended, or gives it back.
func (s *looks) next() []*look {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := min(len(s.waiting), lookGather)
	if n == 0 {
		s.away--
		return nil
	}
	some := slices.Clone(s.waiting[:n])
	s.waiting = slices.Delete(s.waiting, 0, n)
	return some
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
			l.err = fault("get", failed)
		case texts == nil: // none of its own: the whole pipeline failed
			l.err = fault("get", err)
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
