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

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"github.com/afterwrite/afterwrite/internal/problem"
	"github.com/afterwrite/afterwrite/internal/span"
	"github.com/afterwrite/afterwrite/producer/api/internal/request"
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
	c.holds.Start(a.shares, r, &c.who, a.proxies)
	traced := span.Sampled(r.Context())
	if traced {
		c.trace()
	}
	a.answer(c)
	a.paceRest(c)
	if traced {
		c.nameSpan()
	}
	c.holds.Free()
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

// bound gives one operation its deadline. It does not cover reading a body, which its least rate bounds.
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
		prefers := request.ReadPreference(c.r.Header, a.maxWait)
		c.versions = prefers.Versions
		if c.texts = prefers.Texts; c.texts {
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
	for p, err := range request.Parameters(c.r.URL.RawQuery) {
		if err != nil {
			return err
		}
		if !slices.Contains(known, p.Name) && (p.Name != "id" || !c.queryID) {
			return problem.BadParameter(p.Name, "is not a parameter of this route")
		}
	}
	return nil
}

// route is the attribute of the form of a path, by the conventions of OpenTelemetry.
const route = attribute.Key("http.route")

// trace notes the request's id for the writes of a traced request.
func (c *call) trace() { c.r = c.r.WithContext(span.WithRequest(c.r.Context(), c.requestID)) }

// nameSpan names the span of the request, which whatever serves the API has begun, by the form of its path: that is
// known only now.
func (c *call) nameSpan() {
	s := trace.SpanFromContext(c.r.Context())
	if !s.IsRecording() {
		return
	}
	s.SetAttributes(span.RequestID.String(c.requestID))
	if c.entity != nil {
		s.SetAttributes(span.Entity.String(c.entity.Name))
	}
	if c.end.path != "" {
		s.SetName(c.r.Method + " " + c.end.path)
		s.SetAttributes(route.String(c.end.path))
	}
}
