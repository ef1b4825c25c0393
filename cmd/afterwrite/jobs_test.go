package main

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/internal/testkit"
)

// A bulk action whose process is killed is gone on with by an API, which did not begin it; commands and both APIs tell
// the same of it, and any stops it.
func TestJobsOutliveTheirProcess(t *testing.T) {
	t.Parallel()
	d := deploy(t, testkit.SQLite(t))
	_, worker := d.serve()
	d.ok("retry-policy", "set", "user", "--base", "1h", "--cap", "2h")
	code, body := d.call(http.MethodPut, d.api, "/v1/user/a", `{"name":"A","email":"same@x"}`)
	require.Equal(t, http.StatusAccepted, code, body)
	d.ok("flush")
	const held = 60
	for i := range held {
		code, body := d.call(http.MethodPut, d.api, fmt.Sprintf("/v1/user/h%d", i), `{"name":"N","email":"same@x"}`)
		require.Equal(t, http.StatusAccepted, code, body)
	}
	testkit.Eventually(t, "all are held", func() bool {
		return d.json(d.ok("held", "list", "--json"))["count"] == float64(held)
	})
	require.Equal(t, exitOK, worker.stop(), "what is retried stays pending")

	other := testkit.FreeAddr(t)
	also := d.command("api")
	also.Env = append(also.Env, "AFTERWRITE_API_ADDR="+other)
	second := d.startCommand(also)
	d.ready(other)
	job := func(addr, id string) map[string]any {
		t.Helper()
		code, body := d.call(http.MethodGet, addr, "/v1/admin/jobs/"+id, "")
		require.Equal(t, http.StatusOK, code, body)
		return d.json(body)
	}
	begin := func() (id string, command *server) {
		t.Helper()
		command = d.start("held", "discard", "--all", "--entity", "user", "--rate", "1", "--yes")
		testkit.Eventually(t, "the job is seen", func() bool {
			_, body := d.call(http.MethodGet, other, "/v1/admin/jobs", "")
			jobs := d.json(body)["jobs"].([]any)
			if len(jobs) == 0 {
				return false
			}
			newest := jobs[0].(map[string]any)
			id = newest["id"].(string)
			return newest["state"] == "running" && newest["report"].(map[string]any)["done"].(float64) > 0
		})
		return id, command
	}
	id, command := begin()
	require.NoError(t, command.cmd.Process.Kill())
	command.wait()
	testkit.Eventually(t, "another process goes on with it", func() bool { return job(d.api, id)["resumed"] == 1.0 })
	require.Equal(t, job(d.api, id)["runner"], job(other, id)["runner"])
	require.Contains(t, d.ok("jobs"), id)
	code, body = d.call(http.MethodPost, other, "/v1/admin/jobs/"+id+"/stop", "{}")
	require.Equal(t, http.StatusAccepted, code, body)
	testkit.Eventually(t, "it is stopped", func() bool { return job(d.api, id)["state"] == "stopped" })
	r := d.run("", "jobs", "show", id, "--follow")
	require.Equal(t, exitFailure, r.code)
	require.Contains(t, r.out, "stopped")
	require.Contains(t, d.ok("audit"), "job.stop")

	id, command = begin()
	d.ok("jobs", "stop", id)
	require.Equal(t, exitFailure, command.wait())
	require.Contains(t, command.text(), "Stopped.")
	require.Equal(t, "stopped", d.json(d.ok("jobs", "stop", id, "--json"))["state"], "it has ended: nothing happens")
	require.Equal(t, exitFailure, d.run("", "jobs", "show", "none").code)
	require.Equal(t, exitOK, second.stop())
}
