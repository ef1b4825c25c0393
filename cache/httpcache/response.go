package httpcache

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// response is a cache entry.
type response struct {
	Pass   bool        `json:",omitempty"` // no response is cached: requests bypass the cache
	Code   int         `json:",omitempty"`
	Header http.Header `json:",omitempty"`
	Body   []byte      `json:",omitempty"`
}

// age returns the age that the response had on arrival.
func (s response) age() time.Duration {
	n, _ := strconv.ParseUint(s.Header.Get("Age"), 10, 31)
	return time.Duration(n) * time.Second
}

// hopByHop lists fields of one connection, which are never cached.
var hopByHop = []string{"Connection", "Keep-Alive", "Proxy-Connection", "Te", "Trailer", "Transfer-Encoding", "Upgrade"}

// errStopped ends the writes of a handler whose response is no longer recorded.
var errStopped = errors.New("the response is streamed or too large to be kept")

// recorder records a response of bounded size. It stops a streaming handler by an error and by the end of its context.
type recorder struct {
	header  http.Header
	sent    http.Header // as it was when the answer began
	code    int
	body    []byte
	limit   int
	stopped bool
	stop    func()
}

func (r *recorder) Header() http.Header { return r.header }

func (r *recorder) WriteHeader(code int) {
	if r.code == 0 && code >= 200 {
		r.code, r.sent = code, r.header.Clone()
	}
}

func (r *recorder) Write(b []byte) (int, error) {
	if r.sent == nil && r.header.Get("Content-Type") == "" {
		r.header.Set("Content-Type", http.DetectContentType(b))
	}
	r.WriteHeader(http.StatusOK)
	if r.stopped || len(r.body)+len(b) > r.limit {
		r.end()
		return 0, errStopped
	}
	r.body = append(r.body, b...)
	return len(b), nil
}

// Flush marks the response as streamed.
func (r *recorder) Flush() { r.end() }

func (r *recorder) end() {
	r.stopped, r.body = true, nil
	r.stop()
}

func (r *recorder) response() response {
	for _, line := range r.sent.Values("Connection") {
		for name := range strings.SplitSeq(line, ",") {
			r.sent.Del(strings.TrimSpace(name))
		}
	}
	for _, name := range hopByHop {
		r.sent.Del(name)
	}
	r.sent.Del("Content-Length")
	return response{Code: r.code, Header: r.sent, Body: r.body}
}

// stripped is a writer that removes the field for this cache from the answer.
type stripped struct {
	http.ResponseWriter
	field  string
	code   int
	before func(code int) // called before the caller gets the status; can be nil
}

func (s *stripped) WriteHeader(code int) {
	if s.code == 0 && code >= 200 {
		s.code = code
		s.Header().Del(s.field)
		if s.before != nil {
			s.before(code)
		}
	}
	s.ResponseWriter.WriteHeader(code)
}

func (s *stripped) Write(b []byte) (int, error) {
	if s.code == 0 {
		s.WriteHeader(http.StatusOK)
	}
	return s.ResponseWriter.Write(b)
}

// Flush sends what was written so far.
func (s *stripped) Flush() { _ = http.NewResponseController(s.ResponseWriter).Flush() }

// ReadFrom lets a file be sent without a copy of it.
func (s *stripped) ReadFrom(r io.Reader) (int64, error) {
	if s.code == 0 {
		s.WriteHeader(http.StatusOK)
	}
	return io.Copy(s.ResponseWriter, r)
}

// Hijack serves handlers that look for the method on the writer itself.
func (s *stripped) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return http.NewResponseController(s.ResponseWriter).Hijack()
}

// Unwrap serves http.ResponseController.
func (s *stripped) Unwrap() http.ResponseWriter { return s.ResponseWriter }
