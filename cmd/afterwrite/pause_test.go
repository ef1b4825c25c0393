package main

import (
	"io"
	"net/http"
	neturl "net/url"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/internal/testkit"
)

// TestPausingWithoutTheDatabase: what operators do in Redis alone is done while the database is away, which is when
// they do it. That the audit lacks it is said by commands, HTTP and dashboard, and in their logs.
func TestPausingWithoutTheDatabase(t *testing.T) {
	t.Parallel()
	url := testkit.Postgres(t).Database(t)
	d := deploy(t, url)
	pages := testkit.FreeAddr(t)
	d.env = append(d.env, "AFTERWRITE_DASHBOARD_ADDR="+pages)
	d.ok("migrate")
	u, err := neturl.Parse(url)
	require.NoError(t, err)
	way := testkit.NewProxy(t, u.Host)
	d.env = append(d.env, "AFTERWRITE_DATABASE_URL="+way.URL(t, url))
	api, dashboard := d.start("api"), d.start("dashboard")
	d.ready(d.api)
	d.ready(pages)
	require.NotContains(t, d.run("", "pause", "item").err, "audit")
	require.NotContains(t, d.run("", "resume", "item").err, "audit")
	way.Cut()

	const lacks = "not in the audit"
	for _, args := range [][]string{{"pause", "user"}, {"resume", "user"}} {
		r := d.run("", args...)
		require.Equal(t, exitOK, r.code, r.err)
		require.Contains(t, r.out, "4 partitions of user")
		require.Contains(t, r.err, "warning: done, but it is "+lacks)
		require.Contains(t, r.err, `"action":"flush.`+args[0]+`"`)
	}
	post := func(path, body string, code int) {
		t.Helper()
		answer, text := d.exchange(http.MethodPost, "/v1/admin/"+path, body)
		require.Equal(t, code, answer.StatusCode, text)
		require.Contains(t, text, `"entity":"user"`)
		require.Contains(t, answer.Header.Get("Warning"), lacks)
	}
	post("flush", `{"entity":"user"}`, http.StatusAccepted)
	post("invalidate", `{"entity":"user","match":"*"}`, http.StatusOK)
	post("pause", `{"entity":"user"}`, http.StatusOK)
	api.says("done by an operator, but " + lacks)
	for _, form := range []string{"/entities/user/flush", "/entities/user/pause"} {
		r, err := http.PostForm("http://"+pages+form, neturl.Values{"do": {"resume"}})
		require.NoError(t, err)
		text, err := io.ReadAll(r.Body)
		require.NoError(t, err)
		require.NoError(t, r.Body.Close())
		require.Equal(t, http.StatusOK, r.StatusCode, form)
		require.Contains(t, string(text), "It is "+lacks, form)
	}
	dashboard.says("not audited")
	way.Restore()
	testkit.Eventually(t, "the audit is written again", func() bool {
		answer, _ := d.exchange(http.MethodPost, "/v1/admin/pause", `{"entity":"user"}`)
		return answer.StatusCode == http.StatusOK && answer.Header.Get("Warning") == ""
	})
}
