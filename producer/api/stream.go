package api

import (
	"context"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/afterwrite/afterwrite"
	"github.com/afterwrite/afterwrite/cache"
	"github.com/afterwrite/afterwrite/internal/problem"
)

// stream is one caller's stream of events. Its goroutines gather the entities' events;
// one alone writes.
type stream struct {
	api     *API
	call    *call
	control *http.ResponseController
	told    *told
	feeds   []*feed
	events  chan happening
	lost    chan *feed
	wg      sync.WaitGroup
}

// feed is the events of one entity.
type feed struct {
	entity *afterwrite.Entity
	sub    *cache.Subscription
	last   time.Time // of the newest event that was sent
}

type happening struct {
	feed *feed
	cache.Event
}

// subscribe begins to listen: what happens from now on is sent, or read anew.
func (s *stream) subscribe(ctx context.Context, entities []*afterwrite.Entity) error {
	s.events, s.lost = make(chan happening), make(chan *feed)
	bounded, cancel := s.api.bound(ctx)
	defer cancel()
	for _, e := range entities {
		sub, err := s.api.source.Subscribe(bounded, e)
		if err != nil {
			return err
		}
		s.feeds = append(s.feeds, &feed{entity: e, sub: sub, last: time.Now()})
	}
	for _, f := range s.feeds {
		s.wg.Go(func() { s.gather(ctx, f) })
	}
	return nil
}

// close ends what subscribe began; the context that it was given has ended.
func (s *stream) close() {
	s.wg.Wait()
	for _, f := range s.feeds {
		f.sub.Close()
	}
}

func (s *stream) gather(ctx context.Context, f *feed) {
	for {
		select {
		case <-ctx.Done():
			return
		case event := <-f.sub.C():
			select {
			case s.events <- happening{f, event}:
			case <-ctx.Done():
			}
		case <-f.sub.Lost():
			select {
			case s.lost <- f:
			case <-ctx.Done():
			}
		}
	}
}

// run writes events until the caller goes away or the process ends.
func (s *stream) run(ctx context.Context, since time.Time) error {
	h := s.call.header
	h["Content-Type"] = []string{"text/event-stream"}
	h["X-Accel-Buffering"] = []string{"no"} // nginx would keep events back
	s.call.code = http.StatusOK
	s.call.w.WriteHeader(http.StatusOK)
	if s.call.r.Method == http.MethodHead {
		return nil
	}
	// The server's own limits are on whole requests and answers; this one never ends.
	_ = s.control.SetReadDeadline(time.Time{}) // not every connection has one
	if err := s.write([]byte("retry: 2000\n\n")); err != nil {
		return err
	}
	if !since.IsZero() {
		for _, f := range s.feeds {
			f.last = since
		}
		if err := s.replay(ctx, s.feeds); err != nil {
			return err
		}
	}
	beat := time.NewTicker(heartbeat)
	defer beat.Stop()
	for {
		var err error
		select {
		case <-ctx.Done():
			return nil
		case <-s.api.stopping:
			return nil
		case event := <-s.events:
			err = s.send(ctx, event)
		case f := <-s.lost:
			err = s.replay(ctx, []*feed{f})
		case <-beat.C:
			err = s.write([]byte(":\n\n"))
		}
		if err != nil {
			return err
		}
	}
}

// replay sends what is kept since the last event of each feed.
func (s *stream) replay(ctx context.Context, feeds []*feed) error {
	select {
	case s.api.replays <- struct{}{}:
		defer func() { <-s.api.replays }()
	case <-ctx.Done():
		return ctx.Err()
	}
	bounded, cancel := s.api.bound(ctx)
	defer cancel()
	var kept []happening
	for _, f := range feeds {
		events, whole, err := s.api.source.Events(bounded, f.entity, f.last.Add(-overlap))
		if err != nil {
			return err
		}
		if !whole {
			if err := s.write(gapEvent(f)); err != nil {
				return err
			}
		}
		for _, event := range events {
			kept = append(kept, happening{f, event})
		}
	}
	// In the order of time over all entities, or the id of an early one would hide a
	// later one from whoever resumes.
	slices.SortStableFunc(kept, func(a, b happening) int { return a.At.Compare(b.At) })
	for _, event := range kept {
		if err := s.send(ctx, event); err != nil {
			return err
		}
	}
	return nil
}

func gapEvent(f *feed) []byte {
	b := append([]byte(nil), "event: gap\ndata: {\"entity\":\""...)
	b = append(b, f.entity.Name...)
	b = append(b, `","since":`...)
	return append(appendTime(b, f.last), "}\n\n"...)
}

// send tells the caller of an event, once as far as the stream remembers.
func (s *stream) send(ctx context.Context, event happening) error {
	if event.At.After(event.feed.last) {
		event.feed.last = event.At
	}
	if !slices.Contains(streamed, event.Type) || !s.told.first(event.Event) {
		return nil
	}
	return s.write(s.appendEvent(ctx, nil, event))
}

func (s *stream) appendEvent(ctx context.Context, b []byte, event happening) []byte {
	e := event.feed.entity
	b = append(b, "event: "...)
	b = append(b, event.Type...)
	b = append(b, "\nid: "...)
	b = strconv.AppendInt(b, event.At.UnixMilli(), 10)
	b = append(b, "\ndata: {\"entity\":\""...)
	b = append(b, e.Name...)
	b = append(b, `","id":`...)
	b = append(b, e.IDText(event.ID)...)
	b = append(b, `,"version":`...)
	b = strconv.AppendInt(b, int64(event.Version), 10)
	b = append(b, `,"at":`...)
	b = appendTime(b, event.At)
	if event.Type == string(afterwrite.Held) || event.Type == string(afterwrite.Dead) {
		b = s.appendRefusal(ctx, b, event)
	}
	return append(b, "}\n\n"...)
}

// appendRefusal adds why the database refused the record, unless something newer has
// happened to it since: that has an event of its own.
func (s *stream) appendRefusal(ctx context.Context, b []byte, event happening) []byte {
	ctx, cancel := s.api.bound(ctx)
	defer cancel()
	state, err := s.api.cache.Status(ctx, event.feed.entity, event.ID)
	if err != nil || state.Refusal == nil || state.Record.Version != event.Version || string(state.Record.Status) != event.Type {
		return b
	}
	b = append(b, `,"attempts":`...)
	b = strconv.AppendInt(b, int64(state.Attempts), 10)
	b = append(b, `,"next_attempt":`...)
	b = appendTime(b, state.NextAttempt)
	b = append(b, `,"error":`...)
	return problem.AppendRefusal(b, *state.Refusal)
}

// write sends a piece at once, within a limit of its own.
func (s *stream) write(piece []byte) error {
	_ = s.control.SetWriteDeadline(time.Now().Add(streamWrite))
	if _, err := s.call.w.Write(piece); err != nil {
		return context.Canceled // the caller went away, or does not read
	}
	if err := s.control.Flush(); err != nil {
		return context.Canceled
	}
	return nil
}

// rememberedEvents bounds what a stream remembers of what it has sent.
const rememberedEvents = 4096

// told is the last events that were sent, so that an overlap does not repeat them all.
type told struct {
	seen map[one]struct{}
	ring []one
	next int
}

// one tells an event from others.
type one struct {
	what, entity, id string
	version          afterwrite.Version
	at               int64
}

func newTold() *told { return &told{seen: map[one]struct{}{}} }

// first reports whether the event is not among the remembered, and remembers it.
func (t *told) first(e cache.Event) bool {
	event := one{e.Type, e.Entity, e.ID, e.Version, e.At.UnixMilli()}
	if _, ok := t.seen[event]; ok {
		return false
	}
	if len(t.ring) < rememberedEvents {
		t.ring = append(t.ring, event)
	} else {
		delete(t.seen, t.ring[t.next])
		t.ring[t.next] = event
		t.next = (t.next + 1) % rememberedEvents
	}
	t.seen[event] = struct{}{}
	return true
}
