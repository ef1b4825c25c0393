package api_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/internal/testkit"
	"github.com/afterwrite/afterwrite/producer/api"
	"github.com/afterwrite/afterwrite/schema"
)

func TestRequestID(t *testing.T) {
	t.Parallel()
	b := setup(t)
	own := b.do("GET", "/v1/user/x", "", "X-Request-Id: trace-1.a").problem(t, 404, "not-found")
	require.Equal(t, "trace-1.a", own.RequestID)
	require.Contains(t, b.log.String(), `"request_id":"trace-1.a"`)
	seen := map[string]bool{}
	for _, unfit := range []string{"a b", `a"b`, strings.Repeat("x", 129), "é"} {
		made := b.do("GET", "/healthz", "", "X-Request-Id: "+unfit).Header.Get("X-Request-Id")
		require.Regexp(t, "^[0-9a-v]{26}$", made)
		require.False(t, seen[made])
		seen[made] = true
	}
}

func TestNoPayloadIsLogged(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.do("PUT", "/v1/user/secret-id", `{"name":"secret-name"}`).want(t, 202)
	b.do("PUT", "/v1/user/secret-id", `{"name":"secret-name","age":-77123}`).want(t, 422)
	b.faults.Inject(testkit.LoseReply, testkit.Script(t, "write"))
	b.do("PUT", "/v1/user/secret-id", `{"name":"secret-name"}`).problem(t, 503, "outcome-unknown")
	b.do("GET", "/v1/user/secret-id", "").want(t, 200)
	require.Equal(t, 4, strings.Count(b.log.String(), `"msg":"request"`))
	require.NotContains(t, b.log.String(), "secret")
	require.NotContains(t, b.log.String(), "77123")
}

func TestCORS(t *testing.T) {
	t.Parallel()
	const app = "https://app.example.com"
	b := setup(t, configure(func(c *api.Config) { c.CORS = []string{app} }))
	preflight := b.do("OPTIONS", "/v1/user/1", "", "Origin: "+app, "Access-Control-Request-Method: PUT").want(t, 204)
	require.Equal(t, app, preflight.Header.Get("Access-Control-Allow-Origin"))
	require.Contains(t, preflight.Header.Get("Access-Control-Allow-Methods"), "PUT")
	require.Contains(t, preflight.Header.Get("Access-Control-Allow-Headers"), "Idempotency-Key")
	got := b.do("GET", "/v1/user/1", "", "Origin: "+app).want(t, 404)
	require.Equal(t, app, got.Header.Get("Access-Control-Allow-Origin"))
	require.Contains(t, got.Header.Get("Access-Control-Expose-Headers"), "ETag")
	require.Equal(t, "Origin", got.Header.Get("Vary"))
	other := b.do("OPTIONS", "/v1/user/1", "", "Origin: https://evil.example",
		"Access-Control-Request-Method: PUT").want(t, 204)
	require.Empty(t, other.Header.Get("Access-Control-Allow-Origin"))

	none := setup(t).do("GET", "/healthz", "", "Origin: "+app).want(t, 200)
	require.Empty(t, none.Header.Get("Access-Control-Allow-Origin"))
	all := setup(t, configure(func(c *api.Config) { c.CORS = []string{"*"} })).do("GET", "/healthz", "", "Origin: null")
	require.Equal(t, "null", all.Header.Get("Access-Control-Allow-Origin"))
}

func TestHealthAndMetrics(t *testing.T) {
	t.Parallel()
	b := setup(t)
	require.JSONEq(t, `{"status":"alive"}`, b.do("GET", "/healthz", "").want(t, 200).body)
	var ready struct {
		Status string
		Checks map[string]struct {
			OK      bool    `json:"ok"`
			Latency float64 `json:"latency_seconds"`

			HitRate       *float64 `json:"hit_rate"`
			Memory        int64    `json:"used_memory_bytes"`
			MaxMemory     *int64   `json:"max_memory_bytes"`
			Evicted       *int64   `json:"evicted_keys"`
			Fragmentation float64
			Persistence   string
		}
	}
	b.do("GET", "/v1/user/nobody/status", "") // for the hit rate
	require.NoError(t, json.Unmarshal([]byte(b.do("GET", "/readyz", "").want(t, 200).body), &ready))
	require.Equal(t, "ready", ready.Status)
	for _, name := range []string{"redis", "database"} {
		require.True(t, ready.Checks[name].OK)
		require.Positive(t, ready.Checks[name].Latency)
	}
	redis := ready.Checks["redis"]
	require.NotNil(t, redis.HitRate)
	require.Positive(t, redis.Memory)
	require.NotNil(t, redis.MaxMemory)
	require.NotNil(t, redis.Evicted)
	require.Positive(t, redis.Fragmentation)
	require.Equal(t, "everysec", redis.Persistence)
	b.sql.Inject(testkit.Refuse, testkit.AnyStatement, testkit.Always())
	require.Contains(t, b.do("GET", "/readyz", "").want(t, 200).body, `"status":"degraded"`, "writes go on")

	b.do("PUT", "/v1/user/m", `{"name":"M"}`).want(t, 202)
	b.do("BREW", "/v1/user/m", "").want(t, 405)
	metrics := b.do("GET", "/metrics", "").want(t, 200).body
	require.Contains(t, metrics,
		`afterwrite_http_request_duration_seconds_count{code="202",method="PUT",route="record"} 1`)
	require.Contains(t, metrics,
		`afterwrite_http_request_duration_seconds_count{code="405",method="other",route="record"} 1`)
	for _, end := range []string{`method="POST",route="batch"`, `method="PATCH",route="record"`,
		`method="POST",route="increment"`, `method="GET",route="collection"`} {
		require.Contains(t, metrics, `afterwrite_http_request_duration_seconds_count{code="503",`+end+`} 0`)
	}
}

func TestNewNamesWhatIsWrong(t *testing.T) {
	t.Parallel()
	b := setup(t)
	entity := *b.entities["user"]
	entity.Name = "batch"
	for want, change := range map[string]func(*api.Config){
		"required":  func(c *api.Config) { c.Store = nil },
		"Entities":  func(c *api.Config) { c.Entities = append(c.Entities, &entity) },
		"not an or": func(c *api.Config) { c.CORS = []string{"https://example.com/path"} },
	} {
		cfg := b.config
		cfg.Entities = append([]*schema.Entity(nil), cfg.Entities...)
		cfg.Registerer = nil
		change(&cfg)
		_, err := api.New(cfg)
		require.ErrorContains(t, err, want)
	}
}
