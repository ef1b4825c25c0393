package api

import "net/http"

// Limits is a rate limiter. Admit counts a request and sets the fields of its answer; the
// error is the answer to a request that is refused.
type Limits interface {
	Admit(h http.Header, r *http.Request) error
}

// unlimited are the routes without a rate limit, because monitoring and operators need them.
var unlimited = map[string]bool{"healthz": true, "readyz": true, "metrics": true, "openapi": true, "admin": true}

// limit counts the request, even if its path names nothing.
func (a *API) limit(c *call) error {
	if a.limits == nil || unlimited[c.end.name] {
		return nil
	}
	return a.limits.Admit(c.header, c.r)
}
