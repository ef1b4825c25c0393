package ratelimit

import (
	"cmp"
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/afterwrite/afterwrite/cache"
)

// DefaultTimeout bounds how long a request waits for Redis before the limiter fails open
// or closed.
const DefaultTimeout = 250 * time.Millisecond

// MaxPolicies bounds the policies of a limiter.
const MaxPolicies = 16

//go:embed take.lua
var takeSource string

// takeScript is safe to repeat, but then counts a request twice.
var takeScript = cache.NewScript("ratelimit", takeSource)

// Policy is a quota of requests.
type Policy struct {
	Name   string // as callers see it: printable ASCII
	Limit  int    // requests; all of them can come at once
	Window time.Duration
	// Match reports whether the policy counts a request, for example by its route; nil: every request.
	Match func(*http.Request) bool
}

// worth returns the time in which a quota grows by one request.
func (p Policy) worth() int64 {
	return (p.Window.Microseconds() + int64(p.Limit) - 1) / int64(p.Limit)
}

// Config configures a [Limiter].
type Config struct {
	Cache    *cache.Cache
	Policies []Policy
	// Caller names the caller that a request is counted for; "" lets the request pass uncounted.
	Caller Caller
	// FailClosed rejects requests with 503 while Redis does not respond. Otherwise they pass.
	FailClosed bool
	Timeout    time.Duration         // for Redis to respond; 0: DefaultTimeout
	Log        *slog.Logger          // nil: slog.Default()
	Registerer prometheus.Registerer // nil: no metrics
}

// Limiter admits requests. It is safe for concurrent use, and needs no Close.
type Limiter struct {
	cfg     Config
	timeout time.Duration
	gate    *gate
	log     *slog.Logger
	metrics *prometheus.CounterVec
}

// New returns a limiter, or an error that names the invalid field of cfg.
func New(cfg Config) (*Limiter, error) {
	if cfg.Cache == nil || cfg.Caller == nil {
		return nil, errors.New("ratelimit: Cache and Caller are required")
	}
	if len(cfg.Policies) == 0 || len(cfg.Policies) > MaxPolicies {
		return nil, fmt.Errorf("ratelimit: Policies: there must be from 1 to %d", MaxPolicies)
	}
	for i, p := range cfg.Policies {
		if err := p.check(); err != nil {
			return nil, fmt.Errorf("ratelimit: Policies: %q: %w", p.Name, err)
		}
		if slices.ContainsFunc(cfg.Policies[:i], func(q Policy) bool { return q.Name == p.Name }) {
			return nil, fmt.Errorf("ratelimit: Policies: %q is there twice", p.Name)
		}
	}
	cfg.Policies = slices.Clone(cfg.Policies)
	l := &Limiter{cfg: cfg, timeout: cmp.Or(cfg.Timeout, DefaultTimeout), gate: newGate(),
		log: cmp.Or(cfg.Log, slog.Default())}
	l.metrics = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "afterwrite_ratelimit_requests_total",
		Help: "Requests that a rate limiter looked at: admitted, refused, or failed because Redis did not respond.",
	}, []string{"outcome"})
	for _, outcome := range []string{"admitted", "refused", "failed"} {
		l.metrics.WithLabelValues(outcome)
	}
	if cfg.Registerer != nil {
		if err := cfg.Registerer.Register(l.metrics); err != nil {
			return nil, fmt.Errorf("ratelimit: Registerer: %w", err)
		}
	}
	return l, nil
}

func (p Policy) check() error {
	printable := func(r rune) bool { return r < ' ' || r > '~' || r == '"' || r == '\\' }
	switch {
	case p.Name == "" || len(p.Name) > 64 || slices.ContainsFunc([]rune(p.Name), printable):
		return errors.New("policy: Name must be 1 to 64 printable ASCII characters, without quotes")
	case p.Limit < 1:
		return errors.New("policy: Limit must be at least 1")
	case p.Window < time.Second || p.Window > 366*24*time.Hour:
		return errors.New("policy: Window must be from 1s to 366 days")
	case p.Window.Microseconds() < int64(p.Limit):
		return errors.New("policy: Limit must be at most a million requests a second")
	}
	return nil
}

// Quota is the state of one policy after a request.
type Quota struct {
	Policy Policy
	Left   int           // requests that would be admitted now
	Whole  time.Duration // until the quota is whole again
	Wait   time.Duration // until the request would have been admitted; 0: it was
	never  bool          // the request's weight exceeds the whole quota
}

// Decision is a limiter's decision about a request.
type Decision struct {
	Admitted bool
	Quotas   []Quota // of the policies that count the request; empty if it was not counted
	Failed   error   // Redis did not respond; Admitted then depends on FailClosed
}

// Take counts a request of a caller with a weight, by the policies that match it. A weight of 0 takes nothing and only
// reads the quotas. r may be nil if no policy has a Match. An error means that the context ended; errors of Redis are
// in the Decision.
func (l *Limiter) Take(ctx context.Context, caller string, weight int, r *http.Request) (Decision, error) {
	policies := l.matching(r)
	if caller == "" || len(policies) == 0 {
		return Decision{Admitted: true}, nil
	}
	keys, args := make([]string, len(policies)), make([]any, 0, 1+2*len(policies))
	args = append(args, weight)
	tag := digest(caller)
	for i, p := range policies {
		keys[i] = l.cfg.Cache.Key("limit", tag, p.Name)
		args = append(args, p.worth(), p.Limit)
	}
	reply, err := l.gate.ask(ctx, l.timeout, func(ctx context.Context) (any, error) {
		return l.cfg.Cache.Eval(ctx, takeScript, keys, args...)
	})
	if ctx.Err() != nil {
		return Decision{}, ctx.Err()
	}
	d := Decision{Failed: err}
	if err == nil {
		d, err = decision(policies, reply)
	}
	if err != nil {
		d.Failed, d.Admitted = err, !l.cfg.FailClosed
	}
	l.count(ctx, d)
	return d, nil
}

func (l *Limiter) matching(r *http.Request) []Policy {
	policies := make([]Policy, 0, len(l.cfg.Policies))
	for _, p := range l.cfg.Policies {
		if p.Match == nil || (r != nil && p.Match(r)) {
			policies = append(policies, p)
		}
	}
	return policies
}

// decision decodes the script's reply.
func decision(policies []Policy, reply any) (Decision, error) {
	list, _ := reply.([]any)
	if len(list) != 1+3*len(policies) {
		return Decision{}, fmt.Errorf("ratelimit script: %d values for %d policies", len(list), len(policies))
	}
	n := func(i int) int64 { v, _ := list[i].(int64); return v }
	d := Decision{Admitted: n(0) == 1}
	for i, p := range policies {
		wait := n(3*i + 3)
		d.Quotas = append(d.Quotas, Quota{
			Policy: p, Left: int(max(0, n(3*i+1))), Whole: time.Duration(n(3*i+2)) * time.Microsecond,
			Wait: time.Duration(max(0, wait)) * time.Microsecond, never: wait < 0,
		})
	}
	return d, nil
}

func (l *Limiter) count(ctx context.Context, d Decision) {
	outcome := "refused"
	switch {
	case d.Failed != nil:
		outcome = "failed"
		l.log.DebugContext(ctx, "rate limit not checked", "admitted", d.Admitted, "error", d.Failed)
	case d.Admitted:
		outcome = "admitted"
	}
	l.metrics.WithLabelValues(outcome).Inc()
}

// digest keeps tokens out of Redis and keys short.
func digest(caller string) string {
	sum := sha256.Sum256([]byte(caller))
	return hex.EncodeToString(sum[:16])
}
