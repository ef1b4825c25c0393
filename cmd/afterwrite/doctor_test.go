package main

import (
	"database/sql"
	"errors"
	neturl "net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/internal/health"
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
	r := d.run("", "doctor")
	require.Equal(t, exitFailure, r.code, r.out)
	require.Contains(t, r.out, "failure  redis state")
	require.Contains(t, r.out, "Redis had lost its state of user")
	require.NotContains(t, r.out, "state of item", "nothing was ever accepted of it")

	d.start("worker").says("Redis has lost its state")
	testkit.Eventually(t, "the audit has it", func() bool {
		return strings.Contains(d.run("", "doctor").out, "Redis had lost its state of user when a process looked at ")
	})
	require.Equal(t, exitOK, d.run(`{"id":"bob","name":"Bob"}`, "load", "user", "-", "--format", "ndjson").code)
	d.ok("flush")
	r = d.run("", "doctor")
	require.Equal(t, exitFailure, r.code, r.out)
	require.Contains(t, r.out, "Redis had lost its state of user", "new writes do not wash it away")
	require.NotContains(t, r.out, "state of item")
}

// What only looks leaves no SQLite file, nor its directory, where none was.
func TestLookingLeavesNoSQLiteFile(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "data")
	d := deploy(t, "sqlite://"+filepath.Join(dir, "a.db"))
	planned := d.ok("migrate", "--dry-run")
	require.Contains(t, planned, "create table users")
	require.Contains(t, d.ok("migrate", "--sql"), "CREATE TABLE `users` (")
	require.Equal(t, exitUsage, d.run("", "migrate", "--sql", "--dry-run").code)
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
	require.Contains(t, r.out, "is full: new records are rejected")
}

// What doctor says of a Redis that cannot be used is what mends that, for whoever is woken
// does not know Redis's words.
func TestDoctorSaysWhatMendsRedis(t *testing.T) {
	t.Parallel()
	tls, addr, ca := testkit.TLS(t)
	server := testkit.Redis(t, tls, testkit.Set("busy-reply-threshold", "1"))
	expired, expiredAddr, expiredCA := testkit.ExpiredTLS(t)
	testkit.Redis(t, expired)
	asks, asksAddr, asksCA, _ := testkit.MutualTLS(t)
	testkit.Redis(t, asks)
	_, _, other := testkit.TLS(t)
	admin := server.Client(t)
	for _, user := range [][]any{{"app", "on", ">pw", "~*", "&*", "+@all", "-zadd"},
		{"nokeys", "on", ">pw", "&*", "+@all"}} {
		require.NoError(t, admin.Do(t.Context(), append([]any{"ACL", "SETUSER"}, user...)...).Err())
	}
	as := func(user string) string { return "redis://" + user + "@" + server.Addr() }
	d := deploy(t, testkit.SQLite(t))
	d.ok("migrate")
	timeout := "10s" // on a busy machine a handshake, a dial or an answer takes more than a second
	check := func(url, check, mend string) {
		t.Helper()
		d.env = append(d.env, "AFTERWRITE_REDIS_URL="+url, "AFTERWRITE_REDIS_TIMEOUT="+timeout)
		r := d.run("", "doctor")
		require.Equal(t, exitFailure, r.code, r.out)
		require.Regexp(t, "failure  "+check+" .* → .*"+mend, r.out)
	}
	check(as("app:wrong"), "redis", "user and password of redis.url .AFTERWRITE_REDIS_URL.")
	check(as("app:wrong"), "queue", "user and password of redis.url")
	check(as("app:pw"), "redis rights", "ACL SETUSER")
	check(as("nokeys:pw"), "redis rights", "ACL SETUSER")
	check("rediss://"+addr+"?ca="+other, "redis", "ca=FILE")
	check("rediss://"+addr, "redis", "ca=FILE")
	check("redis://"+addr, "redis", "rediss://")
	check("rediss://"+strings.Replace(addr, "127.0.0.1", "localhost", 1)+"?ca="+ca, "redis", "subjectAltName")
	timeout = "1s" // Redis waits for the rest of the handshake
	check("rediss://"+server.Addr()+"?ca="+ca, "redis", "speaks TLS")
	timeout = "10s"
	check("rediss://"+expiredAddr+"?ca="+expiredCA, "redis", "renew")
	check("rediss://"+asksAddr+"?ca="+asksCA, "redis", "cert=FILE")
	check("redis://no.such.host.invalid:1", "redis", "name of the host")
	check("redis-sentinel://127.0.0.1:1/m", "redis", "sentinels")
	check("redis-cluster://"+server.Addr(), "redis", "no cluster")
	check("redis://127.0.0.1:1", "redis", "start Redis")

	busy := make(chan error, 1)
	go func() { busy <- server.Client(t).Eval(t.Context(), "while true do end", nil).Err() }()
	testkit.Eventually(t, "Redis is busy", func() bool { return admin.Ping(t.Context()).Err() != nil })
	check(server.URL(), "redis", "script kill")
	require.NoError(t, admin.ScriptKill(t.Context()).Err())
	require.Error(t, <-busy)
	server.Pause()
	timeout = "1s"
	check(server.URL(), "redis", "frozen")
	server.Resume()
	require.Regexp(t, "start|wait", health.RedisHint(errors.New("LOADING Redis is loading the dataset in memory"),
		"redis.url"))
}

// The same of the database.
func TestDoctorSaysWhatMendsTheDatabase(t *testing.T) {
	t.Parallel()
	server := testkit.DedicatedPostgres(t, false)
	url := server.Database(t)
	d := deploy(t, url)
	d.ok("migrate")
	check := func(change func(u *neturl.URL), mend string) {
		t.Helper()
		u, err := neturl.Parse(url)
		require.NoError(t, err)
		change(u)
		d.env = append(d.env, "AFTERWRITE_DATABASE_URL="+u.String())
		r := d.run("", "doctor")
		require.Equal(t, exitFailure, r.code, r.out)
		require.Regexp(t, "failure  (database|tables) .* → .*"+mend, r.out)
	}
	db, err := sql.Open("pgx", url)
	require.NoError(t, err)
	t.Cleanup(func() { _ = db.Close() })
	for _, statement := range []string{"CREATE ROLE nothing LOGIN", "CREATE ROLE one LOGIN CONNECTION LIMIT 0"} {
		_, err = db.ExecContext(t.Context(), statement)
		require.NoError(t, err)
	}
	check(func(u *neturl.URL) { u.User = neturl.User("nobody") }, "pg_hba.conf")
	check(func(u *neturl.URL) { u.Path = "/none" }, "CREATE DATABASE")
	check(func(u *neturl.URL) { u.User = neturl.User("nothing") }, "GRANT")
	check(func(u *neturl.URL) { u.User = neturl.User("one") }, "max_connections")
	check(func(u *neturl.URL) { u.RawQuery = "sslmode=require" }, "ssl on")
	check(func(u *neturl.URL) { u.Host = "no.such.host.invalid:1" }, "name of the host")
	server.Stop()
	check(func(*neturl.URL) {}, "start the database")
}

// A slot that stays half moved keeps the writes of a partition out, which nothing else says.
func TestDoctorTellsOfASlotHalfMoved(t *testing.T) {
	t.Parallel()
	c := testkit.RedisCluster(t)
	d := deploy(t, testkit.SQLite(t))
	d.env = append(d.env, "AFTERWRITE_REDIS_URL="+c.URL())
	d.ok("migrate")
	require.NotContains(t, d.ok("doctor"), "redis cluster")
	_, finish := c.Move("aw:{user/0}:stats")
	r := d.run("", "doctor")
	require.Equal(t, exitFailure, r.code, r.out)
	require.Regexp(t, "failure  redis cluster .* moves a slot, .* → .*--cluster fix", r.out)
	finish()
	require.NotContains(t, d.ok("doctor"), "redis cluster")
	d.env = append(d.env, "AFTERWRITE_REDIS_URL="+c.Masters[0].URL())
	require.Contains(t, d.run("", "doctor").out, "write redis-cluster:// in redis.url")
	d.env = append(d.env, "AFTERWRITE_REDIS_URL="+c.URL())
	c.Masters[2].Kill()
	r = d.run("", "doctor")
	require.Equal(t, exitFailure, r.code, r.out)
	require.Regexp(t, "failure  redis cluster .* does not answer: ", r.out)
}

// A process does not begin to write what it could only write by halves.
func TestAUserWithoutARightIsRefusedAtTheStart(t *testing.T) {
	t.Parallel()
	d := deployAlone(t)
	d.ok("migrate")
	require.NoError(t, d.redis.Client(t).Do(t.Context(), "ACL", "SETUSER", "app", "on", ">pw", "~*", "&*", "+@all",
		"-zadd").Err())
	d.env = append(d.env, "AFTERWRITE_REDIS_URL="+strings.Replace(d.redis.URL(), "redis://", "redis://app:pw@", 1))
	for _, command := range []string{"api", "worker"} {
		r := d.run("", command)
		require.Equal(t, exitFailure, r.code)
		require.Contains(t, r.err, "lacks permissions: +zadd")
	}
}

// Triggers whose changes no flush can tell are named on every database.
func TestDoctorNamesTriggers(t *testing.T) {
	t.Parallel()
	testkit.AllDatabases(t, func(t *testing.T, url string) {
		d := deploy(t, url)
		d.ok("migrate")
		require.NotContains(t, d.ok("doctor"), "triggers")
		scheme, _, _ := strings.Cut(url, "://")
		for _, statement := range map[string][]string{
			"sqlite": {"CREATE TRIGGER counts AFTER INSERT ON users BEGIN UPDATE item SET name = 'x'; END"},
			"mysql":  {"CREATE TRIGGER counts AFTER INSERT ON users FOR EACH ROW UPDATE item SET name = 'x'"},
			"postgres": {"CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN UPDATE item SET name = NULL; RETURN NULL; END'",
				"CREATE TRIGGER counts AFTER INSERT ON users FOR EACH ROW EXECUTE FUNCTION f()"},
		}[scheme] {
			_, err := testkit.SQL(t, url).ExecContext(t.Context(), statement)
			require.NoError(t, err)
		}
		said := d.ok("doctor")
		require.Contains(t, said, "warning  triggers")
		require.Contains(t, said, "the trigger counts of users names item: rows of item that it changes stay cached")
		require.Contains(t, said, "→ watch it (`afterwrite migrate --watch=item`)")
	})
}
