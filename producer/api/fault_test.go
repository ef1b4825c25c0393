package api_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/internal/testkit"
)

func TestRedisDown(t *testing.T) {
	t.Parallel()
	b := setup(t, ownRedis)
	b.do("PUT", "/v1/user/a", `{"name":"A"}`).want(t, 202)
	b.flush()
	b.redis.Stop()
	p := b.do("PUT", "/v1/user/a", `{"name":"B"}`)
	require.Contains(t, []string{"urn:afterwrite:problem:redis-unavailable", "urn:afterwrite:problem:outcome-unknown"},
		p.problem(t, 503, strings.TrimPrefix(typeOf(t, p), "urn:afterwrite:problem:")).Type)
	require.NotEmpty(t, p.Header.Get("Retry-After"))
	got := b.do("GET", "/v1/user/a", "").want(t, 200)
	require.Equal(t, "afterwrite; fwd=bypass", got.Header.Get("Cache-Status"))
	require.Equal(t, "database", got.Header.Get("Afterwrite-Freshness"))
	require.Empty(t, got.Header.Get("ETag"))
	require.Empty(t, b.do("GET", "/v1/user", "").want(t, 200).Header.Get("Afterwrite-Lag"))
	require.Contains(t, b.do("GET", "/readyz", "").want(t, 503).body, `"status":"unready"`)
	require.Contains(t, b.do("GET", "/readyz?for=write", "").want(t, 503).body, `"status":"unready"`)
	require.Contains(t, b.do("GET", "/readyz?for=read", "").want(t, 200).body, `"status":"degraded"`, "reads go on")
	b.sql.Inject(testkit.Refuse, testkit.AnyStatement, testkit.Always())
	require.Contains(t, b.do("GET", "/readyz?for=read", "").want(t, 503).body, `"status":"unready"`, "nor do reads")
	b.sql.Clear()
	b.do("GET", "/readyz?for=ever", "").problem(t, 400, "bad-parameter")
	b.do("GET", "/healthz", "").want(t, 200)
	b.redis.Start()
	testkit.Eventually(t, "writes go on", func() bool {
		return b.do("PUT", "/v1/user/a", `{"name":"B"}`).StatusCode == 202
	})
	testkit.Eventually(t, "the breaker of reads is closed, too", func() bool {
		return strings.Contains(b.do("GET", "/readyz", "").body, `"status":"ready"`)
	})
}

func typeOf(t *testing.T, a answer) string {
	t.Helper()
	_, rest, _ := strings.Cut(a.body, `"type":"`)
	name, _, _ := strings.Cut(rest, `"`)
	return name
}

func TestDatabaseDown(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.do("PUT", "/v1/user/cached", `{"name":"A"}`).want(t, 202)
	fault := b.sql.Inject(testkit.Refuse, testkit.AnyStatement, testkit.Always())
	b.do("PUT", "/v1/user/a", `{"name":"A"}`).want(t, 202)
	b.do("PATCH", "/v1/user/cached", `{"name":"B"}`).want(t, 202)
	b.do("GET", "/v1/user/cached", "").want(t, 200)
	for _, a := range []answer{
		b.do("PATCH", "/v1/user/uncached", `{"name":"A"}`),
		b.do("POST", "/v1/user", `{"id":"uncached","name":"A"}`),
		b.do("DELETE", "/v1/user/uncached", ""),
		b.do("GET", "/v1/user/uncached", ""),
		b.do("GET", "/v1/user", ""),
	} {
		a.problem(t, 503, "database-unavailable")
		require.NotEmpty(t, a.Header.Get("Retry-After"))
		require.NotContains(t, a.body, "inject", "the database's own words are for the log")
	}
	require.NotZero(t, fault.Hits())
	require.Contains(t, b.log.String(), `"problem":"database-unavailable"`)
	b.sql.Clear()
	b.do("PATCH", "/v1/user/uncached", `{"name":"A"}`).problem(t, 404, "not-found")
}

// TestLostReplyOfAnIncrement: the caller is told that the outcome is unknown, and a
// repeat with the same key counts once.
func TestLostReplyOfAnIncrement(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.do("PUT", "/v1/user/a", `{"name":"A"}`).want(t, 202)
	b.faults.Inject(testkit.LoseReply, testkit.Script(t, "write"))
	a := b.do("POST", "/v1/user/a/increment", `{"login_count":1}`, "Idempotency-Key: k")
	require.Contains(t, a.problem(t, 503, "outcome-unknown").Detail, "Idempotency-Key")
	again := b.do("POST", "/v1/user/a/increment", `{"login_count":1}`, "Idempotency-Key: k").want(t, 202)
	require.Contains(t, again.body, `"login_count":1`)
	require.Equal(t, "true", again.Header.Get("Idempotency-Replayed"))
}

func TestBacklogFull(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.entities["user"].Flush.MaxPending = 1
	full := false
	for i := range 40 {
		a := b.do("PUT", "/v1/user/"+strings.Repeat("x", i+1), `{"name":"A"}`)
		if a.StatusCode == 202 {
			continue
		}
		full = true
		a.problem(t, 503, "backlog-full")
		require.NotEmpty(t, a.Header.Get("Retry-After"))
	}
	require.True(t, full)
}

// A Redis that answers and takes no writes serves reads, and the refusal says what it is.
func TestRedisTakesNoWrites(t *testing.T) {
	t.Parallel()
	b := setup(t, ownRedis)
	b.do("PUT", "/v1/user/a", `{"name":"A"}`).want(t, 202)
	admin := b.redis.Client(t)
	for _, tt := range []struct{ problem, setting, bad, good string }{
		{"redis-full", "maxmemory", "1", "0"},
		{"redis-read-only", "min-replicas-to-write", "1", "0"},
	} {
		require.NoError(t, admin.ConfigSet(t.Context(), tt.setting, tt.bad).Err())
		refused := b.do("PUT", "/v1/user/a", `{"name":"B"}`)
		refused.problem(t, 503, tt.problem)
		require.NotEmpty(t, refused.Header.Get("Retry-After"))
		b.do("GET", "/v1/user/a", "").want(t, 200)
		ready := b.do("GET", "/readyz", "").want(t, 200).body
		require.Contains(t, ready, `"status":"degraded"`)
		require.Contains(t, ready, `"redis":{"ok":false`)
		require.NoError(t, admin.ConfigSet(t.Context(), tt.setting, tt.good).Err())
		b.do("PUT", "/v1/user/a", `{"name":"B"}`).want(t, 202)
		require.Contains(t, b.do("GET", "/readyz", "").want(t, 200).body, `"status":"ready"`)
	}
}
