package process

import (
	"fmt"
	"net/http"

	"github.com/afterwrite/afterwrite/cache/ratelimit"
	"github.com/afterwrite/afterwrite/internal/token"
)

// limits is what the API asks before it answers a request.
type limits interface {
	Admit(h http.Header, r *http.Request) error
}

// newLimit is the rate limit of the API; nil where the configuration has none.
func (p *Parts) newLimit() (limits, error) {
	c := p.Config.API
	if c.RateLimit.Limit == 0 {
		return nil, nil
	}
	limit, err := ratelimit.New(ratelimit.Config{
		Cache: p.Cache, Caller: ratelimit.First(ratelimit.ByToken(tokenOf), ratelimit.ByAddress(c.TrustedProxies)),
		FailClosed: c.RateLimit.FailClosed,
		Policies:   []ratelimit.Policy{{Name: "default", Limit: c.RateLimit.Limit, Window: c.RateLimit.Window}},
		Log:        p.Log, Registerer: p.Metrics,
	})
	if err != nil {
		return nil, fmt.Errorf("%w: api.rate_limit: %w", ErrConfig, err)
	}
	return limit, nil
}

// tokenOf is the name of the token that a request was made with, "" for none.
func tokenOf(r *http.Request) string {
	who, _ := token.FromContext(r.Context())
	return who.Name
}
