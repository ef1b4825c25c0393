// Package peer finds out where an HTTP request comes from: the address of its client, whether its Host is a name of
// this machine, and whether a proxy forwarded it. API, worker and dashboard all use it.
package peer

import (
	"net"
	"net/http"
	"net/netip"
	"regexp"
	"slices"
	"strings"
)

// Hosts are the names that a server without credentials answers to: the names of this machine, and those that its
// configuration adds. A page in a browser can let its own host name resolve to 127.0.0.1 (DNS rebinding), and then read
// from and write to the server there; the Host header reveals that name. The zero value allows only the names of this
// machine. Hosts are safe for concurrent use.
type Hosts struct{ more map[string]bool }

// NewHosts returns the hosts that are allowed beside this machine's own names. A name has no port and matches every
// port.
func NewHosts(names []string) Hosts {
	h := Hosts{more: make(map[string]bool, len(names))}
	for _, name := range names {
		h.more[canonical(name)] = true
	}
	return h
}

// Allow reports whether a Host header is one of the hosts. A request without a Host is
// allowed: no browser sends one.
func (h Hosts) Allow(host string) bool {
	if host == "" {
		return true
	}
	name := canonical(withoutPort(host))
	return Local(name) || h.more[name]
}

// AllowPlain is Allow for a server at an address, but also allows a name without a dot and without a port, such as the
// name of an upstream that nginx passes as Host. No such name can be registered in the public DNS; a search domain, or
// a device in the local network, can make one all the same. But a browser names the port of the server in Host unless
// it is 80 or 443, so a page that has such a name resolve to this machine comes with a port, and is not allowed.
func (h Hosts) AllowPlain(addr string) func(host string) bool {
	_, port, err := net.SplitHostPort(addr)
	if err != nil || port == "80" || port == "443" {
		return h.Allow
	}
	return func(host string) bool { return h.Allow(host) || plain.MatchString(canonical(host)) }
}

var plain = regexp.MustCompile(`^[a-z_][a-z0-9_-]*$`)

// Local reports whether a host, without its port, always names this machine: localhost, a name below it, or a loopback
// address.
func Local(name string) bool {
	name = canonical(name)
	if name == "localhost" || strings.HasSuffix(name, ".localhost") {
		return true
	}
	ip, err := netip.ParseAddr(name)
	return err == nil && ip.Unmap().IsLoopback()
}

// canonical returns a name in lower case, without brackets and the final dot.
func canonical(name string) string {
	name = strings.TrimSuffix(strings.ToLower(name), ".")
	if len(name) > 2 && name[0] == '[' && name[len(name)-1] == ']' {
		name = name[1 : len(name)-1]
	}
	return name
}

func withoutPort(host string) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		return name
	}
	return host
}

// marks are the headers beside X-Forwarded-… that proxies and tunnels add to forwarded requests. Browsers and usual
// clients do not send them.
var marks = []string{
	"Forwarded", "Via", "X-Original-Uri", "X-Original-Url", "X-Original-Host", "X-Original-Forwarded-For", "X-Rewrite-Url",
	"X-Real-Ip", "X-Client-Ip", "Client-Ip", "X-Cluster-Client-Ip", "X-Proxyuser-Ip", "True-Client-Ip",
	"X-Envoy-External-Address", "X-Envoy-Original-Path", "Cf-Connecting-Ip", "Cdn-Loop", "Fastly-Client-Ip",
	"Fly-Client-Ip", "X-Azure-Clientip", "X-Appengine-User-Ip", "Tailscale-User-Login", "X-Nginx-Proxy", "X-Varnish",
	"X-Sendfile-Type", "X-Accel-Mapping", "Remote-User", "X-Remote-User",
}

// Forwarded reports whether a proxy forwarded the request, as far as its headers show. Such a request comes from
// another machine, whatever its address and Host are.
func Forwarded(h http.Header) bool {
	for name := range h {
		if name == "X-Forwarded" || strings.HasPrefix(name, "X-Forwarded-") || slices.Contains(marks, name) {
			return true
		}
	}
	return false
}

// Loopback reports whether a listening address such as "127.0.0.1:8080" can be reached from this machine only.
func Loopback(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	return err == nil && Local(host)
}
