package events

import (
	"context"
	"embed"
	"encoding/json"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/afterwrite/afterwrite/internal/layout"
	"github.com/afterwrite/afterwrite/internal/rdb"
	"github.com/afterwrite/afterwrite/schema"
)

//go:embed lua/*.lua
var sources embed.FS

var listenScript = layout.Load(sources, "listen")

// Event reports that something happened to a record. Events are hints: Pub/Sub delivers each at most once, and only
// while a process listens. Code that must not miss a change reads the record's state instead.
type Event struct {
	Type    string // "written", "persisted", "held", "dead", "invalidated", "changed", "conflict"
	Entity  string
	At      time.Time // by Redis's clock
	ID      string
	Version schema.Version
	Deleted bool // of "written" and "persisted": the record was deleted

	Number int64 // of the message that contained it; numbers grow within a partition

	Origin *schema.Origin // of "persisted", "held" and "dead": the traced request of the write; nil: not traced

	message string // of a topic that is not about records
}

const (
	// listenFor is how long the scripts publish events after a listener has announced itself, and listenEvery how often
	// a listener does so.
	listenFor   = 15 * time.Second
	listenEvery = 5 * time.Second
	// silence is how long a connection can be silent before it is pinged, and how long after that it is given up.
	silence = 5 * time.Second
	// subscriptionBuffer bounds the messages that wait for one subscriber. Subscribers share the messages' memory.
	subscriptionBuffer = 1024
)

// Subscription delivers the events of one entity until it is closed.
type Subscription struct {
	bus    *Bus
	topic  string
	id     string // the record that it is about; "" for all
	events chan []Event
	lost   chan struct{}
	up     *atomic.Bool // of its feed
}

// C delivers events; those of one message come together and must not be changed. It is never closed.
func (s *Subscription) C() <-chan []Event { return s.events }

// Lost reports that events were missed: the connection broke, the subscriber was too slow, or records were invalidated
// by a pattern. Data derived from events must be read again.
func (s *Subscription) Lost() <-chan struct{} { return s.lost }

// Flows reports whether events are delivered, as far as is known. Every change is also reported by Lost.
func (s *Subscription) Flows() bool { return s.up.Load() }

// Close ends the delivery.
func (s *Subscription) Close() { s.bus.remove(s) }

// Subscribe starts the delivery of an entity's events. Every event after it has returned is delivered, or Lost reports
// it.
func (b *Bus) Subscribe(ctx context.Context, e *schema.Entity) (*Subscription, error) {
	return b.subscribe(ctx, b.topic(e), "")
}

// SubscribeTo starts the delivery of one record's events. Only the last event is buffered: there are many subscribers,
// and each reads the record's state anyway.
func (b *Bus) SubscribeTo(ctx context.Context, e *schema.Entity, id string) (*Subscription, error) {
	return b.subscribe(ctx, b.topic(e), id)
}

// topic is the subject of one channel.
type topic struct {
	name   string                      // of an entity, or of something else
	raw    bool                        // its messages are not about records
	listen func(context.Context) error // announces the listener to the scripts; nil: they always publish
}

func (b *Bus) topic(e *schema.Entity) topic {
	return topic{name: e.Name, listen: func(ctx context.Context) error {
		_, err := b.Last(ctx, e)
		return err
	}}
}

// Bus has one Pub/Sub connection per entity and passes its events to the subscribers of this process. It is safe for
// concurrent use.
type Bus struct {
	redis  *rdb.Client
	prefix layout.Prefix
	log    *slog.Logger
	ctx    context.Context // ends with the bus
	end    context.CancelFunc

	mu     sync.Mutex // guards feeds and closed
	feeds  map[string]*feed
	closed bool
	wg     sync.WaitGroup
}

// feed is the connection of one entity. It ends with its last subscriber.
type feed struct {
	subscribers map[string]map[*Subscription]struct{} // by record, "" for all; guarded by Bus.mu
	ready       chan struct{}                         // closed once events are delivered
	up          atomic.Bool                           // the connection is subscribed
	cancel      context.CancelFunc
}

// New returns the bus of a Redis under a prefix. It connects with its first subscriber. The owner of the client calls
// end before it closes the client: it ends the subscriptions and what [Bus.Go] runs.
func New(client *rdb.Client, prefix layout.Prefix, log *slog.Logger) (b *Bus, end func()) {
	ctx, cancel := context.WithCancel(context.Background())
	b = &Bus{redis: client, prefix: prefix, log: log, feeds: map[string]*feed{}, ctx: ctx, end: cancel}
	return b, b.close
}

func (b *Bus) subscribe(ctx context.Context, t topic, id string) (*Subscription, error) {
	buffer := subscriptionBuffer
	if id != "" {
		buffer = 1
	}
	s := &Subscription{bus: b, topic: t.name, id: id, events: make(chan []Event, buffer), lost: make(chan struct{}, 1)}
	b.mu.Lock()
	if b.closed {
		b.mu.Unlock()
		return nil, rdb.Fault("subscribe", redis.ErrClosed)
	}
	f := b.feeds[t.name]
	if f == nil {
		f = b.start(t)
	}
	if f.subscribers[id] == nil {
		f.subscribers[id] = map[*Subscription]struct{}{}
	}
	f.subscribers[id][s], s.up = struct{}{}, &f.up
	b.mu.Unlock()
	select {
	case <-f.ready:
		return s, nil
	case <-ctx.Done():
		s.Close()
		return nil, ctx.Err()
	}
}

// start begins the feed of an entity; the caller holds b.mu.
func (b *Bus) start(t topic) *feed {
	ctx, cancel := context.WithCancel(b.ctx)
	f := &feed{subscribers: map[string]map[*Subscription]struct{}{}, ready: make(chan struct{}), cancel: cancel}
	b.feeds[t.name] = f
	if t.listen != nil {
		b.wg.Go(func() { b.renewListening(ctx, t) })
	}
	b.wg.Go(func() { b.receive(ctx, t, f) })
	return f
}

func (b *Bus) remove(s *Subscription) {
	b.mu.Lock()
	defer b.mu.Unlock()
	f := b.feeds[s.topic]
	if f == nil {
		return
	}
	delete(f.subscribers[s.id], s)
	if len(f.subscribers[s.id]) == 0 {
		delete(f.subscribers, s.id)
	}
	if len(f.subscribers) == 0 {
		f.cancel()
		delete(b.feeds, s.topic)
	}
}

// Go runs do in the background. The end of the bus ends its context and waits for it. If the bus has ended, Go returns
// false and does not run do.
func (b *Bus) Go(do func(ctx context.Context)) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.closed {
		b.wg.Go(func() { do(b.ctx) })
	}
	return !b.closed
}

func (b *Bus) close() {
	b.mu.Lock()
	b.closed = true
	b.mu.Unlock()
	b.end()
	b.wg.Wait()
}

// receive reads the entity's channel until the feed ends. go-redis reconnects by itself; every confirmation of the
// subscription after the first means a gap.
func (b *Bus) receive(ctx context.Context, t topic, f *feed) {
	for ready := false; ctx.Err() == nil; {
		sub := b.redis.Subscribe(ctx, b.prefix.Channel(t.name))
		stop := context.AfterFunc(ctx, func() { _ = sub.Close() }) // unblocks ReceiveTimeout
		b.listen(ctx, t, f, sub, &ready)
		stop()
		_ = sub.Close() // already broken; the error is irrelevant
	}
}

// listen reads one subscription until it is refused or its connection is silent. A network that drops a connection need
// not report it, so a silent connection is pinged.
func (b *Bus) listen(ctx context.Context, t topic, f *feed, sub *redis.PubSub, ready *bool) {
	for asked := false; ctx.Err() == nil; {
		message, err := sub.ReceiveTimeout(ctx, silence)
		if rdb.TimedOut(err) && !asked {
			asked = true
			err = sub.Ping(ctx)
			if err == nil {
				continue
			}
		}
		if err != nil {
			f.up.Store(false)
			b.lose(f)
			_ = rdb.Sleep(ctx, 100*time.Millisecond)
			if rdb.TimedOut(err) || rdb.Answered(err) {
				return // go-redis does not subscribe again: the connection seems to work
			}
			continue
		}
		asked = false
		switch m := message.(type) {
		case *redis.Subscription:
			f.up.Store(true)
			if !*ready && (t.listen == nil || t.listen(ctx) == nil) {
				*ready = true
				close(f.ready)
				continue // the first subscription is not a gap
			}
			b.lose(f)
		case *redis.Message:
			b.deliver(f, t, m.Payload)
		}
	}
}

const anyInvalidated = `["invalidated","0"]`

// AnyInvalidated reports to every process that records with unknown ids were invalidated. For a subscriber it is a gap:
// any record may have changed.
func (b *Bus) AnyInvalidated(ctx context.Context, e *schema.Entity) error {
	if err := b.redis.Publish(ctx, b.prefix.Channel(e.Name), anyInvalidated).Err(); err != nil {
		return rdb.Fault("publish", err)
	}
	return nil
}

func (b *Bus) deliver(f *feed, t topic, payload string) {
	if payload == anyInvalidated {
		b.lose(f)
		return
	}
	events := t.events(payload)
	if len(events) == 0 {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for s := range f.subscribers[""] {
		s.offer(events)
	}
	for i, event := range events {
		if event.ID == "" {
			continue
		}
		for s := range f.subscribers[event.ID] {
			s.offer(events[i : i+1])
		}
	}
}

func (s *Subscription) offer(events []Event) {
	select {
	case s.events <- events:
	default:
		s.tellLost()
	}
}

func (t topic) events(payload string) []Event {
	if !t.raw {
		return parseEvents(t.name, payload)
	}
	return []Event{{message: payload}}
}

// parseEvents parses a message as the scripts write it: a JSON list of the type and the time in ms, with the number of
// the message in its partition after a slash, then id and version of each record, "-" before the version of a deleted
// record, and last, if some of the writes were traced, their origins.
func parseEvents(entity, payload string) []Event {
	var texts []string
	if json.Unmarshal([]byte(payload), &texts) != nil || len(texts) < 2 {
		return nil
	}
	stamp, number, _ := strings.Cut(texts[1], "/")
	n, _ := strconv.ParseInt(number, 10, 64)
	events := make([]Event, 0, len(texts)/2)
	for i := 2; i+1 < len(texts); i += 2 {
		version, deleted := strings.CutPrefix(texts[i+1], "-")
		events = append(events, Event{
			Type: texts[0], Entity: entity, At: layout.Time(stamp), ID: texts[i], Version: layout.Version(version),
			Deleted: deleted, Number: n,
		})
	}
	if len(texts)%2 == 1 {
		for i, origin := range layout.EventOrigins(texts[len(texts)-1]) {
			if i >= 0 && i < len(events) {
				events[i].Origin = origin
			}
		}
	}
	return events
}

func (b *Bus) lose(f *feed) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, some := range f.subscribers {
		for s := range some {
			s.tellLost()
		}
	}
}

func (s *Subscription) tellLost() {
	select {
	case s.lost <- struct{}{}:
	default:
	}
}

// renewListening keeps the listener announced in the partitions.
func (b *Bus) renewListening(ctx context.Context, t topic) {
	for rdb.Sleep(ctx, listenEvery) == nil {
		if err := t.listen(ctx); err != nil && ctx.Err() == nil {
			b.log.WarnContext(ctx, "events may be missed", "entity", t.name, "error", err)
		}
	}
}

// Last announces a listener to each partition and returns the number of its last event: the subscription delivers
// every later one.
func (b *Bus) Last(ctx context.Context, e *schema.Entity) ([]int64, error) {
	calls := make([]*rdb.Call, e.Partitions)
	for i := range calls {
		calls[i] = listenScript.Call([]string{b.prefix.Keys(e, i).Stats}, layout.MS(listenFor))
	}
	b.redis.Send(ctx, calls...)
	last := make([]int64, len(calls))
	for i, one := range calls {
		var err error
		if last[i], err = one.Int64(); err != nil {
			return nil, rdb.Fault("listen", err)
		}
	}
	return last, nil
}
