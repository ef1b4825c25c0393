package ratelimit_test

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/afterwrite/afterwrite/cache"
	"github.com/afterwrite/afterwrite/cache/ratelimit"
	"github.com/afterwrite/afterwrite/internal/testkit"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m, testkit.Goroutines()) }

func newCache(t testing.TB, url, prefix string) *cache.Cache {
	t.Helper()
	c, err := cache.New(cache.Config{URL: url, Prefix: prefix})
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func limiter(t testing.TB, cfg ratelimit.Config) *ratelimit.Limiter {
	t.Helper()
	if cfg.Cache == nil {
		cfg.Cache = newCache(t, testkit.SharedRedis(t).URL(), testkit.Prefix(t))
	}
	if cfg.Caller == nil {
		cfg.Caller = ratelimit.Everybody
	}
	cfg.Timeout = cmp.Or(cfg.Timeout, time.Minute) // the default is too short for a machine that is busy with tests
	l, err := ratelimit.New(cfg)
	require.NoError(t, err)
	return l
}

func take(t testing.TB, l *ratelimit.Limiter, caller string, weight int) ratelimit.Decision {
	t.Helper()
	d, err := l.Take(t.Context(), caller, weight, nil)
	require.NoError(t, err)
	require.NoError(t, d.Failed)
	return d
}

func TestQuota(t *testing.T) {
	t.Parallel()
	l := limiter(t, ratelimit.Config{Policies: []ratelimit.Policy{{Name: "hourly", Limit: 3, Window: time.Hour}}})
	for left := 2; left >= 0; left-- {
		d := take(t, l, "ada", 1)
		require.True(t, d.Admitted)
		require.Equal(t, left, d.Quotas[0].Left)
	}
	d := take(t, l, "ada", 1)
	require.False(t, d.Admitted)
	require.Zero(t, d.Quotas[0].Left)
	require.InDelta(t, 20*60, d.RetryAfter().Seconds(), 60, "a third of the window gives one back")
	require.InDelta(t, 3600, d.Quotas[0].Whole.Seconds(), 60)
	require.True(t, take(t, l, "grace", 1).Admitted, "another caller has a quota of its own")

	again := take(t, l, "ada", 1)
	require.LessOrEqual(t, again.RetryAfter(), d.RetryAfter(), "a refused request takes nothing")
	require.Equal(t, 0, take(t, l, "ada", 0).Quotas[0].Left, "a weight of 0 tells how it stands")
	require.False(t, take(t, l, "linus", 4).Admitted, "more than the whole quota is never taken")
	require.Equal(t, 3, take(t, l, "linus", 0).Quotas[0].Left)
}

func TestQuotaComesBackEvenly(t *testing.T) {
	t.Parallel()
	l := limiter(t, ratelimit.Config{Policies: []ratelimit.Policy{{Name: "p", Limit: 20, Window: time.Second}}})
	before := time.Now()
	require.True(t, take(t, l, "ada", 20).Admitted)
	back := 0
	for began := time.Now(); time.Since(began) < time.Second; {
		if take(t, l, "ada", 1).Admitted {
			back++
		}
	}
	back += take(t, l, "ada", 0).Quotas[0].Left // on a busy machine the takes may be too few
	require.GreaterOrEqual(t, back, 20)
	require.LessOrEqual(t, back, int(time.Since(before)/(50*time.Millisecond)))
}

// TestAllOrNone shows that what one policy refuses takes nothing from the others.
func TestAllOrNone(t *testing.T) {
	t.Parallel()
	l := limiter(t, ratelimit.Config{Policies: []ratelimit.Policy{
		{Name: "narrow", Limit: 1, Window: time.Hour}, {Name: "wide", Limit: 10, Window: time.Hour},
	}})
	require.True(t, take(t, l, "ada", 1).Admitted)
	for range 5 {
		require.False(t, take(t, l, "ada", 1).Admitted)
	}
	d := take(t, l, "ada", 0)
	require.Equal(t, 0, d.Quotas[0].Left)
	require.Equal(t, 9, d.Quotas[1].Left)
}

// TestConcurrentCallers shows that callers in several processes share one quota exactly.
func TestConcurrentCallers(t *testing.T) {
	t.Parallel()
	prefix, url := testkit.Prefix(t), testkit.SharedRedis(t).URL()
	const limit = 100
	var admitted atomic.Int64
	var all sync.WaitGroup
	for range 4 {
		l := limiter(t, ratelimit.Config{Cache: newCache(t, url, prefix),
			Policies: []ratelimit.Policy{{Name: "daily", Limit: limit, Window: 24 * time.Hour}}, Timeout: time.Minute})
		for range 16 {
			all.Go(func() {
				for range 5 {
					if d, err := l.Take(context.Background(), "ada", 1, nil); err == nil && d.Failed == nil &&
						d.Admitted {
						admitted.Add(1)
					}
				}
			})
		}
	}
	all.Wait()
	require.EqualValues(t, limit, admitted.Load())
}

// TestKeysExpire shows that every key has a time to live from its first moment, no longer
// than the window, and that no token gets into Redis.
func TestKeysExpire(t *testing.T) {
	t.Parallel()
	server, prefix := testkit.SharedRedis(t), testkit.Prefix(t)
	l := limiter(t, ratelimit.Config{Cache: newCache(t, server.URL(), prefix),
		Policies: []ratelimit.Policy{{Name: "a", Limit: 2, Window: time.Minute},
			{Name: "b", Limit: 100, Window: time.Hour}}})
	for i := range 10 {
		take(t, l, fmt.Sprint("secret-", i), i%3)
	}
	rdb := server.Client(t)
	keys, err := rdb.Keys(t.Context(), prefix+":*").Result()
	require.NoError(t, err)
	require.Len(t, keys, 2*6, "a request that took nothing has left nothing")
	for _, key := range keys {
		require.NotContains(t, key, "secret")
		life := rdb.PTTL(t.Context(), key).Val()
		require.Positive(t, life, key)
		require.LessOrEqual(t, life, time.Hour)
	}
}

func TestHandler(t *testing.T) {
	t.Parallel()
	route := func(r *http.Request) bool { return strings.HasPrefix(r.URL.Path, "/costly") }
	registry := prometheus.NewRegistry()
	l := limiter(t, ratelimit.Config{Caller: ratelimit.ByAddress(nil), Registerer: registry,
		Policies: []ratelimit.Policy{
			{Name: "default", Limit: 5, Window: time.Hour}, {Name: "costly", Limit: 1, Window: time.Minute,
				Match: route},
		}})
	h := l.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("served")) }))
	get := func(path string) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
		return w
	}
	for _, tt := range []struct {
		path, policy, left, retry string
		code                      int
	}{
		{"/", `"default";q=5;w=3600`, `"default";r=4;t=720`, "", 200},
		{"/costly", `"default";q=5;w=3600, "costly";q=1;w=60`, `"default";r=3;t=1440, "costly";r=0;t=60`, "", 200},
		{"/costly", `"default";q=5;w=3600, "costly";q=1;w=60`, `"default";r=3;t=1440, "costly";r=0;t=60`, "60", 429},
		{"/", `"default";q=5;w=3600`, `"default";r=2;t=2160`, "", 200},
	} {
		w := get(tt.path)
		require.Equal(t, tt.code, w.Code)
		require.Equal(t, tt.policy, w.Header().Get("RateLimit-Policy"))
		requireSeconds(t, tt.left, w.Header().Get("RateLimit"))
		requireSeconds(t, tt.retry, w.Header().Get("Retry-After"))
		if tt.code == 200 {
			require.Equal(t, "served", w.Body.String())
			continue
		}
		require.Equal(t, "application/problem+json", w.Header().Get("Content-Type"))
		var p struct {
			Type, Detail string
			Status       int
		}
		require.NoError(t, json.Unmarshal(w.Body.Bytes(), &p))
		require.Equal(t, "urn:afterwrite:problem:rate-limited", p.Type)
		require.Contains(t, p.Detail, `"costly" allows 1 in 1m0s`)
		require.NotContains(t, p.Detail, `"default"`)
	}
	require.NoError(t, testutil.GatherAndCompare(registry, strings.NewReader(`
# HELP afterwrite_ratelimit_requests_total Requests that a rate limiter looked at: admitted, refused, or failed because Redis did not respond.
# TYPE afterwrite_ratelimit_requests_total counter
afterwrite_ratelimit_requests_total{outcome="admitted"} 3
afterwrite_ratelimit_requests_total{outcome="failed"} 0
afterwrite_ratelimit_requests_total{outcome="refused"} 1
`)))
}

var seconds = regexp.MustCompile(`(^|t=)\d+`)

// requireSeconds is require.Equal of a field whose seconds may be fewer, by what the test took.
func requireSeconds(t *testing.T, want, got string) {
	t.Helper()
	require.Equal(t, seconds.ReplaceAllString(want, "$1"), seconds.ReplaceAllString(got, "$1"))
	wanted, left := seconds.FindAllString(want, -1), seconds.FindAllString(got, -1)
	for i := range wanted {
		w, _ := strconv.Atoi(strings.TrimPrefix(wanted[i], "t="))
		n, _ := strconv.Atoi(strings.TrimPrefix(left[i], "t="))
		require.LessOrEqual(t, n, w, got)
		require.Greater(t, n, w-30, got)
	}
}

// TestRedisDown shows both settings while Redis does not answer: cut off, and silent.
func TestRedisDown(t *testing.T) {
	t.Parallel()
	server := testkit.SharedRedis(t)
	proxy := testkit.NewProxy(t, server.Addr())
	c := newCache(t, proxy.URL(t, server.URL()), testkit.Prefix(t))
	policies := []ratelimit.Policy{{Name: "p", Limit: 1, Window: time.Hour}}
	open := limiter(t, ratelimit.Config{Cache: c, Policies: policies, Timeout: 100 * time.Millisecond})
	closed := limiter(t, ratelimit.Config{Cache: c, Policies: policies, Timeout: 100 * time.Millisecond,
		FailClosed: true})
	code := func(l *ratelimit.Limiter) (int, http.Header) {
		w := httptest.NewRecorder()
		l.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})).ServeHTTP(w,
			httptest.NewRequest(http.MethodGet, "/", nil))
		return w.Code, w.Header()
	}
	for name, fail := range map[string]func(){"cut off": proxy.Cut, "silent": proxy.Blackhole} {
		fail()
		began := time.Now()
		got, h := code(open)
		require.Equal(t, 200, got, name)
		require.Empty(t, h.Get("RateLimit"), name)
		got, h = code(closed)
		require.Equal(t, 503, got, name)
		require.NotEmpty(t, h.Get("Retry-After"), name)
		require.Less(t, time.Since(began), 5*time.Second, name)
		proxy.Restore()
	}
	testkit.Eventually(t, "the limiter finds Redis again", func() bool { got, _ := code(closed); return got != 503 })
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	c := newCache(t, "redis://127.0.0.1:1", "x")
	one := func(p ratelimit.Policy) []ratelimit.Policy { return []ratelimit.Policy{p} }
	good := ratelimit.Policy{Name: "p", Limit: 1, Window: time.Second}
	for says, cfg := range map[string]ratelimit.Config{
		"required":     {Caller: ratelimit.Everybody, Policies: one(good)},
		"from 1 to 16": {Cache: c, Caller: ratelimit.Everybody},
		"there twice":  {Cache: c, Caller: ratelimit.Everybody, Policies: []ratelimit.Policy{good, good}},
		"Name must be": {Cache: c, Caller: ratelimit.Everybody,
			Policies: one(ratelimit.Policy{Name: `a"`, Limit: 1, Window: time.Second})},
		"Limit must be at least": {Cache: c, Caller: ratelimit.Everybody,
			Policies: one(ratelimit.Policy{Name: "p", Window: time.Second})},
		"Window must be": {Cache: c, Caller: ratelimit.Everybody,
			Policies: one(ratelimit.Policy{Name: "p", Limit: 1})},
		"at most a million": {Cache: c, Caller: ratelimit.Everybody,
			Policies: one(ratelimit.Policy{Name: "p", Limit: 1_000_001, Window: time.Second})},
	} {
		_, err := ratelimit.New(cfg)
		require.ErrorContains(t, err, says)
	}
}

func ExampleLimiter_Handler() {
	server, err := miniredis.Run() // any Redis
	if err != nil {
		fmt.Println(err)
		return
	}
	defer server.Close()
	c, err := cache.New(cache.Config{URL: "redis://" + server.Addr()})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = c.Close() }()
	limit, err := ratelimit.New(ratelimit.Config{
		Cache:    c,
		Caller:   ratelimit.ByAddress(nil), // no proxies: the peer is the client
		Policies: []ratelimit.Policy{{Name: "default", Limit: 2, Window: time.Minute}},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	handler := limit.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {}))
	for range 3 {
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
		fmt.Println(w.Code, w.Header().Get("RateLimit-Policy"))
	}
	// Output:
	// 200 "default";q=2;w=60
	// 200 "default";q=2;w=60
	// 429 "default";q=2;w=60
}
