package api

import (
	"fmt"
	"net/http"
	"net/url"
)

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

// cors is the set of origins from which browsers can call.
type cors struct {
	any     bool
	origins map[string]bool
}

func newCORS(list []string) (cors, error) {
	c := cors{origins: make(map[string]bool, len(list))}
	for _, origin := range list {
		if origin == "*" {
			c.any = true
			continue
		}
		u, err := url.Parse(origin)
		if err != nil || u.Host == "" || u.Scheme+"://"+u.Host != origin {
			return cors{}, fmt.Errorf(`%q is not an origin such as "https://app.example.com", nor "*"`, origin)
		}
		c.origins[origin] = true
	}
	return c, nil
}

func (c cors) on() bool { return c.any || len(c.origins) > 0 }

func (c cors) allows(origin string) bool { return c.any || c.origins[origin] }
