package httpcache_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/internal/testkit"
)

// wait is how many requests wait for one response in these tests.
const wait = 25

// TestOnlyIfCachedIsOneRequestsOwn lets requests with and without it meet on a cold key.
func TestOnlyIfCachedIsOneRequestsOwn(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	b := setup(t, func(w http.ResponseWriter, r *http.Request) {
		<-release
		answer("Cache-Control: max-age=60")(w, r)
	})
	var only, plain sync.WaitGroup
	for range wait {
		only.Go(func() { assert.Equal(t, 504, b.do("GET", "/p", "Cache-Control: only-if-cached").Code) })
		plain.Go(func() { assert.Equal(t, 200, b.do("GET", "/p").Code) })
	}
	only.Wait() // while the load is under way
	close(release)
	plain.Wait()
	require.EqualValues(t, 1, b.calls.Load())
	require.Equal(t, 200, b.do("GET", "/p", "Cache-Control: only-if-cached").Code)
}

// TestTheSharedLoadHasNoFieldsOfOneRequest: what a handler makes of them is not the others'.
func TestTheSharedLoadHasNoFieldsOfOneRequest(t *testing.T) {
	t.Parallel()
	b := setup(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "max-age=60")
		_, _ = fmt.Fprint(w, r.Header)
	})
	for i, line := range []string{"Cache-Control: max-age=9", "Pragma: x", `If-None-Match: "a"`, "If-Range: x",
		"If-Modified-Since: x"} {
		path := fmt.Sprint("/", i)
		require.Equal(t, "map[]", b.do("GET", path, line).Body.String())
		require.Contains(t, b.do("GET", path).Header().Get("Cache-Status"), "; hit", line)
	}
}

// TestAuthorizationIsOneRequestsOwn: a page of one caller keeps no page from the others.
func TestAuthorizationIsOneRequestsOwn(t *testing.T) {
	t.Parallel()
	b := setup(t, answer("Cache-Control: max-age=60"))
	require.Equal(t, "afterwrite; fwd=miss", b.do("GET", "/p", "Authorization: Bearer x").Header().Get("Cache-Status"))
	require.Equal(t, "afterwrite; fwd=miss; stored", b.do("GET", "/p").Header().Get("Cache-Status"))
	require.Contains(t, b.do("GET", "/p").Header().Get("Cache-Status"), "; hit")
	require.Equal(t, "afterwrite; fwd=miss", b.do("GET", "/p", "Authorization: Bearer x").Header().Get("Cache-Status"))
	require.EqualValues(t, 3, b.calls.Load(), "once for each request that is not a hit")
}

// TestTheKeyIsTheTargetURI: a redirect of http to https is not the answer to https, and
// other spellings of a URI are the same.
func TestTheKeyIsTheTargetURI(t *testing.T) {
	t.Parallel()
	b := setup(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "max-age=60")
		if r.Method == http.MethodGet && r.TLS == nil {
			http.Redirect(w, r, "https://"+r.Host+r.URL.Path, http.StatusMovedPermanently)
		}
	})
	for range 2 {
		require.Equal(t, 301, b.do("GET", "http://example.com/~a").Code)
		require.Equal(t, 200, b.do("GET", "https://example.com/~a").Code)
	}
	for _, same := range []string{
		"https://EXAMPLE.com/~a", "https://example.com:443/~a", "https://example.com/%7ea", "https://example.com/%7Ea",
	} {
		require.Contains(t, b.do("GET", same).Header().Get("Cache-Status"), "; hit", same)
		b.do("POST", same)
		require.NotContains(t, b.do("GET", "https://example.com/~a").Header().Get("Cache-Status"), "; hit",
			"POST %s has changed it", same)
	}
	require.NotContains(t, b.do("GET", "https://example.com:8443/~a").Header().Get("Cache-Status"), "; hit")
	b.do("GET", "https://example.com/x%2fy")
	require.Contains(t, b.do("GET", "https://example.com/x%2Fy").Header().Get("Cache-Status"), "; hit")
	require.NotContains(t, b.do("GET", "https://example.com/x/y").Header().Get("Cache-Status"), "; hit")
}

// TestASchemeBehindAProxyIsInTheKey: a proxy that ends TLS tells the scheme by a field, and a redirect to https is not
// the answer to what came by https.
func TestASchemeBehindAProxyIsInTheKey(t *testing.T) {
	t.Parallel()
	for _, field := range []string{
		"X-Forwarded-Proto: https", "X-Forwarded-Protocol: https", "X-Forwarded-Scheme: https", "X-Forwarded-Ssl: on",
		"X-Forwarded-Https: on", "X-Url-Scheme: https", "X-Scheme: https", "Front-End-Https: on", "X-Arr-Ssl: on",
		"Cloudfront-Forwarded-Proto: https", `Cf-Visitor: {"scheme":"https"}`, "Forwarded: proto=https",
	} {
		name, _, _ := strings.Cut(field, ":")
		b := setup(t, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Cache-Control", "max-age=60")
			if r.Header.Get(name) == "" {
				http.Redirect(w, r, "https://"+r.Host+r.URL.Path, http.StatusMovedPermanently)
			}
		})
		for range 2 {
			require.Equal(t, 301, b.do("GET", "/a").Code, field)
			require.Equal(t, 200, b.do("GET", "/a", field).Code, field)
		}
	}
}

// TestWaitingRequestsSayCollapsed: RFC 9211, section 2.6.
func TestWaitingRequestsSayCollapsed(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	b := setup(t, func(w http.ResponseWriter, r *http.Request) {
		<-release
		answer("Cache-Control: max-age=60")(w, r)
	})
	var all sync.WaitGroup
	var stored, others atomic.Int32
	for range wait {
		all.Go(func() {
			switch status := b.do("GET", "/p").Header().Get("Cache-Status"); {
			case status == "afterwrite; fwd=miss; stored":
				stored.Add(1)
			case status == "afterwrite; fwd=miss; collapsed", strings.HasPrefix(status, "afterwrite; hit"):
				others.Add(1)
			default:
				t.Error(status)
			}
		})
	}
	testkit.Eventually(t, "the handler is called", func() bool { return b.calls.Load() > 0 })
	close(release)
	all.Wait()
	require.EqualValues(t, 1, stored.Load())
	require.EqualValues(t, wait-1, others.Load())
}

// TestAnErrorCallsTheHandlerOnceMore for all that waited for the response, unless it is
// for one caller.
func TestAnErrorCallsTheHandlerOnceMore(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		control string
		most    int
	}{"for-anybody": {"max-age=60", 2}, "for-one": {"private", wait + 1}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			release := make(chan struct{})
			b := setup(t, func(w http.ResponseWriter, _ *http.Request) {
				<-release
				w.Header().Set("Cache-Control", tt.control)
				http.Error(w, "broken", http.StatusInternalServerError)
			})
			var all sync.WaitGroup
			for range wait {
				testkit.Label(&all, t.Name(), func() {
					w := b.do("GET", "/p")
					assert.Equal(t, 500, w.Code)
					assert.Equal(t, "broken\n", w.Body.String())
				})
			}
			testkit.Eventually(t, "all wait for the first", func() bool {
				return testkit.Labelled(t.Name(), "flight.(*Group).Do") == wait
			})
			close(release)
			all.Wait()
			require.LessOrEqual(t, int(b.calls.Load()), tt.most)
			if tt.control == "private" {
				require.GreaterOrEqual(t, int(b.calls.Load()), wait, "each has a response of its own")
			}
		})
	}
}

// TestOneCallForAResponseThatIsNotKept: its caller gets the response that was recorded.
func TestOneCallForAResponseThatIsNotKept(t *testing.T) {
	t.Parallel()
	b := setup(t, answer("Cache-Control: private", "Set-Cookie: a=b"))
	for i := range 3 {
		w := b.do("GET", "/p")
		require.Equal(t, "a=b", w.Header().Get("Set-Cookie"))
		require.Equal(t, "afterwrite; fwd=miss", w.Header().Get("Cache-Status"))
		require.EqualValues(t, i+1, b.calls.Load())
	}
}

// TestNotImplementedMayBeKept: RFC 9110, section 15.1, has 501 among the statuses that are.
func TestNotImplementedMayBeKept(t *testing.T) {
	t.Parallel()
	b := setup(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Cache-Control", "max-age=60")
		w.WriteHeader(http.StatusNotImplemented)
	})
	for range 2 {
		require.Equal(t, 501, b.do("GET", "/p").Code)
	}
	require.EqualValues(t, 1, b.calls.Load())
}

// TestAHandlerThatDoesNotHearItsEnd streams on although its writes fail: the caller, who
// has a call of its own, does not wait for it.
func TestAHandlerThatDoesNotHearItsEnd(t *testing.T) {
	t.Parallel()
	release, ended := make(chan struct{}), make(chan struct{})
	var recorded atomic.Bool
	b := setup(t, func(w http.ResponseWriter, _ *http.Request) {
		first := recorded.CompareAndSwap(false, true)
		_, _ = w.Write([]byte(strings.Repeat("x", 1001)))
		if first {
			<-release
			close(ended)
		}
	})
	require.Equal(t, 1001, b.do("GET", "/p").Body.Len())
	close(release)
	<-ended
}
