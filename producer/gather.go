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

// maxGather bounds the writes of one trip, and so the time that one script blocks Redis.
const maxGather = 512

// ticket is one write on its way.
type ticket struct {
	entity    *schema.Entity
	partition int
	write     cache.Write
	written   cache.Written
	group     *cache.Group // of its trip
	seat      int          // of the group's writes
}

// tickets are those that no caller and no trip has.
var tickets = sync.Pool{New: func() any { return new(ticket) }}

// lane gathers writes: at most one trip to Redis is under way in it, and the writes that
// come meanwhile go on the next. The partition decides the lane, so that writes of one
// partition go in one script call.
//
// The simpler designs failed: a trip per write pays a round trip and a script call each; a
// collector that waits for a timer adds its time.
type lane struct {
	producer *Producer
	limit    int
	trips    *gather.Combiner[*ticket]

	// Used by the trip under way. What one trip has allocated serves the next: otherwise a
	// write leaves more behind than a SET does, and the collector takes its processor from
	// the other callers.
	groups []*cache.Group
	time   context.Context // of the trip
	end    context.CancelFunc
}

func newLane(p *Producer, limit int) *lane {
	l := &lane{producer: p, limit: limit, time: context.Background(), end: func() {}}
	l.trips = gather.New(gather.Limits{Batches: 1, Calls: maxGather, Waiting: limit}, l.send)
	return l
}

// do sends one write on the next trip. Where the context ends before it is on one,
// nothing was written. ErrOutcomeUnknown: the trip still has the ticket.
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

// kept bounds the groups of a trip, and the writes of a group, whose memory serves the
// next trip.
const kept = 64

// send makes one trip. The writes belong to many callers, so none of their contexts ends
// it: it has its own time.
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

// trip takes writes that have their seats to Redis and back.
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

// seat groups writes by partition, in the order in which they came. It uses the first of
// the given groups, which are empty, and appends to them.
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

// within returns a context that does not end with the caller's, but at the end of the
// trip's time or up to a tenth earlier: trips share its timer, which would be more than a
// third of what a lone write allocates.
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
