package producer

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/afterwrite/afterwrite/cache"
	"github.com/afterwrite/afterwrite/internal/gather"
	"github.com/afterwrite/afterwrite/schema"
)

// maxGather bounds the writes of one round trip, and so the time for which one script blocks Redis.
const maxGather = 512

// ticket is one write in progress.
type ticket struct {
	entity    *schema.Entity
	partition int
	write     cache.Write
	written   cache.Written
	group     *cache.Group // of its round trip
	seat      int          // index among the group's writes
}

// tickets pools tickets that no caller and no round trip uses.
var tickets = sync.Pool{New: func() any { return new(ticket) }}

// lane gathers writes: it makes at most one round trip to Redis at a time, and writes that arrive meanwhile join the
// next. The partition decides the lane, so that concurrent writes of one partition share one script call.
//
// The simpler designs failed: with a round trip per write, each write pays for a round trip and a script call; a
// collector with a timer adds its time to every write.
type lane struct {
	producer *Producer
	limit    int
	trips    *gather.Combiner[*ticket]

	// Used by the current round trip. The next one reuses the memory: otherwise a write allocates more than a SET does,
	// and the garbage collector takes processor time from the other callers.
	groups []*cache.Group
	time   context.Context // of the round trip
	end    context.CancelFunc
}

func newLane(p *Producer, limit int) *lane {
	l := &lane{producer: p, limit: limit, time: context.Background(), end: func() {}}
	l.trips = gather.New(gather.Limits{Batches: 1, Calls: maxGather, Waiting: limit}, l.send)
	return l
}

// lanes are the lanes to one node.
type lanes []*lane

func newLanes(p *Producer, n, limit int) lanes {
	all := make(lanes, n)
	for i := range all {
		all[i] = newLane(p, limit)
	}
	return all
}

// lanesOf returns the lanes of a write. On a cluster each node has its own: writes to others do not wait for one that
// hangs.
func (p *Producer) lanesOf(ctx context.Context, t *ticket) lanes {
	node := p.cache.Node(ctx, t.entity, t.partition)
	if node == "" {
		return p.lanes
	}
	of, ok := p.nodes.Load(node)
	if !ok {
		of, _ = p.nodes.LoadOrStore(node, newLanes(p, len(p.lanes), p.lanes[0].limit))
	}
	return of.(lanes)
}

// do sends one write with the next round trip. If the context ends before the round trip begins, nothing was written.
// After ErrOutcomeUnknown the round trip still uses the ticket.
func (l *lane) do(ctx context.Context, t *ticket) error {
	err := l.trips.Do(ctx, t)
	switch {
	case errors.Is(err, gather.ErrFull):
		return fmt.Errorf("%d writes wait for redis: %w", l.limit, schema.ErrBusy)
	case errors.Is(err, gather.ErrSent):
		return fmt.Errorf("%w: %w", schema.ErrOutcomeUnknown, err)
	}
	return err
}

// kept bounds the groups of a round trip, and the writes of a group, whose memory is reused.
const kept = 64

// send makes one round trip. The writes belong to many callers, so no caller's context ends it: it has its own timeout.
func (l *lane) send(ctx context.Context, some []*ticket) {
	l.producer.metrics.gathered.Observe(float64(len(some)))
	var used int
	l.groups, used = seat(l.groups, some)
	l.producer.trip(l.within(ctx), l.groups[:used], some)
	for _, g := range l.groups[:used] {
		if clear(g.Writes); cap(g.Writes) <= kept {
			*g = cache.Group{Writes: g.Writes[:0], Results: g.Results[:0]}
		} else {
			*g = cache.Group{}
		}
	}
	if len(l.groups) > kept {
		l.groups = slices.Clone(l.groups[:kept])
	}
}

// trip sends writes that already have their group and index.
func (p *Producer) trip(ctx context.Context, groups []*cache.Group, some []*ticket) {
	for _, g := range groups {
		g.Unscheduled = p.orders.queue == nil
	}
	p.cache.Write(ctx, groups...)
	for _, t := range some {
		t.written = t.group.Results[t.seat]
	}
	for _, g := range groups {
		p.orders.give(g.Order)
	}
}

// seat groups writes by partition, in the order of their arrival. It reuses the given groups, which are empty, and
// appends to them.
func seat(groups []*cache.Group, some []*ticket) (_ []*cache.Group, used int) {
	for _, t := range some {
		i := slices.IndexFunc(groups[:used], func(g *cache.Group) bool {
			return g.Partition == t.partition && g.Entity == t.entity
		})
		if i < 0 {
			i = used
			used++
			if i == len(groups) {
				groups = append(groups, &cache.Group{})
			}
			groups[i].Entity, groups[i].Partition = t.entity, t.partition
		}
		g := groups[i]
		t.group, t.seat = g, len(g.Writes)
		g.Writes = append(g.Writes, t.write)
	}
	return groups, used
}

// within returns a context that does not end with the caller's, but with the round trip's timeout or up to a tenth
// earlier: round trips share a timer, which would otherwise be more than a third of what a lone write allocates.
func (l *lane) within(ctx context.Context) context.Context {
	if deadline, ok := l.time.Deadline(); !ok || time.Until(deadline) < l.producer.timeout*9/10 {
		l.end()
		l.time, l.end = context.WithTimeout(context.Background(), l.producer.timeout)
	}
	return tripContext{l.time, ctx}
}

// tripContext ends with the first context and has the values of both.
type tripContext struct {
	context.Context
	leader context.Context
}

func (t tripContext) Value(key any) any {
	if v := t.Context.Value(key); v != nil {
		return v
	}
	return t.leader.Value(key)
}
