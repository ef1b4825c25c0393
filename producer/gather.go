package producer

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/afterwrite/afterwrite"
	"github.com/afterwrite/afterwrite/cache"
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

	mu      sync.Mutex // guards the rest, so that a write joins exactly one trip
	away    bool       // a trip is under way, or its leader is about to start it
	waiting []*ticket
}

// ticket is one caller's place on a trip.
type ticket struct {
	entity    *afterwrite.Entity
	partition int
	write     cache.Write
	written   cache.Written
	group     *cache.Group  // of its trip
	seat      int           // of the group's writes
	taken     bool          // on a trip; guarded by lane.mu
	leads     bool          // chosen to lead the next trip; guarded by lane.mu
	wake      chan struct{} // closed when written is set, or sent to when chosen to lead
}

// do sends one write on the next trip. Where the context ends before it is on one,
// nothing was written; later the outcome is unknown to the caller.
func (l *lane) do(ctx context.Context, e *afterwrite.Entity, partition int, w cache.Write) (cache.Written, error) {
	t := &ticket{entity: e, partition: partition, write: w, wake: make(chan struct{}, 1)}
	l.mu.Lock()
	if len(l.waiting) >= l.limit {
		l.mu.Unlock()
		return cache.Written{}, fmt.Errorf("%d writes wait for redis: %w", l.limit, afterwrite.ErrBusy)
	}
	l.waiting = append(l.waiting, t)
	lead := !l.away
	l.away = true
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
		l.mu.Lock()
		lead = !t.taken
		l.mu.Unlock()
	}
	if lead {
		l.trip(ctx)
	}
	return t.written, nil
}

// leave takes back a ticket whose caller's time is over. It cannot be taken back once it
// leads.
func (l *lane) leave(t *ticket, err error) (bool, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if t.taken {
		return true, fmt.Errorf("%w: %w", afterwrite.ErrOutcomeUnknown, err)
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
	tickets := slices.Clone(l.waiting[:n])
	l.waiting = slices.Delete(l.waiting, 0, n)
	for _, t := range tickets {
		t.taken = true
	}
	l.mu.Unlock()

	l.producer.send(ctx, tickets)

	l.mu.Lock()
	if len(l.waiting) == 0 {
		l.away = false
	} else {
		next := l.waiting[0]
		next.leads = true
		next.wake <- struct{}{}
	}
	l.mu.Unlock()
	for _, t := range tickets {
		close(t.wake)
	}
}

// send makes one trip. The writes belong to many callers, so none of their contexts ends
// it: it has its own time.
func (p *Producer) send(ctx context.Context, tickets []*ticket) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), p.timeout)
	defer cancel()
	groups := group(tickets)
	p.metrics.gathered.Observe(float64(len(tickets)))
	p.cache.Write(ctx, groups...)
	for _, t := range tickets {
		t.written = t.group.Results[t.seat]
	}
	for _, g := range groups {
		p.orders.give(g.Order)
	}
}

// group seats the tickets by partition, in the order in which they came.
func group(tickets []*ticket) []*cache.Group {
	var groups []*cache.Group
	for _, t := range tickets {
		i := slices.IndexFunc(groups, func(g *cache.Group) bool {
			return g.Partition == t.partition && g.Entity == t.entity
		})
		if i < 0 {
			i = len(groups)
			groups = append(groups, &cache.Group{Entity: t.entity, Partition: t.partition})
		}
		g := groups[i]
		t.group, t.seat = g, len(g.Writes)
		g.Writes = append(g.Writes, t.write)
	}
	return groups
}
