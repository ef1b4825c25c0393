package producer

import (
	"context"
	"fmt"

	"golang.org/x/sync/errgroup"

	"github.com/afterwrite/afterwrite/cache"
	"github.com/afterwrite/afterwrite/schema"
)

// concurrentPartitions bounds the trips of one DoAll that are under way at once.
const concurrentPartitions = 8

// Result is the outcome of one request of [Producer.DoAll].
type Result struct {
	Accepted
	Err error // as of Do; nil: accepted
}

// item is one prepared request of a batch.
type item struct {
	result *Result
	write  cache.Write
	asked  *Request
}

// share is what a batch has for one partition, in its order.
type share struct {
	entity    *schema.Entity
	partition int
	items     []item
}

// DoAll accepts many writes, each whole or not at all, and answers them in order. Requests
// for one record take effect in their order; those for different records may not. The
// number of requests is the caller's to bound.
func (p *Producer) DoAll(ctx context.Context, requests []Request) []Result {
	results := make([]Result, len(requests))
	var g errgroup.Group
	g.SetLimit(concurrentPartitions)
	for _, s := range p.shares(ctx, requests, results) {
		g.Go(func() error {
			p.sendShare(ctx, s)
			return nil
		})
	}
	_ = g.Wait() // each result has its own error
	return results
}

// shares prepares the requests and deals them out by partition.
func (p *Producer) shares(ctx context.Context, requests []Request, results []Result) []*share {
	type key struct {
		entity    *schema.Entity
		partition int
	}
	byKey := map[key]*share{}
	var shares []*share
	for i := range requests {
		r := &requests[i]
		e, w, err := p.prepare(ctx, *r)
		if err != nil {
			results[i].Err = r.explain(err)
			p.metrics.write(e, r.Op, err)
			continue
		}
		k := key{e, e.Partition(w.ID)}
		s := byKey[k]
		if s == nil {
			s = &share{entity: e, partition: k.partition}
			byKey[k] = s
			shares = append(shares, s)
		}
		results[i].Entity, results[i].ID = e, w.ID
		s.items = append(s.items, item{result: &results[i], write: w, asked: r})
	}
	return shares
}

func (p *Producer) sendShare(ctx context.Context, s *share) {
	if s.entity.Write != schema.WriteBehind {
		p.sendThrough(ctx, s)
		return
	}
	for from := 0; from < len(s.items); from += maxGather {
		p.sendItems(ctx, s, s.items[from:min(from+maxGather, len(s.items))])
	}
}

// sendThrough writes one by one: each is a transaction of its own, and the fence admits
// one at a time anyway.
func (p *Producer) sendThrough(ctx context.Context, s *share) {
	for _, it := range s.items {
		a, err := p.accept(ctx, s.entity, it.write)
		if it.result.Err = it.asked.explain(err); err == nil {
			it.result.Accepted = a
		}
		p.metrics.write(s.entity, it.asked.Op, it.result.Err)
	}
}

// sendItems sends writes of one partition, and again with their rows those whose record
// was not cached: the script has kept back every later write of such a record.
func (p *Producer) sendItems(ctx context.Context, s *share, items []item) {
	for range maxLoads {
		if len(items) == 0 {
			return
		}
		again, err := p.trySend(ctx, s, items)
		if err != nil {
			p.settleAll(s, again, err)
			return
		}
		items = again
	}
	p.settleAll(s, items, fmt.Errorf("%s: records were dropped from the cache while they were loaded: %w", s.entity.Name, schema.ErrBusy))
}

func (p *Producer) settleAll(s *share, items []item, err error) {
	for _, it := range items {
		p.settle(s, it, cache.Written{Err: err})
	}
}

// trySend makes one trip, settles what it answered and loads the rows of the rest, which
// it returns.
func (p *Producer) trySend(ctx context.Context, s *share, items []item) ([]item, error) {
	if err := ctx.Err(); err != nil {
		return items, err
	}
	g := &cache.Group{Entity: s.entity, Partition: s.partition, Writes: make([]cache.Write, len(items))}
	for i, it := range items {
		g.Writes[i] = it.write
	}
	trip, cancel := context.WithTimeout(context.WithoutCancel(ctx), p.timeout)
	defer cancel()
	p.cache.Write(trip, g)
	p.orders.give(g.Order)
	var again []item
	var ids []string
	for i, it := range items {
		written := g.Results[i]
		if written.Token == "" {
			p.settle(s, it, written)
			continue
		}
		it.write.Token = written.Token
		again = append(again, it)
		ids = append(ids, it.write.ID)
	}
	if len(again) == 0 {
		return nil, nil
	}
	rows, err := p.load(ctx, s.entity, ids)
	for i := range again {
		values, ok := rows[again[i].write.ID]
		again[i].write.Row = &schema.Row{ID: again[i].write.ID, Exists: ok, Values: values}
	}
	return again, err
}

func (p *Producer) settle(s *share, it item, w cache.Written) {
	it.result.Err = it.asked.explain(w.Err)
	if w.Err == nil {
		it.result.Accepted = accepted(s.entity, it.write.ID, w)
	}
	p.metrics.write(s.entity, it.asked.Op, it.result.Err)
}
