package httpcache

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/afterwrite/afterwrite/cache/values"
)

// Defaults of [Config].
const (
	DefaultMaxSize = 1 << 20 // bytes
	DefaultName    = "afterwrite"
	DefaultTarget  = "Afterwrite-Cache-Control"
	// passFor is how long requests bypass the cache after a response that could not be cached.
	passFor = 10 * time.Second
	// maxTTL bounds the freshness of a response.
	maxTTL = 24 * time.Hour
)

// Config configures a [Cache]. Only Cache is required.
type Config struct {
	Cache   values.Cache
	Vary    []string                         // request fields that responses may vary by
	Tags    func(*http.Request) []values.Tag // tags that the response to a request depends on; nil: none
	MaxSize int                              // bytes of a body; 0: DefaultMaxSize
	Name    string                           // of this cache in Cache-Status; "": DefaultName
	Target  string                           // response field that only this cache reads; "": DefaultTarget
	Timeout time.Duration                    // of the handler, when its response may be cached; 0: 30s
}

// Cache caches responses. It is safe for concurrent use.
type Cache struct {
	cfg    Config
	vary   []string // canonical, sorted
	values *values.Values[response]
}

// New returns a cache, or an error that names the invalid field of cfg.
func New(cfg Config) (*Cache, error) {
	if cfg.Cache == nil {
		return nil, errors.New("httpcache: Cache is required")
	}
	cfg.MaxSize, cfg.Name, cfg.Target = cmp.Or(cfg.MaxSize, DefaultMaxSize), cmp.Or(cfg.Name, DefaultName),
		cmp.Or(cfg.Target, DefaultTarget)
	c := &Cache{cfg: cfg}
	for _, name := range cfg.Vary {
		name = http.CanonicalHeaderKey(name)
		if name == "Authorization" || name == "Cookie" {
			return nil, fmt.Errorf("httpcache: Vary: %s names one caller; do not cache what it changes", name)
		}
		c.vary = append(c.vary, name)
	}
	slices.Sort(c.vary)
	c.vary = slices.Compact(c.vary)
	var err error
	// The body is base64 within JSON, together with the header.
	c.values, err = values.New[response](cfg.Cache, values.Policy{
		Group: "http", TTL: maxTTL, MaxSize: 2*cfg.MaxSize + 64<<10, LoadTimeout: cfg.Timeout,
	}, nil)
	if err != nil {
		return nil, fmt.Errorf("httpcache: %w", err)
	}
	return c, nil
}

// Handler answers from the cache if it can, otherwise with next.
func (c *Cache) Handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if why := c.forward(r); why != "" {
			c.pass(w, r, next, why)
			return
		}
		asked := directives(r.Header.Values("Cache-Control"))
		f := c.find(r, next, asked)
		switch {
		case errors.Is(f.err, errOnlyCached):
			w.Header().Add("Cache-Status", c.cfg.Name+"; fwd=miss")
			http.Error(w, "not in the cache", http.StatusGatewayTimeout)
		case f.err != nil && r.Context().Err() != nil:
			return
		case f.err != nil || f.stored.Pass:
			c.pass(w, r, next, "miss")
		case tooOld(asked, f.stored, f.answer.Age):
			c.pass(w, r, next, "request")
		default:
			c.send(w, r, f)
		}
	})
}

// forward returns the reason why a request bypasses the cache, "" if there is none.
func (c *Cache) forward(r *http.Request) string {
	asked := directives(r.Header.Values("Cache-Control"))
	_, noStore := asked["no-store"]
	_, noCache := asked["no-cache"]
	switch {
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		return "method"
	case r.Header.Get("Range") != "" || r.Header.Get("Upgrade") != "" || r.ContentLength != 0,
		strings.Contains(r.Header.Get("Accept"), "text/event-stream"):
		return "bypass"
	case noStore || noCache || (len(asked) == 0 && r.Header.Get("Pragma") == "no-cache"):
		return "request"
	}
	return ""
}

// pass calls next with the caller's own writer.
func (c *Cache) pass(w http.ResponseWriter, r *http.Request, next http.Handler, why string) {
	w.Header().Add("Cache-Status", c.cfg.Name+"; fwd="+why)
	if why != "method" {
		next.ServeHTTP(&stripped{ResponseWriter: w, field: c.cfg.Target}, r)
		return
	}
	if safe := r.Method == http.MethodOptions || r.Method == http.MethodTrace; safe {
		next.ServeHTTP(w, r)
		return
	}
	// Before the caller gets the status, because its next request must see the change; and once more at the end,
	// because the handler may have answered before its change was done.
	s := &stripped{ResponseWriter: w, field: c.cfg.Target, before: func(code int) { c.changed(r, code) }}
	next.ServeHTTP(s, r)
	c.changed(r, s.code)
}

// changed invalidates the cached responses of a path after an unsafe request that succeeded (RFC 9111, section 4.4).
// While Redis does not respond, no response is served from it.
func (c *Cache) changed(r *http.Request, code int) {
	if code >= 400 {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), time.Second)
	defer cancel()
	_ = values.InvalidateTags(ctx, c.cfg.Cache, pathTag(r))
}

// pathTag returns the tag of a path's responses. It leaves out the scheme: behind a proxy the client's scheme is
// unknown, and a change under one scheme is a change under the other.
func pathTag(r *http.Request) values.Tag {
	return values.NamedTag("http:" + host(r) + path(r.URL))
}

// send answers with a response from the cache, from this request's own call of the handler, or from a call that this
// request waited for.
func (c *Cache) send(w http.ResponseWriter, r *http.Request, f found) {
	h, stored, a := w.Header(), f.stored, f.answer
	for name, values := range stored.Header {
		if name == "Vary" { // handlers outside of this one may add to Vary, too
			values = append(h[name], values...)
		}
		h[name] = values
	}
	status := c.cfg.Name + "; hit; ttl=" + strconv.FormatInt(int64(a.TTL/time.Second), 10)
	switch {
	case a.Source == values.Bypass:
		status = c.cfg.Name + "; fwd=bypass"
	case a.Joined:
		status = c.cfg.Name + "; fwd=miss; collapsed"
	case a.Source == values.Filled:
		status = c.cfg.Name + "; fwd=miss; stored"
	case a.Source == values.Missed:
		status = c.cfg.Name + "; fwd=miss"
	default:
		h.Set("Age", strconv.FormatInt(int64((stored.age()+a.Age)/time.Second), 10))
	}
	h.Add("Cache-Status", status)
	if notModified(r.Header, stored) {
		h.Del("Content-Type")
		h.Del("Content-Length")
		h.Del("Content-Encoding")
		w.WriteHeader(http.StatusNotModified)
		return
	}
	h.Set("Content-Length", strconv.Itoa(len(stored.Body)))
	if stored.Code == http.StatusNoContent {
		h.Del("Content-Length")
	}
	w.WriteHeader(stored.Code)
	if r.Method != http.MethodHead {
		_, _ = w.Write(stored.Body) // if the caller is gone, the error is irrelevant
	}
}
