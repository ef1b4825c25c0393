package dashboard_test

import (
	"crypto/rand"
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
	"github.com/afterwrite/afterwrite/store"
	"github.com/afterwrite/afterwrite/store/ledger"
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

// Operators are in, stay in and get in, on every process, when Redis cannot keep a session: it is full of what it may
// not evict, evicts the session at once, was emptied or is stopped. A log-out holds, too. With the database away as
// well, the operators of a process stay in there.
func TestOperatorsGetInWithoutRedis(t *testing.T) {
	t.Parallel()
	for name, breaks := range map[string]func(redis *testkit.RedisServer){
		"full":     func(redis *testkit.RedisServer) { fillUp(t, redis, "noeviction") },
		"evicting": func(redis *testkit.RedisServer) { fillUp(t, redis, "volatile-ttl") },
		"emptied": func(redis *testkit.RedisServer) {
			require.NoError(t, redis.Client(t).FlushAll(t.Context()).Err())
		},
		"stopped": func(redis *testkit.RedisServer) { redis.Kill() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			redis, faults := testkit.Redis(t), new(testkit.SQLFaults)
			db, err := ledger.Open(store.Config{URL: testkit.SQLite(t), Wrap: faults.Wrap}, entities(t))
			require.NoError(t, err)
			t.Cleanup(func() { _ = db.Close() })
			_, err = db.Migrate(t.Context(), false)
			require.NoError(t, err)
			one, other := dashboardOn(t, redis, db), dashboardOn(t, redis, db)
			vera := newBrowser(t, one)
			require.Equal(t, http.StatusSeeOther, vera.login("vera", "vera's password"))
			require.True(t, vera.sees(one, "vera (viewer)"))

			breaks(redis)
			require.True(t, vera.sees(one, "vera (viewer)"), "who was in is in")
			require.True(t, vera.sees(other, "vera (viewer)"), "on every process")
			otto := newBrowser(t, other)
			require.Equal(t, http.StatusSeeOther, otto.login("otto", "otto's password"))
			require.True(t, otto.sees(other, "otto (operator)"), "others get in")
			require.True(t, otto.sees(one, "otto (operator)"))
			page := newTab(t, one)
			page.open("/login")
			page.login("otto", "otto's password")
			page.sees("otto (operator)")

			copied := newBrowser(t, other)
			copied.take(otto, other)
			if name != "stopped" { // then it says that it cannot be known to have ended
				_, _ = otto.ask(http.MethodPost, "/logout", nil)
				require.False(t, copied.sees(other, "otto"), "it was ended by another process")
			}

			faults.Inject(testkit.Refuse, testkit.AnyStatement, testkit.Always())
			require.True(t, vera.sees(one, "vera (viewer)"))
		})
	}
}

// fillUp fills a Redis with what has no TTL, as records that are not persisted have none.
func fillUp(t *testing.T, redis *testkit.RedisServer, policy string) {
	t.Helper()
	client := redis.Client(t)
	require.NoError(t, client.ConfigSet(t.Context(), "maxmemory-policy", policy).Err())
	require.NoError(t, client.ConfigSet(t.Context(), "maxmemory", "8mb").Err())
	var err error
	for err == nil {
		err = client.Set(t.Context(), rand.Text(), strings.Repeat("x", 10_000), 0).Err()
	}
	require.ErrorContains(t, err, "OOM")
}

// dashboardOn serves a dashboard on a Redis and a database.
func dashboardOn(t *testing.T, redis *testkit.RedisServer, db *ledger.Ledger) (base string) {
	t.Helper()
	c, err := cache.New(cache.Config{URL: redis.URL(), Log: testkit.Logger(t)})
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Close() })
	kept, err := session.New(session.Config{Cache: c, UserKey: dashboard.SessionUser})
	require.NoError(t, err)
	s := healthy()
	h, err := dashboard.New(dashboard.Config{Entities: entities(t), Cache: s, Store: s, Go: nothing, Users: people[:2],
		Sessions: kept, SessionsToo: db.Sessions(), Log: testkit.Logger(t)})
	require.NoError(t, err)
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	return server.URL
}

// sees reports whether the overview of a dashboard, asked with the browser's cookies, has a text.
func (b *browser) sees(base, text string) bool {
	b.t.Helper()
	b.take(b, base)
	there := &browser{b.t, base, b.Client}
	_, page := there.ask(http.MethodGet, "/", nil)
	return strings.Contains(page, text)
}

// take copies the cookies of another, for a dashboard.
func (b *browser) take(from *browser, base string) {
	there, err := url.Parse(from.base)
	require.NoError(b.t, err)
	at, err := url.Parse(base)
	require.NoError(b.t, err)
	b.Jar.SetCookies(at, from.Jar.Cookies(there))
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

// Where browsers come by HTTPS every answer tells them to stay with it, and no cookie goes over anything else.
func TestHTTPSIsKept(t *testing.T) {
	t.Parallel()
	for _, https := range []bool{true, false} {
		s := healthy()
		h, err := dashboard.New(dashboard.Config{Entities: entities(t), Cache: s, Store: s, Go: nothing,
			Users: people[:1], HTTPS: https})
		require.NoError(t, err)
		mux := http.NewServeMux()
		mux.Handle("/deep/", http.StripPrefix("/deep", h))
		mux.Handle("/deep", http.StripPrefix("/deep", h))
		server := httptest.NewServer(mux)
		t.Cleanup(server.Close)
		b := newBrowser(t, server.URL+"/deep")
		for _, path := range []string{"", "/", "/login", "/nothing"} {
			r, _ := b.ask(http.MethodGet, path, nil)
			require.Equal(t, https, r.Header.Get("Strict-Transport-Security") != "", path)
		}
		r, _ := b.ask(http.MethodPost, "/login", url.Values{"name": {"vera"}, "password": {"vera's password"}})
		require.Len(t, r.Cookies(), 1)
		require.Equal(t, https, r.Cookies()[0].Secure)
	}
}
