// Package peer answers where an HTTP request comes from: the address of its client, whether
// its Host is a name of this machine, and whether a proxy has passed it on. API, worker and
// dashboard all decide by it.
package peer

import (
	"net"
	"net/http"
	"net/netip"
	"regexp"
	"strings"
)

// Hosts are the names under which a server answers that asks for no credentials: those of
// this machine, and those that its configuration adds. A page in a browser can have a name
// of its own resolve to 127.0.0.1 (DNS rebinding), and reads and writes what answers there;
// the Host header shows the name. The zero value allows the names of this machine alone.
// Hosts are safe for concurrent use.
type Hosts struct{ more map[string]bool }

// NewHosts returns the hosts that are allowed beside this machine's own names. A name has
// no port and stands for every port.
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

// AllowPlain is Allow, and allows names without a dot too, as nginx gives the name of its
// upstream for a Host. Nobody can own such a name in the public DNS.
func (h Hosts) AllowPlain(host string) bool {
	return h.Allow(host) || plain.MatchString(canonical(withoutPort(host)))
}

var plain = regexp.MustCompile(`^[a-z_][a-z0-9_-]*$`)

// Local reports whether a host, without its port, is a name of this machine that nobody
// else can own: localhost, a name below it, or a loopback address.
func Local(name string) bool {
	name = canonical(name)
	if name == "localhost" || strings.HasSuffix(name, ".localhost") {
		return true
	}
	ip, err := netip.ParseAddr(name)
	return err == nil && ip.Unmap().IsLoopback()
}

// canonical is a name in small letters, without brackets and the dot of the root.
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

// marks are the headers that proxies add to what they pass on. No browser and no usual
// client sends one of its own.
var marks = []string{
	"Forwarded", "Via", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Forwarded-Server", "X-Forwarded-Port",
	"X-Forwarded-Prefix", "X-Forwarded-Uri", "X-Original-Uri", "X-Original-Forwarded-For", "X-Real-Ip", "X-Client-Ip",
	"X-Cluster-Client-Ip", "True-Client-Ip", "Cf-Connecting-Ip", "X-Envoy-External-Address", "X-Envoy-Original-Path",
}

// Forwarded reports whether a proxy has passed the request on, as far as its headers say.
// Such a request comes from another machine, whatever its address and Host are.
func Forwarded(h http.Header) bool {
	for _, name := range marks {
		if _, ok := h[name]; ok {
			return true
		}
	}
	return false
}

// Loopback reports whether only this machine reaches a listening address such as
// "127.0.0.1:8080".
func Loopback(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	return err == nil && Local(host)
}
