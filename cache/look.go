package cache

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/afterwrite/afterwrite/cache/internal/shared"
	"github.com/afterwrite/afterwrite/internal/gather"
	"github.com/afterwrite/afterwrite/internal/layout"
	"github.com/afterwrite/afterwrite/internal/rdb"
	"github.com/afterwrite/afterwrite/schema"
)

var lookScript = layout.Load(sources, "look")

// look is one read of a record. The looks of concurrent callers share round trips, like the producer's writes.
type look struct {
	entity *schema.Entity
	id     string
	token  string // token under which the caller loads and fills a record that is not cached

	read   Read   // without Source: not cached
	answer string // the script's answer, if it was called: "granted", "refused" or "barred"
	waited bool   // for the load that has the lease, since the answer
	err    error
}

// There are two ways to look. Plain commands cost Redis 2.5 µs for a cached record, and another round trip for the
// lease if the record is not cached. The script takes the lease in the same round trip and costs 6.4 µs. So an entity
// whose recent looks mostly found records uses commands, another one the script.
func (c *Cache) newLooks(do func(context.Context, ...*look)) *looks {
	run := func(ctx context.Context, some []*look) { do(ctx, some...) }
	return &looks{gather.New(shared.Trips, run), gather.NewKeyed[string](shared.Trips, run)}
}

// looks combines looks. On a cluster those of each node are combined apart: one node may hang.
type looks struct {
	one   *gather.Combiner[*look]
	nodes *gather.Keyed[string, *look]
}

func (l *looks) do(ctx context.Context, node string, one *look) error {
	if node == "" {
		return l.one.Do(ctx, one)
	}
	return l.nodes.Do(ctx, node, one)
}

// Node names the node of a cluster that has a partition; "" where there is one node.
func (c *Cache) Node(ctx context.Context, e *schema.Entity, partition int) string {
	if !c.redis.Clustered() {
		return ""
	}
	return c.redis.NodeOf(ctx, c.prefix.Keys(e, partition).Stats)
}

// lookup reads a cached record, and may take the lease if it is not cached. It returns a look with its outcome: l
// itself may still be in a round trip.
func (c *Cache) lookup(ctx context.Context, l *look) *look {
	looks := c.looks
	if c.wordsOf(l.entity).missed.Many() {
		l.token = cmp.Or(l.token, newToken())
		looks = c.asks
	}
	err := looks.do(ctx, c.Node(ctx, l.entity, l.entity.Partition(l.id)), l)
	switch {
	case errors.Is(err, gather.ErrFull): // it waits for a connection instead
		c.look(ctx, l)
	case err != nil:
		l = &look{entity: l.entity, id: l.id, token: l.token, err: rdb.Fault("get", err)}
	}
	if l.err != nil && ctx.Err() != nil && looks == c.asks {
		c.giveBackLater(ctx, l)
	}
	if l.err == nil && lacks(l.read.Record) {
		l.read, l.err = c.complete(ctx, l.entity, l.read)
	}
	return l
}

// lookOne reads a cached record, and takes no lease.
func (c *Cache) lookOne(ctx context.Context, e *schema.Entity, id string) (Read, error) {
	l := &look{entity: e, id: id}
	c.look(ctx, l)
	return l.read, l.err
}

// ask reads records in one round trip, and takes the leases of those that are not cached. Each has its own error: on a
// cluster a single node may not respond.
func (c *Cache) ask(ctx context.Context, some ...*look) {
	calls, marks := make([]*rdb.Call, len(some)), make([]uint64, len(some))
	for i, l := range some {
		marks[i] = c.records.of(l.entity).Mark()
		words := c.wordsOf(l.entity)
		args := make([]any, rdb.HeadWords, rdb.HeadWords+2+len(words.look))
		args[rdb.HeadWords-1] = 1
		args = append(args, c.recordKey(l.entity, l.id), l.token)
		calls[i] = &rdb.Call{Script: lookScript, Words: append(args, words.look...)}
	}
	c.redis.Send(ctx, calls...)
	for i, l := range some {
		reply, err := calls[i].Slice()
		if err != nil {
			l.err = rdb.Fault("get", err)
			continue
		}
		if l.answer = layout.Text(reply[0]); l.answer != "record" {
			c.found(l, nil, 0, marks[i])
			continue
		}
		life, _ := reply[1].(int64)
		texts := reply[2:]
		for len(texts) < len(c.wordsOf(l.entity).read) {
			texts = append(texts, nil) // a Lua table ends at its last value
		}
		c.found(l, texts, time.Duration(life)*time.Millisecond, marks[i])
	}
}

// found sets the outcome of a look: texts of readFields, or none.
func (c *Cache) found(l *look, texts []any, life time.Duration, mark uint64) {
	c.wordsOf(l.entity).missed.Add(texts == nil)
	if texts == nil {
		c.metrics.misses.WithLabelValues(l.entity.Name).Inc()
		return
	}
	c.metrics.hits.WithLabelValues(l.entity.Name).Inc()
	l.read = Read{Source: Hit, Record: record(l.entity, l.id, texts, life)}
	if !lacks(l.read.Record) {
		putRead(c.records.of(l.entity), l.read, mark)
	}
}

// look reads records in one round trip, and takes no lease.
func (c *Cache) look(ctx context.Context, some ...*look) {
	type asked struct {
		values *redis.SliceCmd
		life   *redis.DurationCmd
		mark   uint64
	}
	p := c.redis.Pipeline()
	asks := make([]asked, len(some))
	for i, l := range some {
		a := &asks[i]
		a.mark = c.records.of(l.entity).Mark()
		key := c.recordKey(l.entity, l.id)
		a.values = redis.NewSliceCmd(ctx, slices.Concat([]any{"hmget", key}, c.wordsOf(l.entity).read)...)
		_ = p.Process(ctx, a.values) // only adds it to the pipeline
		a.life = p.PTTL(ctx, key)
	}
	_, err := p.Exec(ctx)
	for i, l := range some {
		a := &asks[i]
		texts := a.values.Val()
		switch failed := cmp.Or(a.values.Err(), a.life.Err()); {
		case failed != nil:
			l.err = rdb.Fault("get", failed)
		case texts == nil: // no error of its own: the whole pipeline failed
			l.err = rdb.Fault("get", err)
		case texts[0] == nil:
			c.found(l, nil, 0, a.mark)
		default:
			c.found(l, texts, a.life.Val(), a.mark)
		}
	}
}
