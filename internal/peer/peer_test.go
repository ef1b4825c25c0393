package peer_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/internal/peer"
)

func TestHosts(t *testing.T) {
	t.Parallel()
	h := peer.NewHosts([]string{"api.example.com", "10.0.0.7", "::2"})
	for _, host := range []string{
		"", "localhost", "LocalHost:8080", "localhost.", "app.localhost:1", "127.0.0.1", "127.0.0.1:8080", "127.9.9.9",
		"[::1]", "[::1]:8080", "::1",
		"[::ffff:127.0.0.1]:80", "api.example.com", "API.example.com:443", "api.example.com.", "10.0.0.7:1", "[::2]:1",
	} {
		require.True(t, h.Allow(host), host)
	}
	for _, host := range []string{
		"evil.example", "evil.example:8080", "localhost.evil.example", "127.0.0.1.evil.example",
		"127.0.0.1.nip.io:8080", "0.0.0.0", "0.0.0.0:8080", "[::]",
		"evillocalhost", "localhost@evil.example", "10.0.0.8", "example.com", "x.api.example.com", "127.1",
		"2130706433", "0x7f.1", "localhost:1:2",
		"localhost, evil.example", "[::1", "127.0.0.1%00.evil.example", " localhost",
	} {
		require.False(t, h.Allow(host), host)
	}
	behind := h.AllowPlain("127.0.0.1:8080")
	for _, host := range []string{"api", "afterwrite_apis", "localhost", "localhost:8080", "API"} {
		require.True(t, behind(host), host)
	}
	for _, host := range []string{"evil.example", "0x7f000001", "2130706433", "127.1", "a@b", "::3", "wiki:8080",
		"wiki:80", "wiki:"} {
		require.False(t, behind(host), host)
	}
	// A browser leaves these ports out.
	require.False(t, h.AllowPlain("127.0.0.1:80")("wiki"))
	require.False(t, h.AllowPlain("127.0.0.1:443")("wiki"))
	require.True(t, h.AllowPlain("127.0.0.1:80")("localhost"))
	require.True(t, peer.Hosts{}.Allow("localhost"))
	require.False(t, peer.Hosts{}.Allow("api.example.com"))
}

func TestForwarded(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"Forwarded", "Via", "X-Forwarded-For", "X-Forwarded-Proto", "X-Real-IP",
		"CF-Connecting-IP", "X-Forwarded", "X-Forwarded-By", "X-Forwarded-Ssl", "X-Forwarded-User", "X-Original-URL",
		"X-Rewrite-URL", "X-Azure-ClientIP", "X-ProxyUser-Ip", "X-Appengine-User-IP", "Client-IP", "Fly-Client-IP",
		"CDN-Loop", "Tailscale-User-Login", "X-NginX-Proxy", "X-Varnish", "Remote-User"} {
		h := http.Header{}
		h.Set(name, "")
		require.True(t, peer.Forwarded(h), name)
	}
	require.False(t, peer.Forwarded(http.Header{"Accept": {"*/*"}, "X-Request-Id": {"1"}}))
}

func TestLoopback(t *testing.T) {
	t.Parallel()
	for _, addr := range []string{"127.0.0.1:0", "localhost:8080", "[::1]:80", "127.3.2.1:1"} {
		require.True(t, peer.Loopback(addr), addr)
	}
	for _, addr := range []string{":8080", "0.0.0.0:8080", "[::]:80", "10.0.0.1:80", "example.com:80", "127.0.0.1"} {
		require.False(t, peer.Loopback(addr), addr)
	}
}
