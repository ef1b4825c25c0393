package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/internal/testkit"
)

// A database that answers every query and takes no write, as a replica does, is a failure.
func TestDoctorTellsOfAReadOnlyDatabase(t *testing.T) {
	t.Parallel()
	url := testkit.Postgres(t).Database(t)
	d := deploy(t, url)
	d.ok("migrate")
	require.Contains(t, d.ok("doctor"), "ok       database writes")
	d.env = append(d.env, "AFTERWRITE_DATABASE_URL="+url+"&default_transaction_read_only=on")
	r := d.run("", "doctor")
	require.Equal(t, exitFailure, r.code, r.out)
	require.Contains(t, r.out, "failure  database writes")
	require.Contains(t, r.out, "25006")
	require.Contains(t, r.out, "→ make the database writable")
	require.Contains(t, r.out, "ok       tables")
}

// A Redis that was emptied leaves a trace, before a process has seen it and after.
func TestDoctorTellsOfALostRedis(t *testing.T) {
	t.Parallel()
	d := deployAlone(t)
	d.ok("migrate")
	require.Contains(t, d.ok("doctor"), "ok       redis state", "nothing was there to lose")
	worker := d.start("worker")
	require.Equal(t, exitOK, d.run(`{"id":"ada","name":"Ada"}`, "load", "user", "-", "--format", "ndjson").code)
	d.ok("flush")
	require.Contains(t, d.ok("doctor"), "ok       redis state")
	require.Equal(t, exitOK, worker.stop())

	require.NoError(t, d.redis.Client(t).FlushAll(t.Context()).Err())
	out := d.ok("doctor")
	require.Contains(t, out, "warning  redis state")
	require.Contains(t, out, "Redis knows of no accepted write of user, though")
	require.NotContains(t, out, "write of item", "nothing was ever accepted of it")

	d.start("worker").says("Redis has lost its state")
	testkit.Eventually(t, "the audit has it", func() bool {
		return strings.Contains(d.ok("doctor"), "Redis had lost its state of user when a process looked at ")
	})
	require.Equal(t, exitOK, d.run(`{"id":"bob","name":"Bob"}`, "load", "user", "-", "--format", "ndjson").code)
	d.ok("flush")
	out = d.ok("doctor")
	require.Contains(t, out, "Redis had lost its state of user", "new writes do not wash it away")
	require.NotContains(t, out, "state of item")
}

// What only looks leaves no SQLite file, nor its directory, where none was.
func TestLookingLeavesNoSQLiteFile(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "data")
	d := deploy(t, "sqlite://"+filepath.Join(dir, "a.db"))
	planned := d.ok("migrate", "--dry-run")
	require.Contains(t, planned, "create table users")
	require.NoDirExists(t, dir)
	r := d.run("", "doctor")
	require.Equal(t, exitFailure, r.code, r.out)
	require.Contains(t, r.out, "run `afterwrite migrate`")
	require.NoDirExists(t, dir)
	r = d.run("", "api")
	require.Equal(t, exitFailure, r.code)
	require.Contains(t, r.err, "afterwrite migrate")
	require.NoDirExists(t, dir)

	require.Equal(t, strings.Count(planned, "\n"), strings.Count(d.ok("migrate"), "\n"), "what was planned is done")
	files, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Equal(t, "a.db", files[0].Name())
	require.Contains(t, d.ok("doctor"), "ok       tables")
}

// A Redis that answers and takes no writes, and a backlog that refuses new records, are
// failures, too.
func TestDoctorTellsWhyWritesAreRefused(t *testing.T) {
	t.Parallel()
	server := testkit.Redis(t)
	d := deployEntities(t, testkit.SQLite(t), server, `
entities:
  user:
    table: users
    id: {column: id, type: string, max: 64}
    fields: {name: {type: string}}
    partitions: 1
    flush: {max_pending: 2}
`)
	d.ok("migrate")
	admin := server.Client(t)
	require.NoError(t, admin.ConfigSet(t.Context(), "min-replicas-to-write", "1").Err())
	r := d.run("", "doctor")
	require.Equal(t, exitFailure, r.code, r.out)
	require.Contains(t, r.out, "failure  redis writes")
	require.Contains(t, r.out, "NOREPLICAS")
	require.NoError(t, admin.ConfigSet(t.Context(), "min-replicas-to-write", "0").Err())
	require.Contains(t, d.ok("doctor"), "ok       redis writes")

	r = d.run("id,name\na,A\nb,B\nc,C\n", "load", "user", "-", "--format", "csv")
	require.Equal(t, 0, r.code, r.err)
	r = d.run("", "doctor")
	require.Equal(t, exitFailure, r.code, r.out)
	require.Contains(t, r.out, "full: new records are refused")
}
