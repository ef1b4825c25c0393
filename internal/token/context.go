package token

import "context"

// Identity is the token that a request was made with, and its scopes. The zero value is allowed nothing.
type Identity struct {
	Number int64  // of the token in the database; 0 for [Anybody]
	Name   string // of the token, for logs and the audit; "" for [Anybody]
	Scopes Scopes
}

// Anybody is the identity of a request without a token where no token is required. It is allowed everything.
var Anybody = Identity{Scopes: Scopes{map[string]Action{Every: Read | Write | Admin}}}

// Anonymous reports whether the request was made without a token.
func (i Identity) Anonymous() bool { return i.Number == 0 }

// Allow returns nil, or a [ScopeError], for an action on an entity, or on [Every].
func (i Identity) Allow(a Action, entity string) error {
	if i.Scopes.Allow(a, entity) {
		return nil
	}
	return &ScopeError{Token: i.Name, Needs: entity + ":" + a.String()}
}

// AllowSomewhere returns nil if the action is allowed on any entity. The caller must then check each part of the
// request by itself.
func (i Identity) AllowSomewhere(a Action) error {
	if i.Scopes.Somewhere(a) {
		return nil
	}
	return &ScopeError{Token: i.Name, Needs: Every + ":" + a.String()}
}

type contextKey struct{}

// NewContext returns a context that carries the identity of a request.
func NewContext(ctx context.Context, i Identity) context.Context {
	return context.WithValue(ctx, contextKey{}, i)
}

// FromContext returns the identity of the request, if it was made with a token.
func FromContext(ctx context.Context) (Identity, bool) {
	i, ok := ctx.Value(contextKey{}).(Identity)
	return i, ok
}
