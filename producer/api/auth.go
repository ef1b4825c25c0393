package api

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/afterwrite/afterwrite/internal/token"
	"github.com/afterwrite/afterwrite/producer/api/internal/request"
	"github.com/afterwrite/afterwrite/schema"
)

// Guard identifies requests: the guard of package token.
type Guard interface {
	Identify(h http.Header) (token.Identity, error)
	Of(number int64) (token.Identity, error)
	Required() bool
}

// Limits is a rate limiter. Admit counts a request and sets the fields of its answer; the
// error is the answer to a request that is refused.
type Limits interface {
	Admit(h http.Header, r *http.Request) error
}

// access is what a route requires of its caller.
type access int

const (
	byEntity access = iota // read or write of the path's entity; of every entity if it names none
	toAll                  // nothing, not even a token
	toTokens               // a token
	ofEach                 // the handler checks each entity of the request
)

// accesses are the routes that are not byEntity, by the endpoint's name. Health and the description of the API reveal
// nothing about records; the metrics contain only numbers.
var accesses = map[string]access{
	"healthz": toAll, "readyz": toAll, "openapi": toAll,
	"metrics": toTokens,
	"batch":   ofEach, "events": ofEach, "ticket": ofEach,
}

// admit identifies the caller, and counts the request. A request without a valid token counts too, for its address.
func (a *API) admit(c *call) error {
	err := a.identify(c)
	if limited := a.limit(c); limited != nil {
		return limited
	}
	return err
}

// identify sets the caller's identity, also in the request's context: for the rate limit and, in the admin API, the
// audit.
func (a *API) identify(c *call) error {
	c.who = token.Anybody
	if a.guard == nil || accesses[c.end.name] == toAll {
		return nil
	}
	byTicket, err := false, error(nil)
	if c.end.name == "events" && a.tickets != nil {
		byTicket, err = a.identifyByTicket(c)
	}
	if !byTicket {
		c.who, err = a.guard.Identify(c.r.Header)
	}
	if err != nil {
		return err
	}
	if !c.who.Anonymous() {
		c.r = c.r.WithContext(token.NewContext(c.r.Context(), c.who))
	}
	return nil
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

// mayCall checks the scopes as far as the path shows what the request is about.
func (a *API) mayCall(c *call) error {
	switch {
	case accesses[c.end.name] != byEntity || c.r.Method == http.MethodOptions:
		return nil
	case c.end == adminEnd:
		return c.who.Allow(token.Admin, a.adminEntity(c))
	case c.entity == nil:
		return c.who.Allow(actionOf(c.r.Method), token.Every)
	}
	return c.who.Allow(actionOf(c.r.Method), c.entity.Name)
}

func actionOf(method string) token.Action {
	if method == http.MethodGet || method == http.MethodHead {
		return token.Read
	}
	return token.Write
}

// adminEntity returns the entity of an admin request: the path's, or for a read the entity of its only parameter with
// this name. A request about several entities, or one that names the entity only in its body, counts as about every
// entity.
func (a *API) adminEntity(c *call) string {
	path := strings.TrimPrefix(c.r.URL.EscapedPath(), adminPath)
	if rest, ok := strings.CutPrefix(path, "retry-policies/"); ok {
		name, _, _ := strings.Cut(rest, "/")
		return a.knownOrEvery(name)
	}
	if actionOf(c.r.Method) != token.Read {
		return token.Every
	}
	found := ""
	for p, err := range request.Parameters(c.r.URL.RawQuery) {
		if p.Name != "entity" && err == nil {
			continue
		}
		name, bad := p.Value()
		if err != nil || bad != nil || found != "" {
			return token.Every
		}
		found = name
	}
	return a.knownOrEvery(found)
}

func (a *API) knownOrEvery(name string) string {
	if _, ok := a.entities[name]; ok {
		return name
	}
	return token.Every
}

// mayRead checks the scopes for a request about several entities.
func (c *call) mayRead(entities []*schema.Entity) error {
	for _, e := range entities {
		if err := c.who.Allow(token.Read, e.Name); err != nil {
			return err
		}
	}
	return nil
}

// whileValid returns a context that ends with the caller's token, for an answer that can last longer than a token. The
// caller must call the returned function.
func (a *API) whileValid(ctx context.Context, c *call) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	if !c.who.Anonymous() {
		h, number := c.r.Header, c.ticketOf
		go a.endWith(ctx, cancel, func() error {
			if number != 0 {
				_, err := a.guard.Of(number)
				return err
			}
			_, err := a.guard.Identify(h)
			return err
		})
	}
	return ctx, cancel
}

// endWith calls cancel once the caller's token is no longer accepted. It returns when ctx ends.
func (a *API) endWith(ctx context.Context, cancel context.CancelFunc, check func() error) {
	tick := time.NewTicker(token.RefreshInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if check() != nil {
				cancel()
				return
			}
		}
	}
}
