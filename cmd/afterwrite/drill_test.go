package main

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/internal/testkit"
)

// script runs a script of the repository with this build of the program, and PostgreSQL's own tools.
func (d *deployment) script(name string, args ...string) (string, error) {
	d.t.Helper()
	tools, err := filepath.Glob("/usr/lib/postgresql/*/bin")
	require.NoError(d.t, err)
	path, err := filepath.Abs("../../scripts/" + name)
	require.NoError(d.t, err)
	cmd := d.command()
	cmd.Path, cmd.Args = path, append([]string{path}, args...)
	cmd.Env = append(d.env[:len(d.env):len(d.env)], "PATH="+filepath.Dir(binary)+":"+os.Getenv("PATH"))
	for _, dir := range tools {
		cmd.Env[len(cmd.Env)-1] += ":" + dir
	}
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// TestRestoreDrill follows the runbook with the scripts: a database that is restored from a backup older than Redis,
// and then both lost. What differs is named and can be written again; what died since has a dead letter again; nothing
// that the backup has is lost, and a Redis that was emptied is said.
func TestRestoreDrill(t *testing.T) {
	t.Parallel()
	testkit.Databases(t, func(t *testing.T, url string) {
		t.Parallel()
		d := deploy(t, url)
		d.redis = testkit.Redis(t)
		d.env = append(d.env, "AFTERWRITE_REDIS_URL="+d.redis.URL(), "AFTERWRITE_DATABASE_URL="+url)
		api, worker := d.serve()
		d.ok("retry-policy", "set", "user", "--max-attempts", "1")
		d.drilled("ada", "one", "same@x")
		d.drilled("bob", "one", "bob@x")
		said, err := d.script("backup.sh", "kept")
		require.NoError(t, err, said)
		d.drilled("ada", "two", "same@x")
		d.ok("flush")
		d.drilled("cyd", "dies", "same@x")
		d.drilled("dan", "dies", "same@x")
		d.letters(2)
		said, err = d.script("restore.sh", "kept")
		require.Error(t, err, "a worker is alive")
		require.Contains(t, said, "a worker is alive")
		require.Equal(t, exitOK, api.stop())
		require.Equal(t, exitOK, worker.stop())

		said, err = d.script("restore.sh", "kept")
		require.NoError(t, err, said)
		differing := d.read("kept/differing.json")
		require.Contains(t, differing, `"ada"`)
		require.NotContains(t, differing, `"bob"`)
		require.Equal(t, 2, strings.Count(differing, `"no_letter"`), "%s", differing)
		d.letters(0)
		api, worker = d.start("api"), d.start("worker")
		d.ready(d.api)
		d.ready(d.worker)
		d.reads("ada", "two") // the cache has it still
		d.drilled("ada", "two", "free@x")
		d.letters(2)
		d.ok("dead", "retry", "--all", "--id", "cyd", "--yes")
		code, body := d.call(http.MethodPost, d.api, "/v1/admin/dead/discard", `{"filter":{"id":"dan"},"expect":1}`)
		require.Equal(t, http.StatusOK, code, body)
		require.Contains(t, body, `"done":1`)
		d.ok("flush")
		d.letters(0)
		d.ok("invalidate", "user", "--all")
		d.reads("ada", "two")
		d.reads("bob", "one")
		d.reads("cyd", "dies")
		require.Contains(t, d.ok("fsck"), "agree")
		require.Equal(t, exitOK, api.stop())
		require.Equal(t, exitOK, worker.stop())

		require.NoError(t, d.redis.Client(t).FlushAll(t.Context()).Err())
		said, err = d.script("restore.sh", "kept")
		require.NoError(t, err, said)
		d.start("worker").says("Redis has lost its state")
		d.start("api")
		d.ready(d.api)
		d.reads("ada", "one")
		require.Equal(t, exitFailure, d.run("", "doctor").code, "a loss is a failure")
		d.ok("acknowledge", "--reason", "restored from the backup", "--yes")
		d.drilled("ada", "three", "same@x")
		d.ok("flush")
		require.Contains(t, d.ok("fsck"), "agree")
	})
}

// drilled writes a user.
func (d *deployment) drilled(id, name, email string) {
	d.t.Helper()
	code, body := d.call(http.MethodPut, d.api, "/v1/user/"+id, `{"name":"`+name+`","email":"`+email+`"}`)
	require.Equal(d.t, http.StatusAccepted, code, body)
}

func (d *deployment) reads(id, want string) {
	d.t.Helper()
	code, body := d.call(http.MethodGet, d.api, "/v1/user/"+id, "")
	require.Equal(d.t, http.StatusOK, code, body)
	require.Contains(d.t, body, want)
}

// letters waits until so many dead letters are open.
func (d *deployment) letters(n int) {
	d.t.Helper()
	testkit.Eventually(d.t, fmt.Sprintf("%d dead letters are open", n), func() bool {
		return strings.Count(d.ok("dead", "list", "--state", "open", "--json"), `"number"`) == n
	})
}
