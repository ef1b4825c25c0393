package ratelimit

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/afterwrite/afterwrite/internal/problem"
)

// Handler limits the requests that reach next. A rejected request is answered 429, or with FailClosed also 503, each a
// problem of RFC 9457.
func (l *Limiter) Handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		err := l.Admit(w.Header(), r)
		if err == nil {
			next.ServeHTTP(w, r)
			return
		}
		p := problem.Of(err)
		p.SetHeader(w.Header())
		w.WriteHeader(p.Code)
		_, _ = w.Write(append(p.AppendTo(nil, ""), '\n')) // if the caller is gone, the error is irrelevant
	})
}

// Admit counts a request and sets the fields of its answer. The error is the answer to a rejected request: a problem
// with its status and Retry-After.
func (l *Limiter) Admit(h http.Header, r *http.Request) error {
	d, err := l.Take(r.Context(), l.cfg.Caller(r), 1, r)
	if err != nil {
		return err
	}
	d.SetHeader(h)
	switch {
	case d.Admitted:
		return nil
	case d.Failed != nil:
		return fmt.Errorf("rate limit: %w", d.Failed)
	}
	return d.problem()
}

// SetHeader sets RateLimit-Policy and RateLimit.
func (d Decision) SetHeader(h http.Header) {
	if len(d.Quotas) == 0 {
		return
	}
	policies, left := make([]string, len(d.Quotas)), make([]string, len(d.Quotas))
	for i, q := range d.Quotas {
		name := `"` + q.Policy.Name + `"`
		policies[i] = name + ";q=" + strconv.Itoa(q.Policy.Limit) + ";w=" + seconds(q.Policy.Window)
		left[i] = name + ";r=" + strconv.Itoa(q.Left) + ";t=" + seconds(q.Whole)
	}
	h.Set("RateLimit-Policy", strings.Join(policies, ", "))
	h.Set("RateLimit", strings.Join(left, ", "))
}

// RetryAfter returns the time until all policies would admit the request.
func (d Decision) RetryAfter() time.Duration {
	var wait time.Duration
	for _, q := range d.Quotas {
		wait = max(wait, q.Wait)
	}
	return wait
}

func (d Decision) problem() *problem.Problem {
	var names []string
	for _, q := range d.Quotas {
		if q.Wait > 0 || q.never {
			names = append(names, fmt.Sprintf("%q allows %d in %s", q.Policy.Name, q.Policy.Limit, q.Policy.Window))
		}
	}
	wait, _ := strconv.Atoi(seconds(d.RetryAfter()))
	return &problem.Problem{Name: "rate-limited", Code: http.StatusTooManyRequests, Title: "Too many requests",
		Detail: "the quota of requests is used up: " + strings.Join(names, "; "), RetryAfter: max(1, wait)}
}

// seconds rounds up, so that waiting that long is always enough.
func seconds(d time.Duration) string {
	return strconv.FormatInt(int64((d+time.Second-1)/time.Second), 10)
}
