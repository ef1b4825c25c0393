package api_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/cache/ratelimit"
	"github.com/afterwrite/afterwrite/producer/api"
)

func TestRateLimit(t *testing.T) {
	b := setup(t)
	limit, err := ratelimit.New(ratelimit.Config{Cache: b.cache, Caller: ratelimit.ByAddress(nil), Timeout: time.Minute,
		Policies: []ratelimit.Policy{{Name: "default", Limit: 3, Window: time.Hour}}})
	require.NoError(t, err)
	cfg := b.config
	cfg.RateLimit, cfg.Registerer = limit, nil
	h, err := api.New(cfg)
	require.NoError(t, err)
	get := func(path, peer string) *httptest.ResponseRecorder {
		r := httptest.NewRequest(http.MethodGet, path, nil)
		r.RemoteAddr = peer
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w
	}
	for left, path := range []string{2: "/v1/user/a", 1: "/v1/nope/a", 0: "/nothing"} {
		w := get(path, "192.0.2.1:1")
		require.Equal(t, 404, w.Code)
		require.Equal(t, `"default";q=3;w=3600`, w.Header().Get("RateLimit-Policy"))
		require.Contains(t, w.Header().Get("RateLimit"), `"default";r=`, left)
	}
	w := get("/v1/user/a", "192.0.2.1:2")
	require.Equal(t, 429, w.Code)
	seconds, err := strconv.Atoi(w.Header().Get("Retry-After"))
	require.NoError(t, err)
	require.InDelta(t, 1200, seconds, 30)
	require.Contains(t, w.Body.String(), "urn:afterwrite:problem:rate-limited")
	require.Contains(t, w.Body.String(), fmt.Sprintf(`"request_id":%q`, w.Header().Get("X-Request-Id")))

	require.Equal(t, 404, get("/v1/user/a", "192.0.2.2:1").Code, "another address has a quota of its own")
	for _, path := range []string{"/healthz", "/readyz", "/openapi.json"} {
		w := get(path, "192.0.2.1:1")
		require.Equal(t, 200, w.Code, path)
		require.Empty(t, w.Header().Get("RateLimit"), path)
	}
}

// Large records do not make a large answer: a page ends early, and a multi-get is refused.
func TestI6AnswersAreBounded(t *testing.T) {
	t.Parallel()
	b := setup(t, configure(func(c *api.Config) { c.MaxAnswer = 64 << 10 }))
	var ids []string
	for i := range 200 {
		id := fmt.Sprintf("%03d", i)
		b.do("PUT", "/v1/user/"+id, `{"name":"N","profile":"`+strings.Repeat("x", 2<<10)+`"}`).want(t, 202)
		ids = append(ids, id)
	}
	b.flush()
	b.do("GET", "/v1/user?ids="+strings.Join(ids, ","), "").problem(t, 413, "answer-too-large")
	b.do("GET", "/v1/user?ids="+strings.Join(ids[:20], ","), "").want(t, 200)
	var got []string
	for after := ""; ; {
		a := b.do("GET", "/v1/user?limit=150"+after, "").want(t, 200)
		require.Less(t, len(a.body), 70<<10)
		var page struct {
			Records []struct{ ID string }
			Next    *string
		}
		require.NoError(t, json.Unmarshal([]byte(a.body), &page))
		for _, record := range page.Records {
			got = append(got, record.ID)
		}
		if page.Next == nil {
			break
		}
		after = "&after=" + *page.Next
	}
	require.Equal(t, ids, got, "each once, in order")
}
