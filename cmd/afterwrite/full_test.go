package main

import (
	"net/http"
	neturl "net/url"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/internal/testkit"
)

// TestOperatorsInAFullRedis: where Redis is full all that operators do goes on, by commands, HTTP and dashboard alike,
// for that is the way out. A record that is refused there dies and can be discarded, too.
func TestOperatorsInAFullRedis(t *testing.T) {
	t.Parallel()
	d := deploy(t, testkit.Postgres(t).Database(t))
	d.redis = testkit.Redis(t)
	pages := testkit.FreeAddr(t)
	d.env = append(d.env, "AFTERWRITE_REDIS_URL="+d.redis.URL(), "AFTERWRITE_DASHBOARD_ADDR="+pages)
	_, worker := d.serve()
	d.start("dashboard")
	d.ready(pages)
	d.ok("retry-policy", "set", "user", "--max-attempts", "2", "--base", "10ms", "--cap", "20ms")
	letters := d.refused("b", "c", "e", "f", "g", "h", "i")
	d.ok("pause", "user")
	code, body := d.call(http.MethodPut, d.api, "/v1/user/late", `{"name":"N","email":"same@x"}`)
	require.Equal(t, http.StatusAccepted, code, body)
	require.NoError(t, d.redis.Client(t).ConfigSet(t.Context(), "maxmemory", "1").Err())
	code, body = d.call(http.MethodPut, d.api, "/v1/user/new", `{"name":"N"}`)
	require.Equal(t, http.StatusServiceUnavailable, code)
	require.Contains(t, body, "redis-full")

	post := func(path, body string, want int) {
		t.Helper()
		code, text := d.call(http.MethodPost, d.api, "/v1/admin/"+path, body)
		require.Equal(t, want, code, "%s: %s", path, text)
	}
	form := func(path string, values ...string) string {
		t.Helper()
		f := neturl.Values{}
		for i := 0; i < len(values); i += 2 {
			f.Set(values[i], values[i+1])
		}
		r, err := http.PostForm("http://"+pages+path, f)
		require.NoError(t, err)
		defer r.Body.Close()
		require.Equal(t, http.StatusOK, r.StatusCode, path)
		return r.Request.URL.String()
	}
	d.ok("resume", "user")
	testkit.Eventually(t, "what is refused now becomes a dead letter", func() bool {
		return regexp.MustCompile(`"late"`).MatchString(d.ok("dead", "list"))
	})
	d.ok("pause", "item")
	d.ok("resume", "item")
	d.ok("invalidate", "user", "--all")
	post("pause", `{"entity":"item"}`, http.StatusOK)
	post("resume", `{"entity":"item"}`, http.StatusOK)
	post("invalidate", `{"entity":"user","match":"*"}`, http.StatusOK)
	require.Contains(t, form("/entities/item/pause", "do", "pause"), "flushpaused")
	require.Contains(t, form("/entities/item/pause", "do", "resume"), "flushresumed")
	form("/cache/invalidate", "entity", "user", "pattern", "*")

	require.Contains(t, d.ok("dead", "discard", letters["b"], "--yes"), "1 of 1")
	d.ok("dead", "edit", letters["c"], "--set", `email="c@x"`)
	require.Contains(t, d.ok("dead", "retry", letters["e"], "--yes"), "1 of 1")
	post("dead/discard", `{"numbers":[`+letters["f"]+`],"expect":1}`, http.StatusOK)
	post("dead/"+letters["g"]+"/edit", `{"fields":{"email":"g@x"}}`, http.StatusAccepted)
	post("flush", `{"entity":"user"}`, http.StatusAccepted)
	job := form("/refused/act", "do", "discard", "n", letters["h"], "expect", "1")
	require.NotContains(t, job, "/jobs/", "one is done at once")
	d.ok("retry-policy", "set", "user", "--max-attempts", "3")
	d.ok("flush", "user", "--timeout", "20s")
	testkit.Eventually(t, "e is dead again", func() bool {
		return regexp.MustCompile(`"e"`).MatchString(d.ok("dead", "list"))
	})
	job = form("/refused/act", "do", "discard", "all", "1", "expect", "3")
	testkit.Eventually(t, "many are discarded by a job: "+job, func() bool {
		return !regexp.MustCompile(`"[a-z]+"`).MatchString(d.ok("dead", "list"))
	})
	d.ok("flush", "--timeout", "20s")
	require.Equal(t, exitOK, worker.stop())
	d.start("worker")
	d.ready(d.worker)
	require.Contains(t, d.ok("fsck"), "agree")
	require.NoError(t, d.redis.Client(t).ConfigSet(t.Context(), "maxmemory", "0").Err())
	code, body = d.call(http.MethodPut, d.api, "/v1/user/new", `{"name":"N"}`)
	require.Equal(t, http.StatusAccepted, code, body)
}
