package ratelimit_test

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/cache/ratelimit"
)

func TestAddress(t *testing.T) {
	proxies := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}
	for _, tt := range []struct {
		name      string
		peer      string
		xff       []string
		forwarded []string
		want      string
	}{
		{name: "no proxy", peer: "192.0.2.1:80", want: "192.0.2.1"},
		{name: "fields of a stranger prove nothing", peer: "192.0.2.1:80", xff: []string{"203.0.113.9"},
			forwarded: []string{"for=203.0.113.9"}, want: "192.0.2.1"},
		{name: "one proxy", peer: "10.0.0.1:80", xff: []string{"192.0.2.1"}, want: "192.0.2.1"},
		{name: "a forged hop further out", peer: "10.0.0.1:80", xff: []string{"203.0.113.9, 192.0.2.1"},
			want: "192.0.2.1"},
		{name: "two proxies", peer: "10.0.0.1:80", xff: []string{"203.0.113.9, 192.0.2.1, 10.0.0.2"},
			want: "192.0.2.1"},
		{name: "several lines are one list", peer: "10.0.0.1:80", xff: []string{"203.0.113.9", "192.0.2.1", "10.0.0.2"},
			want: "192.0.2.1"},
		{name: "proxies alone", peer: "10.0.0.1:80", xff: []string{"10.0.0.3, 10.0.0.2"}, want: "10.0.0.3"},
		{name: "no field", peer: "10.0.0.1:80", want: "10.0.0.1"},
		{name: "a hop that is no address", peer: "10.0.0.1:80", xff: []string{"192.0.2.1, what, 10.0.0.2"},
			want: "10.0.0.2"},
		{name: "an empty field", peer: "10.0.0.1:80", xff: []string{""}, want: "10.0.0.1"},
		{name: "a port", peer: "10.0.0.1:80", xff: []string{"192.0.2.1:4711"}, want: "192.0.2.1"},
		{name: "IPv6", peer: "[fd00::1]:80", xff: []string{"2001:db8::1"}, want: "2001:db8::1"},
		{name: "IPv4 within IPv6", peer: "[::ffff:10.0.0.1]:80", xff: []string{"::ffff:192.0.2.1"}, want: "192.0.2.1"},
		{name: "Forwarded", peer: "10.0.0.1:80", forwarded: []string{`for=192.0.2.1;proto=https;by=10.0.0.1`},
			want: "192.0.2.1"},
		{name: "Forwarded, quoted", peer: "10.0.0.1:80", forwarded: []string{`For="[2001:db8::1]:4711"`},
			want: "2001:db8::1"},
		{name: "Forwarded, a comma in quotes", peer: "10.0.0.1:80",
			forwarded: []string{`for=203.0.113.9, for=192.0.2.1;host="a,for=1.1.1.1"`}, want: "192.0.2.1"},
		{name: "Forwarded, a quote in quotes", peer: "10.0.0.1:80", forwarded: []string{`host="a\",";for=192.0.2.1`},
			want: "192.0.2.1"},
		{name: "Forwarded, obfuscated", peer: "10.0.0.1:80", forwarded: []string{`for=192.0.2.1, for=_hidden`},
			want: "10.0.0.1"},
		{name: "Forwarded, unknown", peer: "10.0.0.1:80", forwarded: []string{`for=unknown`}, want: "10.0.0.1"},
		{name: "a quote that never ends", peer: "10.0.0.1:80", forwarded: []string{`for="x`, `for=192.0.2.1`},
			want: "10.0.0.1"},
		{name: "both agree", peer: "10.0.0.1:80", xff: []string{"192.0.2.1"}, forwarded: []string{"for=192.0.2.1"},
			want: "192.0.2.1"},
		{name: "both differ: one is forged", peer: "10.0.0.1:80", xff: []string{"192.0.2.1"},
			forwarded: []string{"for=203.0.113.9"}, want: "10.0.0.1"},
		{name: "a peer that is no address", peer: "@", want: "invalid IP"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := httptest.NewRequest(http.MethodGet, "/", nil)
			r.RemoteAddr = tt.peer
			r.Header["X-Forwarded-For"], r.Header["Forwarded"] = tt.xff, tt.forwarded
			require.Equal(t, tt.want, ratelimit.Address(r, proxies).String())
		})
	}
}

func TestCallers(t *testing.T) {
	from := func(peer, token string) *http.Request {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.RemoteAddr = peer
		r.Header.Set("Authorization", token)
		return r
	}
	token := ratelimit.ByToken(func(r *http.Request) string { return r.Header.Get("Authorization") })
	address := ratelimit.ByAddress(nil)
	both := ratelimit.First(token, address)

	require.Equal(t, address(from("[2001:db8::1]:1", "")), address(from("[2001:db8::ffff]:2", "")),
		"one /64 is one caller")
	require.NotEqual(t, address(from("[2001:db8:0:1::1]:1", "")), address(from("[2001:db8:0:2::1]:1", "")))
	require.NotEqual(t, address(from("192.0.2.1:1", "")), address(from("192.0.2.2:1", "")))
	require.Empty(t, token(from("192.0.2.1:1", "")))
	require.Equal(t, both(from("192.0.2.1:1", "a")), both(from("192.0.2.2:1", "a")))
	require.NotEqual(t, both(from("192.0.2.1:1", "a")), both(from("192.0.2.1:1", "b")))
	require.Equal(t, address(from("192.0.2.1:1", "")), both(from("192.0.2.1:1", "")))
	require.NotEqual(t, token(from("", "192.0.2.1")), address(from("192.0.2.1:1", "")),
		"a token cannot pass for an address")
}
