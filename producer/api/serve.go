package api

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/afterwrite/afterwrite/internal/problem"
	"github.com/afterwrite/afterwrite/internal/span"
)

// Header values that all answers share. They never change.
var (
	headerJSON    = []string{"application/json"}
	headerNosniff = []string{"nosniff"}
	headerPolicy  = []string{"default-src 'none'; frame-ancestors 'none'"}
	headerNoStore = []string{"no-store"}
)

// ServeHTTP answers one request.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	began := time.Now()
	c := newCall(w, r)
	c.grace = a.slowGrace
	traced := span.Sampled(r.Context())
	if traced {
		c.trace()
	}
	a.answer(c)
	if traced {
		c.nameSpan()
	}
	a.free(c)
	if c.cut {
		a.metrics.slow.WithLabelValues("answer").Inc()
	}
	elapsed := time.Since(began)
	a.metrics.observe(c.end.name, r.Method, c.code, elapsed)
	if a.log.Enabled(r.Context(), slog.LevelDebug) {
		a.log.LogAttrs(r.Context(), slog.LevelDebug, "request",
			slog.String("request_id", c.requestID), slog.String("method", r.Method),
			slog.String("route", c.end.name), slog.String("entity", c.entityName()),
			slog.String("token", c.who.Name), slog.Int("code", c.code), slog.Duration("elapsed", elapsed))
	}
	c.release()
}

// answer runs the request's handler and turns its result, or a panic, into the answer.
func (a *API) answer(c *call) {
	defer func() {
		switch v := recover(); v {
		case nil:
		case http.ErrAbortHandler:
			panic(v)
		default:
			c.spoilt = true
			a.log.ErrorContext(c.r.Context(), "handler panicked", "request_id", c.requestID, "route", c.end.name,
				"panic", fmt.Sprint(v), "stack", string(debug.Stack()))
			a.refuse(c, problem.Internal(nil))
		}
	}()
	if err := a.dispatch(c); err != nil {
		a.refuse(c, err)
	}
}

// bound gives one operation its deadline. It does not cover reading a body, which the server's read timeout bounds.
func (a *API) bound(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, a.timeout)
}

func (a *API) dispatch(c *call) error {
	h := c.header
	h["X-Request-Id"] = []string{c.requestID}
	h["X-Content-Type-Options"] = headerNosniff
	h["Content-Security-Policy"] = headerPolicy
	h["Cache-Control"] = headerNoStore
	if _, ok := c.r.Header["Prefer"]; ok {
		prefers := readPreference(c.r.Header, a.maxWait)
		c.versions = prefers.versions
		if c.texts = prefers.texts; c.texts {
			h["Preference-Applied"] = []string{"ints=string"}
		}
	}
	err := a.route(c)
	if c.end != adminEnd && a.cors.on() && a.crossOrigin(c) {
		return nil
	}
	if refused := a.admit(c); refused != nil {
		return refused
	}
	if err != nil {
		return err
	}
	if err := a.mayCall(c); err != nil {
		return err
	}
	ctx := c.r.Context() // contains the caller's identity now
	if c.end == adminEnd {
		return a.serveAdmin(ctx, c)
	}
	handle, ok := c.end.methods[c.r.Method]
	switch {
	case ok:
		return handle(ctx, c)
	case c.r.Method == http.MethodOptions:
		h.Set("Allow", c.end.allow)
		c.send(http.StatusNoContent, nil)
		return nil
	}
	h.Set("Allow", c.end.allow)
	return problem.Method(c.end.allow)
}

// Headers of the cross-origin protocol (https://fetch.spec.whatwg.org/#http-cors-protocol).
const (
	corsRequestHeaders = "Authorization, Content-Type, Idempotency-Key, If-Match, If-None-Match, Last-Event-ID, Prefer, X-Request-Id"
	corsExposed        = "Afterwrite-Freshness, Afterwrite-Lag, Afterwrite-Status, Cache-Status, ETag, Idempotency-Replayed, Location, Preference-Applied, RateLimit, RateLimit-Policy, Retry-After, X-Request-Id"
	corsMaxAge         = "600" // seconds a browser may remember a preflight
)

// crossOrigin adds the headers that let a browser of an allowed origin read the answer, and answers a preflight. It
// reports whether the request is answered.
func (a *API) crossOrigin(c *call) bool {
	h := c.header
	h.Add("Vary", "Origin")
	origin := c.r.Header.Get("Origin")
	if origin == "" || !a.cors.allows(origin) {
		return false
	}
	h.Set("Access-Control-Allow-Origin", origin)
	h.Set("Access-Control-Expose-Headers", corsExposed)
	if c.r.Method != http.MethodOptions || c.r.Header.Get("Access-Control-Request-Method") == "" {
		return false
	}
	h.Set("Access-Control-Allow-Methods", c.end.allow)
	h.Set("Access-Control-Allow-Headers", corsRequestHeaders)
	h.Set("Access-Control-Max-Age", corsMaxAge)
	c.send(http.StatusNoContent, nil)
	return true
}

// maxRequestID bounds a caller's own request id.
const maxRequestID = 128

// requestID returns the caller's X-Request-Id if it can be logged, otherwise a new one.
func requestID(r *http.Request) string {
	given := r.Header["X-Request-Id"]
	if len(given) == 1 && len(given[0]) <= maxRequestID && given[0] != "" && !strings.ContainsFunc(given[0], unfit) {
		return given[0]
	}
	return newRequestID()
}

func newRequestID() string {
	var id [26]byte // 2 × 13 digits of base 32 hold 128 bits
	b := strconv.AppendUint(id[:0], rand.Uint64()|1<<63, 32)
	return string(strconv.AppendUint(b, rand.Uint64()|1<<63, 32))
}

func unfit(r rune) bool {
	letter := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9'
	return !letter && !strings.ContainsRune("-_.:/+=@~", r)
}

// onlyParameters rejects a query parameter that the endpoint does not know: with a misspelt one ignored, the answer
// would silently be wrong.
func (c *call) onlyParameters(known ...string) error {
	if c.r.URL.RawQuery == "" {
		return nil
	}
	for p, err := range parameters(c.r.URL.RawQuery) {
		if err != nil {
			return err
		}
		if !slices.Contains(known, p.name) && (p.name != "id" || !c.queryID) {
			return problem.BadParameter(p.name, "is not a parameter of this route")
		}
	}
	return nil
}
