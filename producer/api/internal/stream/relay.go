package stream

import (
	"context"
	"slices"
	"sync"

	"github.com/afterwrite/afterwrite/schema"
)

// relayBytes bounds the messages that an entity's relay keeps for all of its streams together, so that a caller that
// does not read costs only its connection.
const relayBytes = 1 << 20

// relay passes the events of one entity to its streams. It listens once and encodes each message once, whatever the
// number of streams. A stream that falls behind the messages that the relay keeps reads them from Redis.
type relay struct {
	of     *Streams
	entity *schema.Entity
	cancel context.CancelFunc
	ready  chan struct{} // closed when it listens or has failed: err says why
	ended  chan struct{}
	err    error

	mu      sync.Mutex // guards the rest
	streams map[*Stream]struct{}
	kept    []piece // the last one is at the position next-1
	bytes   int     // of kept
	next    int64   // position of the next message; each loss takes a position, too
}

// join adds a stream to the entity's relay: the relay then keeps all later messages. A stream that joined without an
// error must leave.
func (a *Streams) join(ctx context.Context, e *schema.Entity, s *Stream) (*relay, error) {
	a.mu.Lock()
	r := a.relays[e]
	if r == nil {
		r = a.relay(e)
		a.relays[e] = r
	}
	r.mu.Lock()
	r.streams[s] = struct{}{}
	r.mu.Unlock()
	a.mu.Unlock()
	var err error
	select {
	case <-r.ready:
		err = r.err
	case <-ctx.Done():
		err = ctx.Err()
	}
	if err != nil {
		r.leave(s)
		return nil, err
	}
	return r, nil
}

// relay starts the relay of an entity; it ends when its last stream leaves.
func (a *Streams) relay(e *schema.Entity) *relay {
	ctx, cancel := context.WithCancel(context.Background())
	r := &relay{of: a, entity: e, cancel: cancel, ready: make(chan struct{}), ended: make(chan struct{}),
		streams: map[*Stream]struct{}{}}
	go r.run(ctx)
	return r
}

func (r *relay) leave(s *Stream) {
	all := r.of
	all.mu.Lock()
	r.mu.Lock()
	delete(r.streams, s)
	last := len(r.streams) == 0
	r.mu.Unlock()
	if last {
		delete(all.relays, r.entity)
	}
	all.mu.Unlock()
	if last {
		r.cancel()
		<-r.ended
	}
}

func (r *relay) run(ctx context.Context) {
	defer close(r.ended)
	bounded, cancel := r.of.bound(ctx)
	sub, err := r.of.Source.Subscribe(bounded, r.entity)
	cancel()
	r.err = err
	close(r.ready)
	if err != nil {
		return
	}
	defer sub.Close()
	for {
		select {
		case <-ctx.Done():
			return
		case <-sub.Lost():
			r.lose()
		case events := <-sub.C():
			// A loss is reported before the messages that follow it: streams must look for lost messages before they
			// send the later ones, whose numbers are higher.
			select {
			case <-sub.Lost():
				r.lose()
			default:
			}
			if slices.Contains(streamed, events[0].Type) {
				r.add(r.of.piece(ctx, r.entity, events))
			}
		}
	}
}

func (r *relay) add(p piece) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.kept = append(r.kept, p)
	r.bytes += len(p.text)
	r.next++
	for r.bytes > relayBytes && len(r.kept) > 1 {
		r.bytes -= len(r.kept[0].text)
		r.kept[0] = piece{}
		r.kept = r.kept[1:]
	}
	r.wake()
}

// lose makes every stream fall behind.
func (r *relay) lose() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.kept, r.bytes = nil, 0
	r.next++
	r.wake()
}

// wake wakes every stream; the caller holds r.mu.
func (r *relay) wake() {
	for s := range r.streams {
		s.rouse()
	}
}

// end returns the position after the last message.
func (r *relay) end() int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.next
}

// take returns the message at a position. If ok is false, the message has not arrived, or, if behind, the relay has
// dropped it.
func (r *relay) take(at int64) (p piece, ok, behind bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	i := at - (r.next - int64(len(r.kept)))
	if i < 0 {
		return piece{}, false, true
	}
	if i >= int64(len(r.kept)) {
		return piece{}, false, false
	}
	return r.kept[i], true, false
}
