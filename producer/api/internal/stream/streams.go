// Package stream serves what becomes of accepted writes as server-sent events.
//
//	streams.go   all streams of the API
//	stream.go    one of them, from its first event to its last
//	relay.go     the events of an entity, for all of its streams
//	event.go     how an event is sent
package stream

import (
	"context"
	"iter"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/afterwrite/afterwrite/cache"
	"github.com/afterwrite/afterwrite/cache/events"
	"github.com/afterwrite/afterwrite/schema"
)

// Source tells what happens to records on their way to the database.
type Source interface {
	Subscribe(ctx context.Context, e *schema.Entity) (*events.Subscription, error)
	Events(ctx context.Context, entities []*schema.Entity, since time.Time) iter.Seq2[events.Stored, error]
}

// States tells where a record stands.
type States interface {
	Status(ctx context.Context, e *schema.Entity, id string) (cache.State, error)
}

// Config configures [Streams]. All of it but Registerer is required.
type Config struct {
	Source       Source
	States       States
	Timeout      time.Duration   // of one operation
	WriteTimeout time.Duration   // longest write to a stream before it is dropped
	Stopping     <-chan struct{} // closed when the process begins to stop; nil: never
	Log          *slog.Logger
	Registerer   prometheus.Registerer // nil: no metrics
}

// Bounds of the streams.
const (
	DefaultWriteTimeout = 10 * time.Second // longest write to a slow reader
	maxReplays          = 8                // streams that read stored events at once: each holds several messages
	replayFor           = 30 * time.Second // longest reading of stored events; a slower stream is dropped
	heartbeat           = 15 * time.Second
	// overlap is what a resumed stream repeats: events of different partitions arrive almost, but not quite, in the
	// order of their times.
	overlap = time.Second
)

// Streams are the event streams of an API.
type Streams struct {
	Config
	replays chan struct{} // a token for each stream that reads stored events
	dropped prometheus.Counter

	mu     sync.Mutex // guards relays, and joining and leaving
	relays map[*schema.Entity]*relay
}

// New returns streams of which none is open.
func New(cfg Config) (*Streams, error) {
	s := &Streams{Config: cfg, replays: make(chan struct{}, maxReplays), relays: map[*schema.Entity]*relay{},
		dropped: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "afterwrite_http_streams_dropped_total",
			Help: "Event streams that were ended because their reader did not read.",
		}),
	}
	if cfg.Registerer == nil {
		return s, nil
	}
	return s, cfg.Registerer.Register(s.dropped)
}

// bound gives one operation its deadline.
func (a *Streams) bound(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, a.Timeout)
}

// streamBuffer bounds the kernel's buffer of a stream whose caller does not read: by default a connection can have
// megabytes, which count as the process's memory.
const streamBuffer = 64 << 10

type connKey struct{}

// ConnContext lets event streams bound the kernel's buffer. It is for [http.Server.ConnContext].
func ConnContext(ctx context.Context, c net.Conn) context.Context {
	return context.WithValue(ctx, connKey{}, c)
}

func boundConn(ctx context.Context) {
	if c, ok := ctx.Value(connKey{}).(interface{ SetWriteBuffer(int) error }); ok {
		_ = c.SetWriteBuffer(streamBuffer) // a larger buffer works, too
	}
}
