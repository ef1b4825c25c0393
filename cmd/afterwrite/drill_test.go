package main

import (
	"net/http"
	"os"
	"path/filepath"
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

// TestRestoreDrill follows the runbook with the scripts: a database that is restored from a
// backup older than Redis, and then both lost. What differs is named and can be written
// again; nothing that the backup has is lost, and a Redis that was emptied is said.
func TestRestoreDrill(t *testing.T) {
	t.Parallel()
	url := testkit.Postgres(t).Database(t)
	d := deploy(t, url)
	d.redis = testkit.Redis(t)
	d.env = append(d.env, "AFTERWRITE_REDIS_URL="+d.redis.URL(), "AFTERWRITE_DATABASE_URL="+url)
	put := func(id, name string) {
		t.Helper()
		code, body := d.call(http.MethodPut, d.api, "/v1/user/"+id, `{"name":"`+name+`"}`)
		require.Equal(t, http.StatusAccepted, code, body)
	}
	reads := func(id, want string) {
		t.Helper()
		code, body := d.call(http.MethodGet, d.api, "/v1/user/"+id, "")
		require.Equal(t, http.StatusOK, code, body)
		require.Contains(t, body, want)
	}
	api, worker := d.serve()
	put("ada", "one")
	put("bob", "one")
	said, err := d.script("backup.sh", "kept")
	require.NoError(t, err, said)
	put("ada", "two")
	d.ok("flush")
	said, err = d.script("restore.sh", "kept")
	require.Error(t, err, "a worker is alive")
	require.Contains(t, said, "a worker is alive")
	require.Equal(t, exitOK, api.stop())
	require.Equal(t, exitOK, worker.stop())

	said, err = d.script("restore.sh", "kept")
	require.NoError(t, err, said)
	require.Contains(t, d.read("kept/differing.json"), `"ada"`)
	require.NotContains(t, d.read("kept/differing.json"), `"bob"`)
	api, worker = d.start("api"), d.start("worker")
	d.ready(d.api)
	d.ready(d.worker)
	reads("ada", "two") // the cache has it still
	put("ada", "two")
	d.ok("flush")
	d.ok("invalidate", "user", "--all")
	reads("ada", "two")
	reads("bob", "one")
	require.Contains(t, d.ok("fsck"), "agree")
	require.Equal(t, exitOK, api.stop())
	require.Equal(t, exitOK, worker.stop())

	require.NoError(t, d.redis.Client(t).FlushAll(t.Context()).Err())
	said, err = d.script("restore.sh", "kept")
	require.NoError(t, err, said)
	d.start("worker").says("Redis has lost its state")
	d.start("api")
	d.ready(d.api)
	reads("ada", "one")
	require.Equal(t, exitFailure, d.run("", "doctor").code, "a loss is a failure")
	d.ok("acknowledge", "--reason", "restored from the backup", "--yes")
	put("ada", "three")
	d.ok("flush")
	require.Contains(t, d.ok("fsck"), "agree")
}
