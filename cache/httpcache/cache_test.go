package httpcache_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/afterwrite/afterwrite/cache"
	"github.com/afterwrite/afterwrite/cache/httpcache"
	"github.com/afterwrite/afterwrite/cache/values"
	"github.com/afterwrite/afterwrite/internal/testkit"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m, testkit.Goroutines()) }

// bundle is a cache before a handler that a test gives, and counts its calls.
type bundle struct {
	cache *cache.Cache
	pages *httpcache.Cache
	calls atomic.Int64
	serve http.Handler
}

func setup(t *testing.T, handler http.HandlerFunc, change ...func(*httpcache.Config)) *bundle {
	t.Helper()
	c, err := cache.New(cache.Config{URL: testkit.SharedRedis(t).URL(), Prefix: testkit.Prefix(t),
		Log: testkit.Logger(t)})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, c.Close()) })
	b := &bundle{cache: c}
	cfg := httpcache.Config{Cache: c, Vary: []string{"Accept"}, MaxSize: 1000}
	for _, f := range change {
		f(&cfg)
	}
	b.pages, err = httpcache.New(cfg)
	require.NoError(t, err)
	b.serve = b.pages.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b.calls.Add(1)
		handler(w, r)
	}))
	return b
}

// do sends a request with headers "Name: value".
func (b *bundle) do(method, path string, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, nil)
	for _, line := range headers {
		name, value, _ := strings.Cut(line, ": ")
		r.Header.Add(name, value)
	}
	w := httptest.NewRecorder()
	b.serve.ServeHTTP(w, r)
	return w
}

// answer is a handler with these fields.
func answer(headers ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		for _, line := range headers {
			name, value, _ := strings.Cut(line, ": ")
			w.Header().Add(name, value)
		}
		_, _ = fmt.Fprint(w, r.Method, " ", r.URL.RawQuery)
	}
}

func TestWhatIsKept(t *testing.T) {
	t.Parallel()
	past := time.Now().Add(-time.Hour).UTC().Format(http.TimeFormat)
	future := time.Now().Add(time.Hour).UTC().Format(http.TimeFormat)
	for _, tt := range []struct {
		name     string
		response []string
		request  []string
		kept     bool
	}{
		{name: "max-age", response: []string{"Cache-Control: max-age=60"}, kept: true},
		{name: "s-maxage wins", response: []string{"Cache-Control: s-maxage=60, max-age=0"}, kept: true},
		{name: "s-maxage 0", response: []string{"Cache-Control: s-maxage=0, max-age=60"}},
		{name: "quoted", response: []string{`Cache-Control: max-age="60"`}, kept: true},
		{name: "not a number", response: []string{"Cache-Control: max-age=soon"}},
		{name: "older than its freshness", response: []string{"Cache-Control: max-age=60", "Age: 61"}},
		{name: "Expires", response: []string{"Expires: " + future}, kept: true},
		{name: "expired", response: []string{"Expires: " + past}},
		{name: "no freshness"},
		{name: "no-store", response: []string{"Cache-Control: no-store, max-age=60"}},
		{name: "private", response: []string{"Cache-Control: private, max-age=60"}},
		{name: "no-cache", response: []string{"Cache-Control: no-cache, max-age=60"}},
		{name: "Set-Cookie", response: []string{"Cache-Control: public, max-age=60", "Set-Cookie: a=b"}},
		{name: "varies by the key", response: []string{"Cache-Control: max-age=60", "Vary: accept"}, kept: true},
		{name: "varies by more", response: []string{"Cache-Control: max-age=60", "Vary: Accept, Accept-Language"}},
		{name: "varies by all", response: []string{"Cache-Control: max-age=60", "Vary: *"}},
		{name: "authorised", response: []string{"Cache-Control: max-age=60"},
			request: []string{"Authorization: Bearer x"}},
		{name: "authorised, public", response: []string{"Cache-Control: public, max-age=60"},
			request: []string{"Authorization: Bearer x"}, kept: true},
		{name: "authorised, s-maxage", response: []string{"Cache-Control: s-maxage=60"},
			request: []string{"Authorization: Bearer x"}, kept: true},
		{name: "authorised, must-revalidate", response: []string{"Cache-Control: must-revalidate, max-age=60"},
			request: []string{"Authorization: Bearer x"}, kept: true},
		{name: "to this cache alone", response: []string{"Cache-Control: no-store",
			"Afterwrite-Cache-Control: max-age=60"}, kept: true},
		{name: "not to this cache", response: []string{"Cache-Control: max-age=60",
			"Afterwrite-Cache-Control: no-store"}},
		{name: "a part", response: []string{"Cache-Control: max-age=60"}, request: []string{"Range: bytes=0-1"}},
		{name: "request no-store", response: []string{"Cache-Control: max-age=60"},
			request: []string{"Cache-Control: no-store"}},
		{name: "request no-cache", response: []string{"Cache-Control: max-age=60"},
			request: []string{"Cache-Control: no-cache"}},
		{name: "request Pragma", response: []string{"Cache-Control: max-age=60"},
			request: []string{"Pragma: no-cache"}},
		{name: "events", response: []string{"Cache-Control: max-age=60"},
			request: []string{"Accept: text/event-stream"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := setup(t, answer(tt.response...))
			first := b.do("GET", "/p?x", tt.request...)
			before := b.calls.Load()
			second := b.do("GET", "/p?x", tt.request...)
			require.Equal(t, tt.kept, b.calls.Load() == before, second.Header())
			require.Equal(t, tt.kept, strings.HasPrefix(second.Header().Get("Cache-Status"), "afterwrite; hit; ttl="),
				second.Header())
			require.Equal(t, "GET x", first.Body.String())
			require.Equal(t, "GET x", second.Body.String())
			for _, w := range []*httptest.ResponseRecorder{first, second} {
				require.Empty(t, w.Header().Get("Afterwrite-Cache-Control"))
			}
			if tt.kept {
				require.NotEmpty(t, second.Header().Get("Age"))
				require.NotEmpty(t, second.Header().Get("Date"))
				require.Equal(t, "afterwrite; fwd=miss; stored", first.Header().Get("Cache-Status"))
			}
		})
	}
}

func TestKey(t *testing.T) {
	t.Parallel()
	b := setup(t, answer("Cache-Control: max-age=60", "Vary: Accept"))
	for _, tt := range []struct {
		path, accept string
		hit          bool
	}{
		{"/p?a=1&b=2", "", false},
		{"/p?b=2&a=1", "", true},
		{"/p?b=2&a=1", "text/html", false},
		{"/p?b=2&a=1", "text/html", true},
		{"/p?a=2&b=2", "", false},
		{"/p?a=1&a=2&b=2", "", false},
		{"/p?a=2&a=1&b=2", "", false}, // the order of one name's values counts
		{"/p?%61=9&a=8", "", false},
		{"/p?a=8&%61=9", "", false}, // however it is escaped
		{"/q?a=1&b=2", "", false},
		{"/p%2Fx", "", false},
		{"/p/x", "", false},
		{"http://other.example/p?a=1&b=2", "", false},
	} {
		w := b.do("GET", tt.path, "Accept: "+tt.accept)
		require.Equal(t, tt.hit, strings.Contains(w.Header().Get("Cache-Status"), "; hit"), "%+v", tt)
	}
}

func TestHeadAndConditions(t *testing.T) {
	t.Parallel()
	b := setup(t, answer("Cache-Control: max-age=60", "Last-Modified: Mon, 02 Jan 2006 15:04:05 GMT"))
	head := b.do("HEAD", "/p")
	require.Empty(t, head.Body.String())
	get := b.do("GET", "/p")
	require.Equal(t, "GET ", get.Body.String(), "a HEAD has kept the response to GET")
	require.EqualValues(t, 1, b.calls.Load())
	require.Equal(t, head.Header().Get("Content-Length"), get.Header().Get("Content-Length"))
	tag := get.Header().Get("Etag")
	require.NotEmpty(t, tag)
	for _, tt := range []struct {
		header string
		code   int
	}{
		{"If-None-Match: " + tag, 304}, {"If-None-Match: W/" + tag, 304}, {`If-None-Match: "x", ` + tag, 304},
		{`If-None-Match: W/"a,b",W/` + tag, 304}, {"If-None-Match: *", 304},
		{"If-None-Match: " + strings.Trim(tag, `"`), 200}, {`If-None-Match: "x"`, 200},
		{"If-Modified-Since: Mon, 02 Jan 2006 15:04:05 GMT", 304},
		{"If-Modified-Since: Mon, 02 Jan 2006 15:04:04 GMT", 200},
		{"Cache-Control: max-age=100", 200}, {"Cache-Control: only-if-cached", 200},
	} {
		w := b.do("GET", "/p", tt.header)
		require.Equal(t, tt.code, w.Code, tt.header)
		require.Equal(t, tt.code == 304, w.Body.Len() == 0)
		require.Equal(t, tag, w.Header().Get("Etag"))
		require.Equal(t, "max-age=60", w.Header().Get("Cache-Control"))
	}
	require.EqualValues(t, 1, b.calls.Load())
	require.Equal(t, 504, b.do("GET", "/elsewhere", "Cache-Control: only-if-cached").Code)
	require.EqualValues(t, 1, b.calls.Load())
}

// TestStreamsAndLargeBodiesGoThrough shows that they reach the caller whole, as they come.
func TestStreamsAndLargeBodiesGoThrough(t *testing.T) {
	t.Parallel()
	large := strings.Repeat("x", 1001)
	b := setup(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "max-age=60")
		if r.URL.Path == "/large" {
			_, _ = w.Write([]byte(large))
			return
		}
		_, _ = w.Write([]byte("one "))
		_ = http.NewResponseController(w).Flush()
		_, _ = w.Write([]byte("two"))
	})
	for range 2 {
		require.Equal(t, large, b.do("GET", "/large").Body.String())
		w := b.do("GET", "/stream")
		require.Equal(t, "one two", w.Body.String())
		require.True(t, w.Flushed)
		require.Equal(t, "afterwrite; fwd=miss", w.Header().Get("Cache-Status"))
	}
	require.EqualValues(t, 6, b.calls.Load(), "twice for each at first, then straight through")
}

func TestOneCallForManyRequests(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	b := setup(t, func(w http.ResponseWriter, _ *http.Request) {
		<-release
		answer("Cache-Control: max-age=60")(w, httptest.NewRequest("GET", "/", nil))
	})
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() { b.do("GET", "/p") })
	}
	testkit.Eventually(t, "the handler is called", func() bool { return b.calls.Load() > 0 })
	close(release)
	all.Wait()
	require.EqualValues(t, 1, b.calls.Load())
}

// TestErrorsAreNotKept lets each caller get the handler's own answer, of one call.
func TestErrorsAreNotKept(t *testing.T) {
	t.Parallel()
	b := setup(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Cache-Control", "max-age=60")
		w.WriteHeader(http.StatusServiceUnavailable)
	})
	for i := range 2 {
		w := b.do("GET", "/p")
		require.Equal(t, 503, w.Code)
		require.Equal(t, "afterwrite; fwd=miss", w.Header().Get("Cache-Status"))
		require.EqualValues(t, i+1, b.calls.Load())
	}
}

// TestPanicsReachTheServer lets each caller's own call of the handler panic, so that the
// server ends the connection, and keeps nothing.
func TestPanicsReachTheServer(t *testing.T) {
	t.Parallel()
	broken := true
	b := setup(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Cache-Control", "max-age=60")
		_, _ = w.Write([]byte("half"))
		if broken {
			panic(http.ErrAbortHandler)
		}
	})
	for range 2 {
		require.PanicsWithValue(t, http.ErrAbortHandler, func() { b.do("GET", "/p") })
	}
	broken = false
	require.Equal(t, "afterwrite; fwd=miss; stored", b.do("GET", "/p").Header().Get("Cache-Status"))
}

// TestABrokenBodyIsNotKept: a handler that announces more than it writes has broken off.
func TestABrokenBodyIsNotKept(t *testing.T) {
	t.Parallel()
	b := setup(t, answer("Cache-Control: max-age=60", "Content-Length: 1000"))
	for i := range 2 {
		b.do("GET", "/p")
		require.EqualValues(t, 2*(i+1), b.calls.Load())
	}
}

// TestNobodyChangesThePageOfAnother tries what poisons caches: fields of a request that
// change the response and are not in Vary, and a body that a GET should not have.
func TestNobodyChangesThePageOfAnother(t *testing.T) {
	t.Parallel()
	b := setup(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "public, max-age=60")
		body, _ := io.ReadAll(r.Body)
		_, _ = fmt.Fprint(w, r.Header["X-Forwarded-Host"], r.Header["X-Original-Url"], r.Header["Forwarded"],
			string(body))
	})
	for _, evil := range []string{"X-Forwarded-Host: evil", "X-Original-URL: /evil",
		"Forwarded: for=192.0.2.1;HOST=evil", `Forwarded: for="a, host=evil"`} {
		require.Contains(t, b.do("GET", "/p", evil).Body.String(), "evil")
	}
	r := httptest.NewRequest("GET", "/p", io.MultiReader(strings.NewReader("evil"))) // of no known length
	b.serve.ServeHTTP(httptest.NewRecorder(), r)
	require.Equal(t, "[] [] []", b.do("GET", "/p").Body.String())
	before := b.calls.Load()
	require.Contains(t, b.do("GET", "/p").Header().Get("Cache-Status"), "; hit")
	require.Contains(t, b.do("GET", "/q", "Forwarded: for=192.0.2.1").Header().Get("Cache-Status"), "stored")
	require.Contains(t, b.do("GET", "/q", "Forwarded: for=192.0.2.2").Header().Get("Cache-Status"), "; hit",
		"clients behind a proxy share")
	require.Equal(t, before+1, b.calls.Load())
}

// TestVaryOfOthersStays: what stands outside of the cache may vary, too.
func TestVaryOfOthersStays(t *testing.T) {
	t.Parallel()
	b := setup(t, answer("Cache-Control: max-age=60", "Vary: Accept", "Connection: X-Hop", "X-Hop: 1"))
	inner := b.serve
	b.serve = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Add("Vary", "Origin")
		inner.ServeHTTP(w, r)
	})
	for range 2 {
		w := b.do("GET", "/p")
		require.Equal(t, []string{"Origin", "Accept"}, w.Header().Values("Vary"))
		require.Empty(t, w.Header().Get("X-Hop"), "a field of one connection")
	}
}

// TestHijackAndReadFrom asks the writer for them itself, as WebSocket libraries do.
func TestHijackAndReadFrom(t *testing.T) {
	t.Parallel()
	b := setup(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/file" {
			_, _ = w.(io.ReaderFrom).ReadFrom(strings.NewReader("from a file"))
			return
		}
		conn, buffer, err := w.(http.Hijacker).Hijack()
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		defer func() { _ = conn.Close() }()
		_, _ = buffer.WriteString("HTTP/1.1 101 Switching Protocols\r\nUpgrade: echo\r\nConnection: Upgrade\r\n\r\n")
		_ = buffer.Flush()
	})
	server := httptest.NewServer(b.serve)
	t.Cleanup(server.Close)
	for path, want := range map[string]int{"/socket": 101, "/file": 200} {
		r, err := http.NewRequestWithContext(t.Context(), "GET", server.URL+path, nil)
		require.NoError(t, err)
		r.Header.Set("Connection", "Upgrade")
		r.Header.Set("Upgrade", "echo")
		resp, err := server.Client().Do(r)
		require.NoError(t, err)
		require.Equal(t, want, resp.StatusCode)
		require.NoError(t, resp.Body.Close())
	}
}

// TestAChangeIsSeenByTheNextRequest: the page is invalid before the caller of an unsafe
// request hears that it succeeded.
func TestAChangeIsSeenByTheNextRequest(t *testing.T) {
	t.Parallel()
	text := "old"
	b := setup(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			text = "new"
			w.WriteHeader(http.StatusNoContent)
			return
		}
		w.Header().Set("Cache-Control", "max-age=60")
		_, _ = w.Write([]byte(text))
	})
	require.Equal(t, "old", b.do("GET", "/p").Body.String())
	told := &telling{ResponseWriter: httptest.NewRecorder(), tell: func() {
		require.Equal(t, "new", b.do("GET", "/p").Body.String())
	}}
	b.serve.ServeHTTP(told, httptest.NewRequest("POST", "/p", nil))
	require.True(t, told.told)
}

// telling is a caller that does something as soon as it hears of the answer.
type telling struct {
	http.ResponseWriter
	tell func()
	told bool
}

func (w *telling) WriteHeader(code int) {
	w.told = true
	w.ResponseWriter.WriteHeader(code)
	w.tell()
}

func TestTagsAndUnsafeRequests(t *testing.T) {
	t.Parallel()
	tag := values.NamedTag("menu")
	b := setup(t, answer("Cache-Control: max-age=60"), func(cfg *httpcache.Config) {
		cfg.Tags = func(*http.Request) []values.Tag { return []values.Tag{tag} }
	})
	hit := func() bool { return strings.Contains(b.do("GET", "/p?x").Header().Get("Cache-Status"), "; hit") }
	require.False(t, hit())
	require.True(t, hit())
	require.NoError(t, values.InvalidateTags(t.Context(), b.cache, tag))
	require.False(t, hit(), "its tag was invalidated")
	require.True(t, hit())
	w := b.do("POST", "/p")
	require.Equal(t, "afterwrite; fwd=method", w.Header().Get("Cache-Status"))
	require.False(t, hit(), "a POST to the path succeeded")
}

func TestRedisDown(t *testing.T) {
	t.Parallel()
	c, err := cache.New(cache.Config{URL: "redis://127.0.0.1:1", Timeout: 50 * time.Millisecond})
	require.NoError(t, err)
	defer func() { _ = c.Close() }()
	b := setup(t, answer("Cache-Control: max-age=60"), func(cfg *httpcache.Config) { cfg.Cache = c })
	w := b.do("GET", "/p")
	require.Equal(t, 200, w.Code)
	require.Equal(t, "GET ", w.Body.String())
	require.Contains(t, w.Header().Get("Cache-Status"), "fwd=bypass")
}

func TestNewRefuses(t *testing.T) {
	_, err := httpcache.New(httpcache.Config{})
	require.ErrorContains(t, err, "required")
	c, err := cache.New(cache.Config{URL: "redis://127.0.0.1:1"})
	require.NoError(t, err)
	defer func() { _ = c.Close() }()
	_, err = httpcache.New(httpcache.Config{Cache: c, Vary: []string{"cookie"}})
	require.ErrorContains(t, err, "Cookie")
}

func ExampleCache_Handler() {
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
	pages, err := httpcache.New(httpcache.Config{Cache: c, Vary: []string{"Accept-Encoding"}})
	if err != nil {
		fmt.Println(err)
		return
	}
	handler := pages.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Cache-Control", "max-age=60")
		_, _ = w.Write([]byte("at most once a minute"))
	}))
	for range 2 {
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
		status, _, _ := strings.Cut(w.Header().Get("Cache-Status"), "; ttl")
		fmt.Println(status, "-", w.Body)
	}
	// Output:
	// afterwrite; fwd=miss; stored - at most once a minute
	// afterwrite; hit - at most once a minute
}
