package api_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/cache/ratelimit"
	"github.com/afterwrite/afterwrite/producer/api"
)

func TestRateLimit(t *testing.T) {
	b := setup(t)
	limit, err := ratelimit.New(ratelimit.Config{Cache: b.cache, Caller: ratelimit.ByAddress(nil),
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
	require.Equal(t, "1200", w.Header().Get("Retry-After"))
	require.Contains(t, w.Body.String(), "urn:afterwrite:problem:rate-limited")
	require.Contains(t, w.Body.String(), fmt.Sprintf(`"request_id":%q`, w.Header().Get("X-Request-Id")))

	require.Equal(t, 404, get("/v1/user/a", "192.0.2.2:1").Code, "another address has a quota of its own")
	for _, path := range []string{"/healthz", "/readyz", "/openapi.json"} {
		w := get(path, "192.0.2.1:1")
		require.Equal(t, 200, w.Code, path)
		require.Empty(t, w.Header().Get("RateLimit"), path)
	}
}
