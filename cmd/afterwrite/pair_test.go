package main

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/internal/testkit"
)

// elsewhere is the environment of a process with the URL of another, migrated database.
func (d *deployment) elsewhere() string {
	d.t.Helper()
	other := "AFTERWRITE_DATABASE_URL=" + testkit.SQLite(d.t)
	d.env = append(d.env, other)
	d.ok("migrate")
	d.env = d.env[:len(d.env)-1]
	return other
}

// A worker with the URL of another database drains nothing into it, and says why; the two
// are paired on purpose, with a confirmation and a line in the audit.
func TestWorkerWithAnotherDatabase(t *testing.T) {
	t.Parallel()
	d := deploy(t, testkit.SQLite(t))
	api, worker := d.serve()
	code, body := d.call(http.MethodPut, d.api, "/v1/user/ada", `{"name":"Ada"}`)
	require.Equal(t, http.StatusAccepted, code, body)
	d.ok("flush")
	require.Equal(t, exitOK, worker.stop())
	code, body = d.call(http.MethodPut, d.api, "/v1/user/bob", `{"name":"Bob"}`)
	require.Equal(t, http.StatusAccepted, code, body)

	env := d.env
	d.env = append(env[:len(env):len(env)], d.elsewhere())
	lost := d.start("worker")
	require.Equal(t, exitFailure, lost.wait())
	require.Contains(t, lost.text(), "Redis and the database do not belong together")
	require.Contains(t, lost.text(), "`afterwrite pair`")
	for _, args := range [][]string{{"dead", "list"}, {"invalidate", "user", "ada"},
		{"load", "user", "-", "--format", "ndjson"}} {
		r := d.run("", args...)
		require.Equal(t, exitFailure, r.code, args)
		require.Contains(t, r.err, "do not belong together", args)
	}
	for _, args := range [][]string{{"status"}, {"fsck"}, {"record", "get", "user", "bob"}, {"status", "--json"},
		{"fsck", "--json"}, {"flush"}, {"flush", "--json"}, {"record", "get", "user", "bob", "--json"}} {
		r := d.run("", args...)
		require.Equal(t, exitFailure, r.code, args)
		require.Contains(t, r.err, "failure: Redis and the database do not belong together", args)
		require.Contains(t, r.out, "user", "what there is is shown all the same: %v", args)
		require.NotContains(t, r.out, "agree")
		if args[len(args)-1] == "--json" {
			require.Contains(t, d.json(r.out)["unpaired"], "do not belong together", args)
		}
	}
	require.Contains(t, d.ok("retry-policy", "history", "user"), "from the configuration")
	require.Contains(t, d.ok("retry-policy", "show", "user"), "max_attempts")
	r := d.run("", "doctor")
	require.Equal(t, exitFailure, r.code)
	require.Regexp(t, `failure +pairing +Redis and the database do not belong together`, r.out)
	require.Contains(t, d.run("", "flush", "--timeout", "1ms").out, `["bob"]`, "it is still pending")

	r = d.run("", "pair")
	require.Equal(t, exitUsage, r.code)
	require.Contains(t, r.err, "1 record not in the database yet")
	require.Contains(t, r.err, "never paired")
	require.Regexp(t, `In use +api \S+ uses this Redis with another database`, r.err)
	require.Contains(t, d.ok("pair", "--yes"), "paired as deployment")
	require.Contains(t, d.run("", "doctor").out, "Redis and the database belong together")
	moved := d.start("worker")
	d.ready(d.worker)
	d.ok("flush")
	require.Equal(t, exitOK, moved.stop())

	api.says("nothing is accepted or flushed any more")
	code, body = d.call(http.MethodPut, d.api, "/v1/user/eve", `{"name":"Eve"}`)
	require.Equal(t, http.StatusServiceUnavailable, code, body)
	require.Contains(t, body, "do not belong together")
	d.env = env
	require.Equal(t, exitFailure, d.start("worker").wait(), "the first database has another deployment now")
	d.ok("pair", "--yes")
	testkit.Eventually(t, "the API goes on by itself", func() bool {
		code, _ := d.call(http.MethodPut, d.api, "/v1/user/eve", `{"name":"Eve"}`)
		return code == http.StatusAccepted
	})
}

// A worker with the URL of another Redis, an empty one, does not take the database from the processes that serve.
// Without them it goes on, as with a Redis that was emptied.
func TestWorkerWithAnotherRedis(t *testing.T) {
	t.Parallel()
	d := deploy(t, testkit.SQLite(t))
	api, worker := d.serve()
	d.drilled("ada", "Ada", "ada@x")
	d.ok("flush")
	require.Equal(t, exitOK, worker.stop())
	d.env = append(d.env, "AFTERWRITE_REDIS_URL="+testkit.Redis(t).URL(), "AFTERWRITE_WORKER_POLL_INTERVAL=10s")
	lost := d.start("worker")
	require.Equal(t, exitFailure, lost.wait())
	require.Contains(t, lost.text(), "writes to the database from the Redis that belongs to it")
	testkit.Eventually(t, "doctor has the answer of the API, and no loss", func() bool {
		r := d.run("", "doctor")
		return r.code == exitFailure && strings.Contains(r.out, "fix redis.url") &&
			!strings.Contains(r.out, "had lost its state")
	})
	testkit.Eventually(t, "so has the command that flushes", func() bool {
		r := d.run("", "flush")
		return r.code == exitFailure && r.out == "" && strings.Contains(r.err, "fix redis.url")
	})
	testkit.Eventually(t, "so has the command that pairs", func() bool {
		return strings.Contains(d.run("", "pair").err, "uses this database with another Redis")
	})
	require.Equal(t, exitOK, api.stop())
	d.env[len(d.env)-1] = "AFTERWRITE_WORKER_POLL_INTERVAL=50ms"
	d.start("worker").says("Redis has lost its state")
}

// A database that was never migrated, under a Redis that belongs to another, is called the wrong one: the
// hint does not lead to tables in it.
func TestADatabaseWithoutTablesIsNotTheRightOne(t *testing.T) {
	t.Parallel()
	d := deploy(t, testkit.SQLite(t))
	_, worker := d.serve()
	require.Equal(t, exitOK, worker.stop())
	d.env = append(d.env, "AFTERWRITE_DATABASE_URL="+testkit.SQLite(t))
	lost := d.start("worker")
	require.Equal(t, exitFailure, lost.wait())
	require.Contains(t, lost.text(), "Redis is paired with another database")
	require.NotContains(t, lost.text(), "afterwrite migrate")
	r := d.run("", "doctor")
	require.Equal(t, exitFailure, r.code)
	require.Regexp(t, `failure +pairing +Redis and the database do not belong together`, r.out)
	require.Regexp(t, `failure +tables .*see pairing first`, r.out)
	for _, args := range [][]string{{"status"}, {"fsck"}, {"record", "get", "user", "ada"}} {
		r := d.run("", args...)
		require.Equal(t, exitFailure, r.code, args)
		require.Contains(t, r.err, "Redis is paired with another database", args)
		require.NotContains(t, r.err, "afterwrite migrate", args)
	}
}

// Processes that start at once for the first time pair once and raise no alarm, nor does a
// new prefix; an emptied Redis is a failure until it is acknowledged with a reason.
func TestFirstStartRaisesNoAlarm(t *testing.T) {
	t.Parallel()
	d := deployAlone(t)
	d.ok("migrate")
	d.serve()
	second := d.start("worker", "--log-level", "debug")
	second.says("worker.addr") // its port is taken, which is all that is wrong with it
	calm := func() {
		t.Helper()
		require.Contains(t, d.run("", "doctor").out, "no loss that is not acknowledged")
	}
	calm()
	code, body := d.call(http.MethodPut, d.api, "/v1/user/ada", `{"name":"Ada"}`)
	require.Equal(t, http.StatusAccepted, code, body)
	d.ok("flush")
	calm()
	d.env = append(d.env, "AFTERWRITE_REDIS_PREFIX="+testkit.Prefix(t))
	require.Equal(t, exitOK, d.run(`{"id":"x","name":"x"}`, "load", "user", "-", "--format", "ndjson").code)
	calm()
	d.env = d.env[:len(d.env)-1]

	require.NoError(t, d.redis.Client(t).FlushAll(t.Context()).Err())
	testkit.Eventually(t, "doctor fails", func() bool {
		r := d.run("", "doctor")
		return r.code == exitFailure && strings.Contains(r.out, "Redis had lost its state of user")
	})
	testkit.Eventually(t, "the metric says so", func() bool {
		_, body := d.call(http.MethodGet, d.worker, "/metrics", "")
		return strings.Contains(body, "afterwrite_losses_unacknowledged 1") &&
			strings.Contains(body, "afterwrite_paired 1")
	})
	require.Equal(t, exitUsage, d.run("", "acknowledge", "user").code, "without a reason")
	require.Contains(t, d.ok("acknowledge", "--reason", "a test", "--yes"), "1 loss acknowledged")
	require.Contains(t, d.ok("acknowledge", "--reason", "a test", "--yes"), "no loss to acknowledge")
	calm()
	d.ready(d.api)
	d.ready(d.worker)
}

// An emptied Redis in between does not hide that an old copy of its files was put back: no
// read is older than the rows, and the loss is a failure until it is acknowledged.
func TestRedisWentBackAfterItWasEmptied(t *testing.T) {
	t.Parallel()
	d := deployAlone(t)
	api, worker := d.serve()
	put := func(age string) {
		code, answer := d.call(http.MethodPut, d.api, "/v1/user/ada", `{"name":"Ada","age":`+age+`}`)
		require.Equal(t, http.StatusAccepted, code, answer)
		d.ok("flush")
	}
	put("1")
	putBack := d.redis.Copy()
	put("100")
	require.NoError(t, d.redis.Client(t).FlushAll(t.Context()).Err())
	testkit.Eventually(t, "one process says it", func() bool {
		return strings.Contains(api.text()+worker.text(), "Redis has lost its state")
	})
	putBack()
	testkit.Eventually(t, "the old copy is seen", func() bool {
		return strings.Contains(d.run("", "doctor").out, "an old copy of its files was put back")
	})
	testkit.Eventually(t, "the row is read", func() bool {
		code, body := d.call(http.MethodGet, d.api, "/v1/user/ada", "")
		return code == http.StatusOK && strings.Contains(body, `"age":100`)
	})
	code, body := d.call(http.MethodPost, d.api, "/v1/user/ada/increment", `{"age":1}`)
	require.Equal(t, http.StatusAccepted, code, body)
	d.ok("flush")
	require.Contains(t, d.ok("fsck"), "agree")
	code, body = d.call(http.MethodGet, d.api, "/v1/user/ada", "")
	require.Equal(t, http.StatusOK, code)
	require.Contains(t, body, `"age":101`)
	d.ok("acknowledge", "--reason", "a test", "--yes")
	require.NotContains(t, d.run("", "doctor").out, "Redis had lost")
}

// A Redis that reads its files while a process starts is asked again, and not taken for one
// that keeps none.
func TestRedisLoadsWhileAProcessStarts(t *testing.T) {
	t.Parallel()
	d := deploy(t, testkit.SQLite(t))
	d.redis = testkit.Redis(t, testkit.Set("key-load-delay", "1000")) // µs a command of its file
	d.env = append(d.env, "AFTERWRITE_REDIS_URL="+d.redis.URL())
	d.ok("migrate")
	fill := d.redis.Client(t).Pipeline()
	for range 60_000 { // Redis answers after every 1,024 of them
		fill.Incr(t.Context(), "n")
	}
	_, err := fill.Exec(t.Context())
	require.NoError(t, err)
	d.redis.Kill()
	loaded := make(chan struct{})
	go func() { defer close(loaded); d.redis.Start() }()
	client := d.redis.Client(t)
	testkit.Eventually(t, "Redis is loading", func() bool {
		err := client.Ping(t.Context()).Err()
		return err != nil && strings.HasPrefix(err.Error(), "LOADING")
	})
	worker := d.start("worker")
	worker.says("LOADING")
	require.NoError(t, client.ConfigSet(t.Context(), "key-load-delay", "0").Err())
	<-loaded
	d.ready(d.worker)
	require.NotContains(t, worker.text(), "keeps no append-only file")
}
