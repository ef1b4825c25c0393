package producer

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/afterwrite/afterwrite/cache"
	"github.com/afterwrite/afterwrite/schema"
)

// maxGather bounds the writes of one trip, and so the time that one script blocks Redis.
const maxGather = 512

// lane gathers writes: at most one trip to Redis is under way in it, and who comes
// meanwhile goes on the next. The partition decides the lane, so that writes of one
// partition go in one script call.
//
// The simpler designs failed: a trip per write pays a round trip and a script call each;
// a goroutine that collects adds two hand-overs to a lonely caller; a timer adds its time.
type lane struct {
	producer *Producer
	limit    int

	mu      sync.Mutex // guards what follows, so that a write joins exactly one trip
	away    bool       // a trip is under way, or its leader is about to start it
	waiting []*ticket

	// The leader's own, from when it leads until the next is chosen: what one trip has
	// allocated serves the next. A write would else leave more behind than a SET does, and
	// the collector takes its processor from the other callers.
	onTrip []*ticket
	groups []*cache.Group
	time   context.Context // of the trip
	end    context.CancelFunc
}

func newLane(p *Producer, limit int) *lane {
	return &lane{producer: p, limit: limit, time: context.Background(), end: func() {}}
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
	group     *cache.Group  // of its trip
	seat      int           // of the group's writes
	taken     bool          // on a trip; guarded by lane.mu
	leads     bool          // chosen to lead the next trip; guarded by lane.mu
	wake      chan struct{} // sent to once: when chosen to lead, or else when written is set
}

// tickets are those that nobody waits for or looks at.
var tickets = sync.Pool{New: func() any { return &ticket{wake: make(chan struct{}, 1)} }}

// done gives a ticket back whose wake has been received, or will not be sent to.
func (t *ticket) done() {
	*t = ticket{wake: t.wake}
	tickets.Put(t)
}

// do sends one write on the next trip. Where the context ends before it is on one,
// nothing was written; later the outcome is unknown to the caller.
func (l *lane) do(ctx context.Context, e *schema.Entity, partition int, w cache.Write) (cache.Written, error) {
	t := tickets.Get().(*ticket)
	t.entity, t.partition, t.write = e, partition, w
	l.mu.Lock()
	if len(l.waiting) >= l.limit {
		l.mu.Unlock()
		t.done()
		return cache.Written{}, fmt.Errorf("%d writes wait for redis: %w", l.limit, schema.ErrBusy)
	}
	l.waiting = append(l.waiting, t)
	lead := !l.away
	t.leads, l.away = lead, true
	l.mu.Unlock()
	if !lead {
		select {
		case <-t.wake:
		case <-ctx.Done():
			if left, err := l.leave(t, ctx.Err()); left {
				return cache.Written{}, err
			}
			<-t.wake // chosen to lead just now: somebody has to
		}
	}
	if t.leads {
		l.trip(ctx)
	}
	written := t.written
	t.done()
	return written, nil
}

// leave takes back a ticket whose caller's time is over. It cannot be taken back once it
// leads.
func (l *lane) leave(t *ticket, err error) (bool, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if t.taken {
		return true, fmt.Errorf("%w: %w", schema.ErrOutcomeUnknown, err)
	}
	if t.leads {
		return false, nil
	}
	l.waiting = slices.DeleteFunc(l.waiting, func(other *ticket) bool { return other == t })
	return true, err
}

// trip takes who waits to Redis and back, then chooses the next leader.
func (l *lane) trip(ctx context.Context) {
	l.mu.Lock()
	n := min(len(l.waiting), maxGather)
	l.onTrip = append(l.onTrip[:0], l.waiting[:n]...)
	l.waiting = slices.Delete(l.waiting, 0, n)
	for _, t := range l.onTrip {
		t.taken = true
	}
	l.mu.Unlock()

	l.send(ctx)

	for _, t := range l.onTrip {
		if !t.leads {
			t.wake <- struct{}{}
		}
	}
	clear(l.onTrip)
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.waiting) == 0 {
		l.away = false
		return
	}
	next := l.waiting[0]
	next.leads = true
	next.wake <- struct{}{}
}

// send makes one trip. The writes belong to many callers, so none of their contexts ends
// it: it has its own time.
func (l *lane) send(ctx context.Context) {
	p := l.producer
	groups := l.seat()
	p.metrics.gathered.Observe(float64(len(l.onTrip)))
	p.cache.Write(l.within(ctx), groups...)
	for _, t := range l.onTrip {
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
func (l *lane) seat() []*cache.Group {
	used := 0
	for _, t := range l.onTrip {
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
