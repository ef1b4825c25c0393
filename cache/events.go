package cache

import (
	"context"
	"encoding/json"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/afterwrite/afterwrite"
)

// Event tells that something happened to a record. Events are hints: Pub/Sub delivers
// each at most once, and only while somebody listens. Who must know reads the state.
type Event struct {
	Type    string // "written", "persisted", "held", "dead", "invalidated"
	Entity  string
	At      time.Time // by Redis's clock
	ID      string
	Version afterwrite.Version
}

const (
	// listenFor is how long the scripts believe that somebody listens, and listenEvery
	// how often a listener says so again.
	listenFor   = 15 * time.Second
	listenEvery = 5 * time.Second
	// keptEvents bounds the entries of a partition's stream; an entry has the records of
	// one batch.
	keptEvents = 256
	// subscriptionBuffer bounds the events that wait for one subscriber.
	subscriptionBuffer = 1024
)

// Subscription delivers the events of one entity until it is closed.
type Subscription struct {
	hub    *hub
	entity string
	events chan Event
	lost   chan struct{}
}

// C delivers events. It is never closed.
func (s *Subscription) C() <-chan Event { return s.events }

// Lost tells that events were missed: the connection broke, or the subscriber was too
// slow. Whatever was concluded from events must be read anew.
func (s *Subscription) Lost() <-chan struct{} { return s.lost }

// Close ends the delivery.
func (s *Subscription) Close() { s.hub.remove(s) }

// Subscribe starts the delivery of an entity's events. What happens after it returned is
// delivered, or Lost says so.
func (c *Cache) Subscribe(ctx context.Context, e *afterwrite.Entity) (*Subscription, error) {
	return c.hub.subscribe(ctx, e)
}

// hub holds one Pub/Sub connection an entity and hands its events to the subscribers of
// this process.
type hub struct {
	cache *Cache

	mu     sync.Mutex // guards feeds and closed
	feeds  map[string]*feed
	closed bool
	wg     sync.WaitGroup
}

// feed is the connection of one entity. It ends with its last subscriber.
type feed struct {
	subscribers map[*Subscription]struct{} // guarded by hub.mu
	ready       chan struct{}              // closed once events are delivered
	cancel      context.CancelFunc
}

func newHub(c *Cache) *hub { return &hub{cache: c, feeds: map[string]*feed{}} }

func (h *hub) subscribe(ctx context.Context, e *afterwrite.Entity) (*Subscription, error) {
	s := &Subscription{hub: h, entity: e.Name, events: make(chan Event, subscriptionBuffer), lost: make(chan struct{}, 1)}
	h.mu.Lock()
	if h.closed {
		h.mu.Unlock()
		return nil, fault("subscribe", redis.ErrClosed)
	}
	f := h.feeds[e.Name]
	if f == nil {
		f = h.start(e)
	}
	f.subscribers[s] = struct{}{}
	h.mu.Unlock()
	select {
	case <-f.ready:
		return s, nil
	case <-ctx.Done():
		s.Close()
		return nil, ctx.Err()
	}
}

// start begins the feed of an entity; the caller holds h.mu.
func (h *hub) start(e *afterwrite.Entity) *feed {
	ctx, cancel := context.WithCancel(context.Background())
	f := &feed{subscribers: map[*Subscription]struct{}{}, ready: make(chan struct{}), cancel: cancel}
	h.feeds[e.Name] = f
	h.wg.Go(func() { h.cache.renewListening(ctx, e) })
	h.wg.Go(func() { h.receive(ctx, e, f) })
	return f
}

func (h *hub) remove(s *Subscription) {
	h.mu.Lock()
	defer h.mu.Unlock()
	f := h.feeds[s.entity]
	if f == nil {
		return
	}
	delete(f.subscribers, s)
	if len(f.subscribers) == 0 {
		f.cancel()
		delete(h.feeds, s.entity)
	}
}

func (h *hub) close() {
	h.mu.Lock()
	h.closed = true
	for _, f := range h.feeds {
		f.cancel()
	}
	h.mu.Unlock()
	h.wg.Wait()
}

// receive reads the entity's channel until the feed ends. go-redis connects again by
// itself; every new confirmation of the subscription after the first means a gap.
func (h *hub) receive(ctx context.Context, e *afterwrite.Entity, f *feed) {
	sub := h.cache.redis.Subscribe(ctx, h.cache.channel(e.Name))
	stop := context.AfterFunc(ctx, func() { _ = sub.Close() }) // unblocks Receive
	defer stop()
	for ready := false; ctx.Err() == nil; {
		message, err := sub.Receive(ctx)
		if err != nil {
			h.lose(f)
			_ = sleep(ctx, 100*time.Millisecond)
			continue
		}
		switch m := message.(type) {
		case *redis.Subscription:
			if !ready && h.cache.listen(ctx, e) == nil {
				ready = true
				close(f.ready)
			}
			h.lose(f)
		case *redis.Message:
			h.deliver(f, e.Name, m.Payload)
		}
	}
}

func (h *hub) deliver(f *feed, entity, payload string) {
	events := parseEvents(entity, payload)
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, event := range events {
		for s := range f.subscribers {
			select {
			case s.events <- event:
			default:
				s.tellLost()
			}
		}
	}
}

// parseEvents reads a message as the scripts write it: a JSON list of the type and the
// time in ms, then id and version of each record.
func parseEvents(entity, payload string) []Event {
	var texts []string
	if json.Unmarshal([]byte(payload), &texts) != nil || len(texts) < 2 {
		return nil
	}
	events := make([]Event, 0, len(texts)/2)
	for i := 2; i+1 < len(texts); i += 2 {
		events = append(events, Event{
			Type: texts[0], Entity: entity, At: parseMS(texts[1]), ID: texts[i], Version: parseVersion(texts[i+1]),
		})
	}
	return events
}

// Events reads the kept events of an entity from a time on, oldest first: what happened
// to records on their way to the database ("persisted", "held", "dead"). The stream is
// bounded: whole is false where older events than those returned may have been dropped
// since that time.
func (c *Cache) Events(ctx context.Context, e *afterwrite.Entity, since time.Time) (events []Event, whole bool, err error) {
	from := strconv.FormatInt(max(since.UnixMilli(), 0), 10)
	p := c.redis.Pipeline()
	heads, parts := make([]*redis.XMessageSliceCmd, e.Partitions), make([]*redis.XMessageSliceCmd, e.Partitions)
	for i := range parts {
		stream := c.keys(e, i).stream
		heads[i] = p.XRangeN(ctx, stream, "-", "+", 1)
		parts[i] = p.XRange(ctx, stream, from, "+")
	}
	if _, err := p.Exec(ctx); err != nil {
		return nil, false, fault("events", err)
	}
	whole = true
	for i, part := range parts {
		for _, m := range part.Val() {
			events = append(events, parseEvents(e.Name, text(m.Values["e"]))...)
		}
		// A stream that begins after the time, and is as long as it may be, was trimmed.
		if head := heads[i].Val(); len(head) == 1 && head[0].ID > from && len(part.Val()) >= keptEvents {
			whole = false
		}
	}
	slices.SortStableFunc(events, func(a, b Event) int { return a.At.Compare(b.At) })
	return events, whole, nil
}

func (h *hub) lose(f *feed) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for s := range f.subscribers {
		s.tellLost()
	}
}

func (s *Subscription) tellLost() {
	select {
	case s.lost <- struct{}{}:
	default:
	}
}

// renewListening keeps telling the partitions that somebody listens.
func (c *Cache) renewListening(ctx context.Context, e *afterwrite.Entity) {
	for sleep(ctx, listenEvery) == nil {
		if err := c.listen(ctx, e); err != nil && ctx.Err() == nil {
			c.log.WarnContext(ctx, "events may be missed", "entity", e.Name, "error", err)
		}
	}
}

func (c *Cache) listen(ctx context.Context, e *afterwrite.Entity) error {
	calls := make([]*call, e.Partitions)
	for i := range calls {
		calls[i] = &call{keys: []string{c.keys(e, i).stats}, args: []any{ms(listenFor)}}
	}
	c.pipeline(ctx, c.redis, listenScript, calls)
	for _, one := range calls {
		if err := one.cmd.Err(); err != nil {
			return fault("listen", err)
		}
	}
	return nil
}
