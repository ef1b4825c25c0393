package api

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/afterwrite/afterwrite/internal/problem"
)

// wantType rejects a body that does not have one of these media types, or is encoded.
func (c *call) wantType(types ...string) error { return problem.WantType(c.r.Header, types...) }

// readBody reads the whole body into c.body, or rejects a body of more than limit bytes. hold counts each part of its
// buffer. A body that arrives more slowly than the minimum rate is ended, because a slow sender holds memory meanwhile.
func (a *API) readBody(c *call, limit int64, hold func(bytes int) error) error {
	if c.r.ContentLength > limit {
		return problem.TooLarge(limit)
	}
	body := io.Reader(c.r.Body)
	if c.r.ContentLength < 0 {
		body = http.MaxBytesReader(c.w, c.r.Body, limit)
	}
	// The first read of a body of known length ends with its last byte, the second returns EOF: one byte more keeps the
	// buffer from growing in between.
	if need := int(min(c.r.ContentLength+1, maxPooledBytes)); cap(c.body) < need {
		c.body = make([]byte, 0, need)
	}
	b := c.body[:0]
	pace := a.pace(c)
	for {
		if len(b) == cap(b) {
			b = append(b, 0)[:len(b)]
		}
		if err := hold(cap(b)); err != nil {
			return err
		}
		pace.next(len(b))
		n, err := body.Read(b[len(b):cap(b)])
		b = b[:len(b)+n]
		if err == nil {
			continue
		}
		// A byte order mark is no part of a text, in whatever way it is read.
		c.body = bytes.TrimPrefix(b, []byte("\ufeff"))
		if errors.Is(err, os.ErrDeadlineExceeded) {
			a.metrics.slow.WithLabelValues("body").Inc()
		}
		return bodyError(err)
	}
}

func bodyError(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return err
	}
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return problem.Malformed("the body ends before its Content-Length")
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return &problem.Problem{Name: "body-too-slow", Code: http.StatusRequestTimeout, Title: "Body too slow",
			Detail: fmt.Sprintf("after the first %s a body must come at %d bytes per second or more; nothing was written", DefaultSlowGrace, LeastRate)}
	}
	if _, ok := errors.AsType[net.Error](err); !ok { // it came, and is no chunks
		return problem.Malformed("the body's chunks are not what HTTP/1.1 asks for")
	}
	p := problem.Malformed("the body could not be read")
	p.Name, p.Code, p.Title = "body-unreadable", http.StatusRequestTimeout, "Body not read"
	return fmt.Errorf("read body: %w", p)
}

// The minimum rate at which a body must arrive and an answer be read, after a grace period in which it can stall. It
// bounds how long a caller can hold memory by doing nothing.
const (
	DefaultSlowGrace = 10 * time.Second
	LeastRate        = 32 << 10 // bytes per second
)

// pace extends the deadline of a connection as bytes of a body pass, be it large or small.
type pace struct {
	control *http.ResponseController
	began   time.Time
	grace   time.Duration
}

func (a *API) pace(c *call) pace {
	c.paced = true
	return pace{http.NewResponseController(c.w), time.Now(), a.slowGrace}
}

// next sets the time by which more than these bytes must have arrived. At the end of the body net/http removes it. Of a
// body that is rejected it stays, because net/http reads up to 256 KiB of the rest before it answers.
func (p pace) next(read int) {
	// Not every connection supports it.
	_ = p.control.SetReadDeadline(p.began.Add(p.grace + time.Duration(read)*time.Second/LeastRate))
}

// paceRest times the body of a request that was answered without reading it, which net/http reads the rest of.
func (a *API) paceRest(c *call) {
	if c.r.ContentLength != 0 && !c.paced && c.end != adminEnd {
		a.pace(c).next(0)
	}
}
