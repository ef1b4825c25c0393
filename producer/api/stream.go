package api

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"strconv"
	"time"

	"github.com/afterwrite/afterwrite/cache/events"
	"github.com/afterwrite/afterwrite/internal/problem"
	"github.com/afterwrite/afterwrite/schema"
)

// stream is one caller's stream of events. It holds one message at a time.
type stream struct {
	api     *API
	call    *call
	control *http.ResponseController
	feeds   []*feed
	woken   chan struct{} // has room for one value
}

// feed is one entity's events for a stream.
type feed struct {
	relay *relay
	at    int64     // position of the next message
	last  time.Time // of the newest event sent
	sent  []mark    // the last message of each partition
}

// subscribe begins to listen: all later events are sent, or read from Redis.
func (s *stream) subscribe(ctx context.Context, entities []*schema.Entity) error {
	ctx, cancel := s.api.bound(ctx)
	defer cancel()
	for _, e := range entities {
		r, err := s.api.join(ctx, e, s)
		if err != nil {
			return err
		}
		s.feeds = append(s.feeds, &feed{relay: r, at: r.end(), last: time.Now(), sent: make([]mark, e.Partitions)})
	}
	return nil
}

// close undoes subscribe.
func (s *stream) close() {
	for _, f := range s.feeds {
		f.relay.leave(s)
	}
}

// rouse makes the stream look for messages.
func (s *stream) rouse() {
	select {
	case s.woken <- struct{}{}:
	default:
	}
}

// run sends events until the caller goes away or the process ends.
func (s *stream) run(ctx context.Context, since time.Time) error {
	h := s.call.header
	h["Content-Type"] = []string{"text/event-stream"}
	h["X-Accel-Buffering"] = []string{"no"} // otherwise nginx would buffer the events
	s.call.code = http.StatusOK
	s.call.w.WriteHeader(http.StatusOK)
	if s.call.r.Method == http.MethodHead {
		return nil
	}
	boundConn(ctx)
	// The server's timeouts are for whole requests and answers; this answer never ends.
	_ = s.control.SetReadDeadline(time.Time{}) // not every connection supports it
	err := s.send([]byte("retry: 2000\n\n"))
	if err == nil && !since.IsZero() {
		for _, f := range s.feeds {
			f.last = since
		}
		err = s.replay(ctx, s.feeds)
	}
	beat := time.NewTicker(heartbeat)
	defer beat.Stop()
	for err == nil {
		var more bool
		if more, err = s.forward(ctx); err != nil {
			break
		}
		if more {
			s.rouse()
		} else if err = s.flush(); err != nil {
			break
		}
		select {
		case <-ctx.Done():
			return nil
		case <-s.api.stopping:
			return s.send(reconnect())
		case <-s.woken:
		case <-beat.C:
			err = s.send([]byte(":\n\n"))
		}
	}
	if errors.Is(err, errUnread) {
		s.api.metrics.dropped.Inc()
		s.api.log.WarnContext(ctx, "event stream dropped: the client does not read", "request_id", s.call.requestID,
			"token", s.call.who.Name, "remote", s.call.r.RemoteAddr, "timeout", s.api.streamTimeout)
		return context.Canceled // the caller is gone
	}
	return err
}

// reconnect makes clients reconnect after the process ends, each after another delay, so that they do not all reach the
// next process at once.
func reconnect() []byte {
	return fmt.Appendf(nil, "event: reconnect\nretry: %d\ndata: {}\n\n", 100+rand.IntN(2000))
}

// errUnread ends a stream whose caller does not read, or reads too slowly. With Last-Event-ID the caller can continue
// where the stream ended.
var errUnread = errors.New("the reader does not read")

// forward sends the oldest waiting message, and reports whether there was one.
func (s *stream) forward(ctx context.Context) (more bool, err error) {
	var next *feed
	var oldest piece
	var behind []*feed
	for _, f := range s.feeds {
		p, ok, dropped := f.relay.take(f.at)
		switch {
		case dropped:
			behind = append(behind, f)
		case ok && (next == nil || p.mark.at.Before(oldest.mark.at)):
			next, oldest = f, p
		}
	}
	if len(behind) > 0 {
		return true, s.replay(ctx, behind)
	}
	if next == nil {
		return false, nil
	}
	next.at++
	return true, s.pass(next, oldest)
}

// replay sends the events that Redis has stored since the last event of each feed. If too many streams do so, the
// caller gets a gap event instead.
func (s *stream) replay(ctx context.Context, feeds []*feed) error {
	var entities []*schema.Entity
	since, by := feeds[0].last, map[*schema.Entity]*feed{}
	for _, f := range feeds {
		f.at = f.relay.end() // before the first read: messages that arrive meanwhile are sent after it
		entities = append(entities, f.relay.entity)
		by[f.relay.entity] = f
		since = earlier(since, f.last)
	}
	bounded, cancel := s.api.bound(ctx)
	defer cancel()
	select {
	case s.api.replays <- struct{}{}:
		defer func() { <-s.api.replays }()
	case <-bounded.Done():
		for _, f := range feeds {
			if err := s.send(gapEvent(f)); err != nil {
				return err
			}
		}
		return ctx.Err()
	}
	// In the order of time over all entities; otherwise the id of an early event could hide a later one from a client
	// that resumes.
	until := time.Now().Add(replayFor)
	for kept, err := range s.api.source.Events(ctx, entities, since.Add(-overlap)) {
		if err != nil {
			return err
		}
		f := by[kept.Entity]
		if kept.Events == nil {
			err = s.write(gapEvent(f))
		} else {
			err = s.pass(f, s.api.piece(ctx, kept.Entity, kept.Events))
		}
		if err != nil {
			return err
		}
		if time.Now().After(until) {
			return errUnread
		}
	}
	return s.flush()
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

func gapEvent(f *feed) []byte {
	b := append([]byte(nil), "event: gap\ndata: {\"entity\":\""...)
	b = append(b, f.relay.entity.Name...)
	b = append(b, `","since":`...)
	return append(appendTime(b, f.last), "}\n\n"...)
}

// pass sends a message unless it was sent before. Numbers within a partition grow; those of an emptied Redis begin
// again, at a later time.
func (s *stream) pass(f *feed, p piece) error {
	last := &f.sent[p.mark.partition]
	if p.mark.number <= last.number && !p.mark.at.After(last.at) {
		return nil
	}
	*last = p.mark
	if p.mark.at.After(f.last) {
		f.last = p.mark.at
	}
	return s.write(p.text)
}

func (a *API) appendEvent(ctx context.Context, b []byte, e *schema.Entity, event events.Event) []byte {
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
	b = appendOrigin(b, event.Origin)
	if event.Type == string(schema.Held) || event.Type == string(schema.Dead) {
		b = a.appendRefusal(ctx, b, e, event)
	}
	return append(b, "}\n\n"...)
}

// appendOrigin adds the traced request of the write; its texts need no escapes.
func appendOrigin(b []byte, o *schema.Origin) []byte {
	if o == nil {
		return b
	}
	b = append(append(append(b, `,"trace_id":"`...), o.Trace()...), '"')
	if o.Request != "" {
		b = append(append(append(b, `,"request_id":"`...), o.Request...), '"')
	}
	return b
}

// appendRefusal adds why the database refused the record, unless a newer state has replaced it: that has an event of
// its own.
func (a *API) appendRefusal(ctx context.Context, b []byte, e *schema.Entity, event events.Event) []byte {
	ctx, cancel := a.bound(ctx)
	defer cancel()
	state, err := a.cache.Status(ctx, e, event.ID)
	if err != nil || state.Refusal == nil || state.Record.Version != event.Version ||
		string(state.Record.Status) != event.Type {
		return b
	}
	b = append(b, `,"attempts":`...)
	b = strconv.AppendInt(b, int64(state.Attempts), 10)
	b = append(b, `,"next_attempt":`...)
	b = appendTime(b, state.NextAttempt)
	b = append(b, `,"error":`...)
	return problem.AppendRefusal(b, *state.Refusal)
}

// send writes a piece and flushes it.
func (s *stream) send(piece []byte) error {
	if err := s.write(piece); err != nil {
		return err
	}
	return s.flush()
}

// write passes a piece to the server, with a timeout of its own.
func (s *stream) write(piece []byte) error {
	_ = s.control.SetWriteDeadline(time.Now().Add(s.api.streamTimeout))
	_, err := s.call.w.Write(piece)
	return goneOrUnread(err)
}

func (s *stream) flush() error {
	_ = s.control.SetWriteDeadline(time.Now().Add(s.api.streamTimeout))
	return goneOrUnread(s.control.Flush())
}

func goneOrUnread(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, os.ErrDeadlineExceeded):
		return errUnread
	}
	return context.Canceled // the caller is gone
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
