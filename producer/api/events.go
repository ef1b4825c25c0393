package api

import (
	"cmp"
	"context"
	"iter"
	"net"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/afterwrite/afterwrite/cache/events"
	"github.com/afterwrite/afterwrite/internal/problem"
	"github.com/afterwrite/afterwrite/producer/api/internal/request"
	"github.com/afterwrite/afterwrite/producer/api/internal/share"
	"github.com/afterwrite/afterwrite/producer/api/internal/stream"
	"github.com/afterwrite/afterwrite/schema"
)

// EventSource tells what happens to records on their way to the database: the cache.
type EventSource interface {
	Subscribe(ctx context.Context, e *schema.Entity) (*events.Subscription, error)
	Events(ctx context.Context, entities []*schema.Entity, since time.Time) iter.Seq2[events.Stored, error]
}

// Bounds of the event streams.
const (
	DefaultMaxStreams    = 100                        // streams at once
	DefaultStreamTimeout = stream.DefaultWriteTimeout // longest write to a slow reader
)

// events answers a stream of server-sent events: what becomes of accepted writes. The id of an event is its time in ms.
// A stream that is resumed with Last-Event-ID begins a little before that time, with the events that are still stored.
// Each event is sent at least once, or an event "gap" reports that older events were dropped: then read the records'
// states. A stream whose caller does not read is dropped.
func (a *API) events(ctx context.Context, c *call) error {
	query, err := a.eventQuery(c)
	if err != nil {
		return err
	}
	if err := c.mayRead(query.entities); err != nil {
		return err
	}
	since, err := lastEventID(c.r.Header, query.last)
	if err != nil {
		return err
	}
	if !c.holds.Enter(share.Streams) {
		return errTooManyStreams
	}
	defer c.holds.Leave(share.Streams)
	if err := c.holds.Take(share.Streams); err != nil {
		return err
	}
	defer c.holds.Give(share.Streams)
	ctx, cancel := a.whileValid(ctx, c)
	defer cancel()
	s, err := a.streams.Open(ctx, query.entities)
	if err != nil {
		return err
	}
	defer s.Close()
	c.code = http.StatusOK
	return s.Serve(ctx, c.w, c.r, stream.Reader{Since: since, Texts: c.texts || query.texts,
		RequestID: c.requestID, Token: c.who.Name})
}

// ConnContext lets event streams bound the kernel's buffer. It is for [http.Server.ConnContext].
func ConnContext(ctx context.Context, c net.Conn) context.Context { return stream.ConnContext(ctx, c) }

var errTooManyStreams = &problem.Problem{Name: "too-many-streams", Code: http.StatusServiceUnavailable,
	Title:      "Too many event streams",
	RetryAfter: 5, Detail: "this process already serves its maximum of event streams; try again later"}

// eventQuery is the query of an event stream.
type eventQuery struct {
	entities []*schema.Entity // those that it names, or all
	named    []string
	ticket   string
	last     string // id of the last event of the stream before, for programs that cannot send a header
	texts    bool   // ints=string, for programs that cannot send Prefer
}

func (a *API) eventQuery(c *call) (q eventQuery, err error) {
	for p, err := range request.Parameters(c.r.URL.RawQuery) {
		if err != nil {
			return q, err
		}
		value, err := p.Value()
		if err != nil {
			return q, err
		}
		switch p.Name {
		case "entity":
			e, ok := a.entities[value]
			if !ok {
				return q, problem.UnknownEntity(value)
			}
			if !slices.Contains(q.entities, e) {
				q.entities, q.named = append(q.entities, e), append(q.named, e.Name)
			}
		case "ticket":
			q.ticket = value
		case "last_event_id":
			q.last = value
		case "ints":
			if value != "string" {
				return q, problem.BadParameter("ints", "can be string only")
			}
			q.texts = true
		default:
			return q, problem.BadParameter(p.Name, "is not a parameter of this route")
		}
	}
	if len(q.entities) > 0 {
		return q, nil
	}
	for _, e := range a.entities {
		q.entities = append(q.entities, e)
	}
	return q, nil
}

// lastEventID parses where the caller's last stream ended; zero if there was none. A browser that connects again by
// itself repeats the query of before and sends the header, which is newer.
func lastEventID(h http.Header, query string) (time.Time, error) {
	text := cmp.Or(h.Get("Last-Event-ID"), query)
	if text == "" {
		return time.Time{}, nil
	}
	ms, err := strconv.ParseInt(text, 10, 64)
	switch {
	case err == nil && ms >= 0 && ms < 1<<53:
		return time.UnixMilli(ms), nil
	case h.Get("Last-Event-ID") == "":
		return time.Time{}, problem.BadParameter("last_event_id", "must be the id of an event")
	}
	return time.Time{}, problem.BadHeader("Last-Event-ID", "must be the id of an event")
}
