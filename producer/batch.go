package producer

import (
	"context"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/afterwrite/afterwrite/cache"
	"github.com/afterwrite/afterwrite/internal/span"
	"github.com/afterwrite/afterwrite/schema"
)

// concurrentPartitions bounds how many round trips one DoAll makes at once.
const concurrentPartitions = 8

// Result is the outcome of one request of [Producer.DoAll].
type Result struct {
	Accepted
	Err error // as from Do; nil: accepted
}

// item is one prepared request of a batch.
type item struct {
	ticket
	result *Result
	asked  *Request
}

// share is a batch's requests for one partition, in order.
type share struct {
	entity    *schema.Entity
	partition int
	items     []*item
}

// DoAll accepts many writes, each wholly or not at all, and returns their results in order. Requests for one record
// take effect in their order; requests for different records may not. The caller bounds the number of requests.
func (p *Producer) DoAll(ctx context.Context, requests []Request) []Result {
	if span.Sampled(ctx) {
		return p.tracedAll(ctx, requests)
	}
	return p.doAll(ctx, requests)
}

func (p *Producer) doAll(ctx context.Context, requests []Request) []Result {
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
	for i := range requests {
		if p.taken(&requests[i], results[i].Err) {
			results[i].Accepted, results[i].Err = p.Do(ctx, requests[i])
		}
	}
	return results
}

// shares prepares the requests and groups them by partition.
func (p *Producer) shares(ctx context.Context, requests []Request, results []Result) []*share {
	type key struct {
		entity    *schema.Entity
		partition int
	}
	byKey := map[key]*share{}
	var shares []*share
	items := make([]item, len(requests))
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
		items[i] = item{ticket{entity: e, partition: k.partition, write: w}, &results[i], r}
		s.items = append(s.items, &items[i])
	}
	return shares
}

func (p *Producer) sendShare(ctx context.Context, s *share) {
	if s.entity.Write != schema.WriteBehind || p.hooks[s.entity.Name] != nil {
		p.sendEach(ctx, s)
		return
	}
	for from := 0; from < len(s.items); from += maxGather {
		p.sendItems(ctx, s, s.items[from:min(from+maxGather, len(s.items))])
	}
}

// sendEach sends writes one by one: either each is a transaction of its own, which the fence would serialise anyway, or
// it has a hook that must see the effect of the write before.
func (p *Producer) sendEach(ctx context.Context, s *share) {
	for _, it := range s.items {
		a, err := p.accept(ctx, s.entity, it.write, it.asked.Seen)
		if it.result.Err = it.asked.explain(err); err == nil {
			it.result.Accepted = a
		}
		p.metrics.write(s.entity, it.asked.Op, it.result.Err)
	}
}

func (p *Producer) sendItems(ctx context.Context, s *share, items []*item) {
	some := make([]*ticket, len(items))
	for i, it := range items {
		some[i] = &it.ticket
	}
	rest, err := p.submit(ctx, some)
	for _, it := range items {
		if slices.Contains(rest, &it.ticket) {
			p.settle(s, it, cache.Written{Err: err})
		} else {
			p.settle(s, it, it.written)
		}
	}
}

func (p *Producer) settle(s *share, it *item, w cache.Written) {
	it.result.Err = it.asked.explain(w.Err)
	if w.Err == nil {
		it.result.Accepted = accepted(s.entity, it.write.ID, w)
	}
	p.metrics.write(s.entity, it.asked.Op, it.result.Err)
}
