package peer

import (
	"net/http"
	"net/netip"
	"strings"
)

// Address returns the client's address: the peer's or, if the peer is a trusted proxy, the nearest address in
// X-Forwarded-For or Forwarded that is not a trusted proxy. Addresses further out were written by the client and prove
// nothing. A proxy must add to one of the two fields. If both are present and differ, one of them passed through the
// proxy as the client wrote it, and Address returns the proxy's own address. The zero address means that the peer's
// cannot be parsed.
func Address(r *http.Request, proxies []netip.Prefix) netip.Addr {
	peer, ok := parseAddress(r.RemoteAddr)
	if !ok || !trusted(peer, proxies) {
		return peer
	}
	xff := forwardedHops(r.Header.Values("X-Forwarded-For"))
	forwarded := hops(r.Header.Values("Forwarded"))
	a, b := nearest(peer, xff, proxies), nearest(peer, forwarded, proxies)
	switch {
	case len(forwarded) == 0:
		return a
	case len(xff) == 0 || a == b:
		return b
	}
	return peer
}

// nearest follows the hops from the peer outwards to the first that is not one of our proxies. It stops before a hop
// that cannot be parsed.
func nearest(peer netip.Addr, hops []string, proxies []netip.Prefix) netip.Addr {
	at := peer
	for i := len(hops) - 1; i >= 0; i-- {
		next, ok := parseAddress(hops[i])
		if !ok {
			return at
		}
		at = next
		if !trusted(at, proxies) {
			return at
		}
	}
	return at
}

func trusted(a netip.Addr, proxies []netip.Prefix) bool {
	for _, p := range proxies {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

// parseAddress parses an address with or without port and brackets. An IPv4 address within IPv6 becomes the IPv4
// address.
func parseAddress(s string) (netip.Addr, bool) {
	s = strings.TrimSpace(s)
	if p, err := netip.ParseAddrPort(s); err == nil {
		return p.Addr().Unmap().WithZone(""), true
	}
	if inner, ok := strings.CutPrefix(s, "["); ok {
		s, _ = strings.CutSuffix(inner, "]")
	}
	a, err := netip.ParseAddr(s)
	return a.Unmap().WithZone(""), err == nil
}

// forwardedHops returns the addresses of X-Forwarded-For, outermost first.
func forwardedHops(lines []string) []string {
	if len(lines) == 0 {
		return nil
	}
	return strings.Split(strings.Join(lines, ","), ",")
}

// hops returns the addresses of the field Forwarded (RFC 7239), outermost first; "" for an element without an address.
func hops(lines []string) []string {
	var list []string
	for _, element := range splitUnquoted(strings.Join(lines, ","), ',') {
		list = append(list, forwardedFor(element))
	}
	return list
}

func forwardedFor(element string) string {
	for _, pair := range splitUnquoted(element, ';') {
		name, value, _ := strings.Cut(pair, "=")
		if strings.EqualFold(strings.TrimSpace(name), "for") {
			return strings.Trim(strings.TrimSpace(value), `"`)
		}
	}
	return ""
}

// splitUnquoted splits s at a mark outside quoted strings. Blank parts are dropped.
func splitUnquoted(s string, mark byte) []string {
	var parts []string
	quoted, from := false, 0
	cut := func(to int) {
		if part := strings.TrimSpace(s[from:to]); part != "" {
			parts = append(parts, part)
		}
		from = to + 1
	}
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '"':
			quoted = !quoted
		case s[i] == '\\' && quoted:
			i++
		case s[i] == mark && !quoted:
			cut(i)
		}
	}
	cut(len(s))
	return parts
}
