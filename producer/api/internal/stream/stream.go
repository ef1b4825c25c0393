package stream

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"time"

	"github.com/afterwrite/afterwrite/internal/problem"
	"github.com/afterwrite/afterwrite/schema"
)

// Stream is one caller's stream of events. It holds one message at a time.
type Stream struct {
	of      *Streams
	reader  Reader
	w       http.ResponseWriter
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

// Open begins to listen: all later events of the entities are sent, or read from Redis. The caller must close the
// stream.
func (a *Streams) Open(ctx context.Context, entities []*schema.Entity) (*Stream, error) {
	s := &Stream{of: a, woken: make(chan struct{}, 1)}
	ctx, cancel := a.bound(ctx)
	defer cancel()
	for _, e := range entities {
		r, err := a.join(ctx, e, s)
		if err != nil {
			s.Close()
			return nil, err
		}
		s.feeds = append(s.feeds, &feed{relay: r, at: r.end(), last: time.Now(), sent: make([]mark, e.Partitions)})
	}
	return s, nil
}

// Close ends the stream.
func (s *Stream) Close() {
	for _, f := range s.feeds {
		f.relay.leave(s)
	}
}

// rouse makes the stream look for messages.
func (s *Stream) rouse() {
	select {
	case s.woken <- struct{}{}:
	default:
	}
}

// Reader is the caller of a stream.
type Reader struct {
	Since     time.Time // time of the last event of its stream before; zero: there was none
	Texts     bool      // int ids and versions as JSON strings
	RequestID string
	Token     string // its name; "" for none
}

// Serve answers a request with events until its caller goes away or the process ends.
func (s *Stream) Serve(ctx context.Context, w http.ResponseWriter, r *http.Request, reader Reader) error {
	s.w, s.control, s.reader = w, http.NewResponseController(w), reader
	h := w.Header()
	h["Content-Type"] = []string{"text/event-stream"}
	h["X-Accel-Buffering"] = []string{"no"} // otherwise nginx would buffer the events
	w.WriteHeader(http.StatusOK)
	if r.Method == http.MethodHead {
		return nil
	}
	boundConn(ctx)
	// The server's timeouts are for whole requests and answers; this answer never ends.
	_ = s.control.SetReadDeadline(time.Time{}) // not every connection supports it
	err := s.send([]byte("retry: 2000\n\n"))
	if err == nil && !reader.Since.IsZero() {
		for _, f := range s.feeds {
			f.last = reader.Since
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
		case <-s.of.Stopping:
			return s.send(reconnect())
		case <-s.woken:
		case <-beat.C:
			err = s.send([]byte(":\n\n"))
		}
	}
	if errors.Is(err, errUnread) {
		s.of.dropped.Inc()
		s.of.Log.WarnContext(ctx, "event stream dropped: the client does not read", "request_id", reader.RequestID,
			"token", reader.Token, "remote", r.RemoteAddr, "timeout", s.of.WriteTimeout)
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
func (s *Stream) forward(ctx context.Context) (more bool, err error) {
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
func (s *Stream) replay(ctx context.Context, feeds []*feed) error {
	var entities []*schema.Entity
	since, by := feeds[0].last, map[*schema.Entity]*feed{}
	for _, f := range feeds {
		f.at = f.relay.end() // before the first read: messages that arrive meanwhile are sent after it
		entities = append(entities, f.relay.entity)
		by[f.relay.entity] = f
		since = earlier(since, f.last)
	}
	bounded, cancel := s.of.bound(ctx)
	defer cancel()
	select {
	case s.of.replays <- struct{}{}:
		defer func() { <-s.of.replays }()
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
	for kept, err := range s.of.Source.Events(ctx, entities, since.Add(-overlap)) {
		if err != nil {
			return err
		}
		f := by[kept.Entity]
		if kept.Events == nil {
			err = s.write(gapEvent(f))
		} else {
			err = s.pass(f, s.of.piece(ctx, kept.Entity, kept.Events))
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
	return append(problem.AppendTime(b, f.last), "}\n\n"...)
}

// pass sends a message unless it was sent before. Numbers within a partition grow; those of an emptied Redis begin
// again, at a later time.
func (s *Stream) pass(f *feed, p piece) error {
	last := &f.sent[p.mark.partition]
	if p.mark.number <= last.number && !p.mark.at.After(last.at) {
		return nil
	}
	*last = p.mark
	if p.mark.at.After(f.last) {
		f.last = p.mark.at
	}
	if s.reader.Texts {
		return s.write(quoteInts(p.text))
	}
	return s.write(p.text)
}

// send writes a piece and flushes it.
func (s *Stream) send(piece []byte) error {
	if err := s.write(piece); err != nil {
		return err
	}
	return s.flush()
}

// write passes a piece to the server, with a timeout of its own.
func (s *Stream) write(piece []byte) error {
	_ = s.control.SetWriteDeadline(time.Now().Add(s.of.WriteTimeout))
	_, err := s.w.Write(piece)
	return goneOrUnread(err)
}

func (s *Stream) flush() error {
	_ = s.control.SetWriteDeadline(time.Now().Add(s.of.WriteTimeout))
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
