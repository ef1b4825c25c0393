package dashboard_test

import (
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/cache"
	"github.com/afterwrite/afterwrite/cache/session"
	"github.com/afterwrite/afterwrite/dashboard"
	"github.com/afterwrite/afterwrite/internal/testkit"
)

// browser is somebody with cookies of his own.
type browser struct {
	t    *testing.T
	base string
	*http.Client
}

func newBrowser(t *testing.T, base string) *browser {
	t.Helper()
	jar, err := cookiejar.New(nil)
	require.NoError(t, err)
	return &browser{t, base, &http.Client{Jar: jar, CheckRedirect: func(*http.Request,
		[]*http.Request) error {
		return http.ErrUseLastResponse
	}}}
}

func (b *browser) ask(method, path string, form url.Values, more ...func(*http.Request)) (*http.Response, string) {
	b.t.Helper()
	r, err := http.NewRequestWithContext(b.t.Context(), method, b.base+path, strings.NewReader(form.Encode()))
	require.NoError(b.t, err)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	for _, m := range more {
		m(r)
	}
	answer, err := b.Do(r)
	require.NoError(b.t, err)
	defer answer.Body.Close()
	return answer, body(b.t, answer)
}

func (b *browser) login(name, password string, more ...func(*http.Request)) int {
	b.t.Helper()
	r, _ := b.ask(http.MethodPost, "/login", url.Values{"name": {name}, "password": {password}}, more...)
	return r.StatusCode
}

// Who has logged in still sees the pages when Redis, which keeps the sessions, is away, and
// others can log in; a session that was ended elsewhere is over.
func TestSessionsOutliveRedis(t *testing.T) {
	t.Parallel()
	redis := testkit.Redis(t)
	c, err := cache.New(cache.Config{URL: redis.URL(), Log: testkit.Logger(t)})
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Close() })
	kept, err := session.New(session.Config{Cache: c, UserKey: dashboard.SessionUser})
	require.NoError(t, err)
	serve := func(users ...dashboard.User) string {
		s := healthy()
		h, err := dashboard.New(dashboard.Config{Entities: entities(t), Cache: s, Store: s, Go: nothing, Users: users,
			Sessions: kept, Log: testkit.Logger(t)})
		require.NoError(t, err)
		server := httptest.NewServer(h)
		t.Cleanup(server.Close)
		return server.URL
	}
	one := serve(people[:2]...)
	vera := newBrowser(t, one)
	require.Equal(t, http.StatusSeeOther, vera.login("vera", "vera's password"))
	r, page := vera.ask(http.MethodGet, "/", nil)
	require.Equal(t, http.StatusOK, r.StatusCode)
	require.Contains(t, page, "vera (viewer)")

	redis.Kill()
	r, page = vera.ask(http.MethodGet, "/", nil)
	require.Equal(t, http.StatusOK, r.StatusCode)
	require.Contains(t, page, "vera (viewer)")
	otto := newBrowser(t, one)
	require.Equal(t, http.StatusSeeOther, otto.login("otto", "otto's password"))
	_, page = otto.ask(http.MethodGet, "/", nil)
	require.Contains(t, page, "otto (operator)")
	redis.Start()

	// Another password ends the sessions of the old one, on every process.
	testkit.Eventually(t, "Redis keeps sessions again", func() bool {
		b := newBrowser(t, one)
		b.login("vera", "vera's password", func(r *http.Request) { r.Header.Set("X-Forwarded-For", "10.1.1.1") })
		again := newBrowser(t, serve(people[:2]...))
		u, _ := url.Parse(one)
		other, _ := url.Parse(again.base)
		again.Jar.SetCookies(other, b.Jar.Cookies(u))
		_, page := again.ask(http.MethodGet, "/", nil)
		if !strings.Contains(page, "vera (viewer)") {
			return false
		}
		changed := newBrowser(t, serve(dashboard.User{Name: "vera", Role: dashboard.Admin,
			Hash: hash("a new password")}))
		at, _ := url.Parse(changed.base)
		changed.Jar.SetCookies(at, b.Jar.Cookies(u))
		r, _ := changed.ask(http.MethodGet, "/", nil)
		require.Equal(t, http.StatusSeeOther, r.StatusCode, "the session was of another password")

		_, _ = again.ask(http.MethodPost, "/logout", nil)
		r, _ = b.ask(http.MethodGet, "/", nil)
		require.Equal(t, http.StatusSeeOther, r.StatusCode, "it was ended by another process")
		return true
	})
}

// Guessing locks out the guesser's address, and nobody else's.
func TestLoginTriesAreByAddress(t *testing.T) {
	t.Parallel()
	s := healthy()
	h, err := dashboard.New(dashboard.Config{Entities: entities(t), Cache: s, Store: s, Go: nothing, Users: people[:2],
		Proxy: dashboard.Proxy{Header: "X-User", From: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}})
	require.NoError(t, err)
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	from := func(addr string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set("X-Forwarded-For", addr) }
	}
	b := newBrowser(t, server.URL)
	last := 0
	for i := 0; i < 30 && last != http.StatusTooManyRequests; i++ {
		last = b.login("vera", "guess", from("203.0.113.7"))
	}
	require.Equal(t, http.StatusTooManyRequests, last)
	require.Equal(t, http.StatusSeeOther, b.login("vera", "vera's password", from("198.51.100.1")))
	last = 0
	for i := 0; i < 30 && last != http.StatusTooManyRequests; i++ {
		last = b.login("nobody", "guess", from("2001:db8::"+string(rune('1'+i%9))))
	}
	require.Equal(t, http.StatusTooManyRequests, last, "an IPv6 network is one address")

	// A header that came twice is not the proxy's alone.
	r, _ := b.ask(http.MethodGet, "/", nil, func(r *http.Request) { r.Header["X-User"] = []string{"otto", "vera"} })
	require.Equal(t, http.StatusSeeOther, r.StatusCode)
}

// The page after a log-in is one of the dashboard's, whatever the link said.
func TestLoginStaysBelowTheRoot(t *testing.T) {
	t.Parallel()
	s := healthy()
	h, err := dashboard.New(dashboard.Config{Entities: entities(t), Cache: s, Store: s, Go: nothing, Users: people[:1]})
	require.NoError(t, err)
	mux := http.NewServeMux()
	mux.Handle("/deep/", http.StripPrefix("/deep", h))
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	b := newBrowser(t, server.URL+"/deep")
	i := 0
	for next, want := range map[string]string{
		"entities/user?x=../..": "./entities/user?x=../..", "//evil.example/": "./evil.example/", "../other": "./",
		`..\other`:      "./",
		"a/%2e%2E/../x": "./", "%2e./x": "./", ".\t./x": "./", "a\r\nSet-Cookie: x=y": "./aSet-Cookie: x=y",
		"https://evil.example": "./https://evil.example",
	} {
		i++
		r, _ := b.ask(http.MethodPost, "/login", url.Values{"name": {"vera"}, "password": {"vera's password"},
			"next": {next}})
		require.Equal(t, http.StatusSeeOther, r.StatusCode)
		require.Equal(t, want, r.Header.Get("Location"), next)
		require.Empty(t, r.Header.Get("X"))
	}
	require.Less(t, i, 10, "an address has ten tries")
}
