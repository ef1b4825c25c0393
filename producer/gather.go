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

// kept bounds the groups of a trip, and the writes of a group, whose memory serves the
// next trip.
const kept = 64

// ticket is one caller's place on a trip.
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

// do sends one write on the next trip. Where the context ends before it is on one,
// nothing was written; later the outcome is unknown to the caller.
func (l *lane) do(ctx context.Context, e *schema.Entity, partition int, w cache.Write) (cache.Written, error) {
	t := tickets.Get().(*ticket)
	t.entity, t.partition, t.write = e, partition, w
	err := l.trips.Do(ctx, t)
	if errors.Is(err, gather.ErrSent) { // the trip has the ticket
		return cache.Written{}, fmt.Errorf("%w: %w", schema.ErrOutcomeUnknown, err)
	}
	written := t.written
	*t = ticket{}
	tickets.Put(t)
	if errors.Is(err, gather.ErrFull) {
		err = fmt.Errorf("%d writes wait for redis: %w", l.limit, schema.ErrBusy)
	}
	return written, err
}

// send makes one trip. The writes belong to many callers, so none of their contexts ends
// it: it has its own time.
func (l *lane) send(ctx context.Context, trip []*ticket) {
	p := l.producer
	groups := l.seat(trip)
	p.metrics.gathered.Observe(float64(len(trip)))
	p.cache.Write(l.within(ctx), groups...)
	for _, t := range trip {
		t.written = t.group.Results[t.seat]
	}
	for _, g := range groups {
		p.orders.give(g.Order)
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

// seat groups the tickets of a trip by partition, in the order in which they came.
func (l *lane) seat(trip []*ticket) []*cache.Group {
	used := 0
	for _, t := range trip {
		i := slices.IndexFunc(l.groups[:used], func(g *cache.Group) bool {
			return g.Partition == t.partition && g.Entity == t.entity
		})
		if i < 0 {
			i = used
			used++
			if i == len(l.groups) {
				l.groups = append(l.groups, &cache.Group{})
			}
			l.groups[i].Entity, l.groups[i].Partition = t.entity, t.partition
		}
		g := l.groups[i]
		t.group, t.seat = g, len(g.Writes)
		g.Writes = append(g.Writes, t.write)
	}
	return l.groups[:used]
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
