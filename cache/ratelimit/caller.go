package ratelimit

import (
	"net/http"
	"net/netip"

	"github.com/afterwrite/afterwrite/internal/peer"
)

// Caller returns the name under which a request is counted, "" if the request is not counted. The text can be anything:
// only its digest is stored in Redis.
type Caller func(*http.Request) string

// ByAddress counts by the client's address, found as [Address] does. IPv6 callers are counted by their /64, because one
// machine has that many addresses.
func ByAddress(proxies []netip.Prefix) Caller {
	return func(r *http.Request) string {
		a := peer.Address(r, proxies)
		if a.Is6() {
			if p, err := a.Prefix(64); err == nil {
				return "address " + p.String()
			}
		}
		return "address " + a.String() // one count for all clients whose address cannot be parsed
	}
}

// ByToken counts by the token, or the user, that id returns. id must verify it: a caller that can invent tokens would
// not be limited.
func ByToken(id func(*http.Request) string) Caller {
	return func(r *http.Request) string {
		if token := id(r); token != "" {
			return "token " + token
		}
		return ""
	}
}

// First counts by the first of the callers that returns a name.
func First(callers ...Caller) Caller {
	return func(r *http.Request) string {
		for _, caller := range callers {
			if name := caller(r); name != "" {
				return name
			}
		}
		return ""
	}
}

// Everybody counts all requests together.
func Everybody(*http.Request) string { return "everybody" }

// Address returns the client's address: the peer's or, if the peer is a trusted proxy, the nearest address in
// X-Forwarded-For or Forwarded that is not a trusted proxy's. The zero address means that the peer's cannot be parsed.
func Address(r *http.Request, proxies []netip.Prefix) netip.Addr { return peer.Address(r, proxies) }
