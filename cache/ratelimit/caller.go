package ratelimit

import (
	"net/http"
	"net/netip"

	"github.com/afterwrite/afterwrite/internal/peer"
)

// Caller names whom a request counts for; "" is nobody. The text is any: only its digest
// gets into Redis.
type Caller func(*http.Request) string

// ByAddress counts for the client's address, which is found as [Address] says. IPv6
// callers count by their /64: one machine has that many addresses.
func ByAddress(proxies []netip.Prefix) Caller {
	return func(r *http.Request) string {
		a := peer.Address(r, proxies)
		if a.Is6() {
			if p, err := a.Prefix(64); err == nil {
				return "address " + p.String()
			}
		}
		return "address " + a.String() // one for all whose address cannot be read
	}
}

// ByToken counts for the token, or the user, that id answers. id must know it for
// genuine: a caller who may make tokens up is not limited by their number.
func ByToken(id func(*http.Request) string) Caller {
	return func(r *http.Request) string {
		if token := id(r); token != "" {
			return "token " + token
		}
		return ""
	}
}

// First counts for the first of the callers that is somebody.
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

// Address is the address of the client: the peer's, or, where the peer is one of the
// trusted proxies, the nearest address in X-Forwarded-For or Forwarded that is not a
// trusted proxy's. The zero address is a peer that cannot be read.
func Address(r *http.Request, proxies []netip.Prefix) netip.Addr { return peer.Address(r, proxies) }
