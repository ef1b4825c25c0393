package httpcache

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/afterwrite/afterwrite/cache/values"
)

var (
	// errPass reports a response that cannot be shared: each request calls the handler itself.
	errPass = errors.New("the response is not kept")
	// errOnlyCached reports a request with only-if-cached for which no response is cached.
	errOnlyCached = errors.New("only-if-cached: nothing is kept")
)

// found is the answer to a request.
type found struct {
	stored response
	answer values.Answer[response]
	err    error
}

// failure is a response of 500 or more to a request on which others waited. It answers the first request only; the
// others share one more call of the handler.
type failure struct {
	response response
	shared   bool // can be shared: nothing says that it is for one caller

	once  sync.Once
	done  chan struct{} // closed when again is set
	again found
}

func (f *failure) Error() string { return fmt.Sprintf("the handler answered %d", f.response.Code) }

// own lists request fields that concern only one request: a response to them must not be shared with waiting requests.
var own = []string{
	"If-None-Match", "If-Modified-Since", "If-Match", "If-Unmodified-Since", "If-Range", "Cache-Control", "Pragma",
}

// find returns the response to a request: from the cache, from one shared call of next, or from a call of its own whose
// response is not shared.
func (c *Cache) find(r *http.Request, next http.Handler, asked map[string]string) found {
	key := c.key(r)
	if _, only := asked["only-if-cached"]; only {
		a, err := c.values.Peek(r.Context(), key)
		if err != nil || a.Value.Pass {
			err = fmt.Errorf("%w: %w", errOnlyCached, errors.Join(err, r.Context().Err()))
		}
		return found{a.Value, a, err}
	}
	shared := r.Clone(context.WithoutCancel(r.Context())) // the load may outlive the caller
	shared.Body, shared.Method = http.NoBody, http.MethodGet
	for _, name := range own {
		shared.Header.Del(name)
	}
	f, mine := c.share(r.Context(), key, shared, next)
	if mine != nil {
		return found{stored: *mine, answer: values.Answer[response]{Source: values.Missed}}
	}
	failed, ok := errors.AsType[*failure](f.err)
	if !ok {
		return f
	}
	failed.once.Do(func() {
		go func() {
			defer close(failed.done)
			failed.again, _ = c.share(shared.Context(), key, shared, next)
		}()
	})
	select {
	case <-failed.done:
	case <-r.Context().Done():
		return found{err: r.Context().Err()}
	}
	f = failed.again
	f.answer.Joined = true
	if failed, ok := errors.AsType[*failure](f.err); ok && failed.shared {
		f.stored, f.err = failed.response, nil
	}
	return f
}

// share reads the response of a key, or loads it. If this caller did the load, and the response is complete but cannot
// be cached, it is returned as mine.
func (c *Cache) share(ctx context.Context, key string, r *http.Request, next http.Handler) (_ found, mine *response) {
	var only atomic.Pointer[response]
	a, err := c.values.Read(ctx, key, func(ctx context.Context) (response, error) {
		stored, own, err := c.load(ctx, r, next)
		only.Store(own)
		return stored, err
	})
	if own := only.Load(); own != nil && ctx.Err() == nil && (err != nil || a.Value.Pass) {
		mine = own
	}
	return found{a.Value, a, err}, mine
}

// load calls next and decides whether its response is cached. A complete response that cannot be cached is returned
// beside the entry that is cached in its place: it is for the caller of the load.
func (c *Cache) load(ctx context.Context, r *http.Request, next http.Handler) (kept response, mine *response,
	err error) {
	tags := []values.Tag{pathTag(r)}
	if c.cfg.Tags != nil {
		tags = append(tags, c.cfg.Tags(r)...)
	}
	values.AddTags(ctx, tags...)
	rec, err := record(ctx, r, next, c.cfg.MaxSize)
	if err != nil {
		return response{}, nil, err
	}
	if rec == nil { // it streams, or is too large
		values.KeepFor(ctx, passFor)
		return response{Pass: true}, nil, nil
	}
	if ctx.Err() != nil || !rec.whole() {
		return response{}, nil, errPass
	}
	stored := rec.response()
	ttl := c.freshness(r, stored)
	shared := c.forAnyone(r, stored)
	stored.Header.Del(c.cfg.Target)
	switch {
	case stored.Code >= 500 && stored.Code != http.StatusNotImplemented:
		return response{}, &stored, &failure{response: stored, shared: shared, done: make(chan struct{})}
	case ttl <= 0:
		values.KeepFor(ctx, passFor)
		return response{Pass: true}, &stored, nil
	}
	if stored.Header.Get("Etag") == "" && stored.Code == http.StatusOK {
		stored.Header.Set("Etag", etag(stored.Body))
	}
	if stored.Header.Get("Date") == "" {
		stored.Header.Set("Date", time.Now().UTC().Format(http.TimeFormat))
	}
	values.KeepFor(ctx, ttl)
	return stored, nil, nil
}

// record calls next until its response is complete, or turns out to be streamed or too large. In that case it returns
// nil, and the call continues without a reader until next notices.
func record(ctx context.Context, r *http.Request, next http.Handler, limit int) (*recorder, error) {
	own, cancel := context.WithCancel(ctx)
	stopped := make(chan struct{})
	rec := &recorder{header: http.Header{}, limit: limit, stop: sync.OnceFunc(func() {
		cancel()
		close(stopped)
	})}
	done := make(chan error, 1)
	go func() {
		defer cancel()
		defer func() {
			if p := recover(); p != nil {
				done <- fmt.Errorf("%w: the handler panicked: %v", errPass, p)
			}
		}()
		next.ServeHTTP(rec, r.WithContext(own))
		rec.WriteHeader(http.StatusOK)
		done <- nil
	}()
	select {
	case <-stopped:
		return nil, nil
	case err := <-done:
		if rec.stopped {
			return nil, nil
		}
		return rec, err
	case <-ctx.Done():
		return nil, errPass
	}
}
