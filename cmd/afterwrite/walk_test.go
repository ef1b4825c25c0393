package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/internal/testkit"
)

// The whole walk with separate processes: from a request to a row, and what the
// operator's commands say about it.
func TestWalk(t *testing.T) {
	t.Parallel()
	testkit.Databases(t, func(t *testing.T, url string) {
		t.Parallel()
		d := deploy(t, url)
		require.Contains(t, d.ok("migrate", "--dry-run"), "users")
		r := d.run("", "api")
		require.Equal(t, exitFailure, r.code)
		require.Contains(t, r.err, "afterwrite migrate")

		api, worker := d.serve()
		require.Contains(t, d.ok("migrate"), "up to date")
		code, body := d.call(http.MethodPut, d.api, "/v1/user/ada", `{"name":"Ada","secret":"s3"}`)
		require.Equal(t, http.StatusAccepted, code, body)
		require.Contains(t, d.ok("flush", "--timeout", "30s"), "everything is in the database")

		record := d.json(d.ok("record", "get", "user", "ada", "--json"))
		require.Equal(t, "persisted", record["status"])
		require.Equal(t, true, record["stored"])
		require.NotContains(t, d.ok("record", "get", "user", "ada"), "s3")
		require.Contains(t, d.ok("record", "get", "user", "ada"), `"Ada"`)
		for _, more := range [][]string{nil, {"--json"}} {
			r := d.run("", append([]string{"record", "get", "user", "nobody"}, more...)...)
			require.Equal(t, exitFailure, r.code)
			require.Empty(t, r.out, "of what is nowhere there is nothing to show")
			require.Contains(t, r.err, "not found")
		}

		conn, err := net.Dial("tcp", d.api)
		require.NoError(t, err)
		defer conn.Close()
		fmt.Fprint(conn, "hello\r\n\r\n")
		text, err := io.ReadAll(conn)
		require.NoError(t, err)
		require.Contains(t, string(text), `"type":"urn:afterwrite:problem:malformed-request"`,
			"also what no handler is asked about")

		require.Contains(t, d.ok("fsck"), "agree")
		require.Equal(t, true, d.json(d.ok("fsck", "user", "--json"))["ok"])
		d.doctor()
		d.loads()
		d.invalidates()

		code, body = d.call(http.MethodGet, d.worker, "/metrics", "")
		require.Equal(t, http.StatusOK, code)
		require.Contains(t, body, "afterwrite_")
		require.Equal(t, exitOK, api.stop(), api.text())
		require.Equal(t, exitOK, worker.stop(), worker.text())
	})
}

func (d *deployment) doctor() {
	d.t.Helper()
	out := d.ok("doctor")
	for _, line := range []string{"ok       redis version", "ok       redis eviction", "ok       redis persistence",
		"ok       tables", "ok       workers", "1 alive"} {
		require.Contains(d.t, out, line)
	}
	require.NotContains(d.t, out, "failure")
}

func (d *deployment) loads() {
	d.t.Helper()
	var b strings.Builder
	for i := range 3000 {
		fmt.Fprintf(&b, `{"id":"l%d","name":"n%d","age":%d,"profile":{"z":1,"a":[%d]}}`+"\n", i%2900, i, i, i)
	}
	d.file("users.ndjson", b.String())
	summary := d.json(d.ok("load", "user", "users.ndjson", "--json"))
	require.EqualValues(d.t, 3000, summary["accepted"])

	d.file("users.csv", "\ufeffname,id,balance,active,profile,age\n"+
		"\"Grace, \"\"H\"\"\",grace,12.5,false,\"{\"\"a\"\": 1}\",\nMary,mary,,,,42\n")
	d.ok("load", "user", "users.csv")
	d.ok("flush", "user")
	get := func(id string) string {
		code, body := d.call(http.MethodGet, d.api, "/v1/user/"+id, "")
		require.Equal(d.t, http.StatusOK, code, body)
		return body
	}
	require.Equal(d.t, `{"id":"grace","name":"Grace, \"H\"","email":null,"age":null,"balance":"12.50","active":false,"profile":{"a": 1},"secret":null}`, strings.TrimSpace(get("grace")))
	require.Contains(d.t, get("mary"), `"age":42,"balance":null,"active":true`)
	require.Contains(d.t, get("l5"), `"name":"n2905"`, "rows of one id take effect in the file's order")
	require.Contains(d.t, d.ok("fsck"), "agree")

	r := d.run("{\"id\":\"x\",\"name\":\"ok\"}\n{\"id\":\"y\",\"nome\":1}\n\nnot json\n{\"name\":\"no id\"}\n{\"id\":\"z\",\"id\":\"z\"}\n",
		"load", "user", "-", "--format", "ndjson", "--json")
	require.Equal(d.t, exitFailure, r.code)
	summary = d.json(r.out)
	require.EqualValues(d.t, 1, summary["accepted"])
	require.EqualValues(d.t, 4, summary["rejected"])
	for i, line := range []int{2, 4, 5, 6} {
		require.EqualValues(d.t, line, summary["errors"].([]any)[i].(map[string]any)["line"])
	}
	r = d.run(strings.Repeat("x\n", 10), "load", "user", "-", "--format", "ndjson", "--max-errors", "3")
	require.Equal(d.t, exitFailure, r.code)
	require.Contains(d.t, r.err, "--max-errors")
	r = d.run(`{"id":"ada","name":"again"}`, "load", "user", "-", "--format", "ndjson", "--op", "create")
	require.Equal(d.t, exitFailure, r.code)
	require.Contains(d.t, r.err, "line 1: record exists already")
}

func (d *deployment) invalidates() {
	d.t.Helper()
	d.ok("flush")
	require.Contains(d.t, d.ok("invalidate", "user", "ada", "nobody"), "dropped 1 record of user")
	require.Contains(d.t, d.ok("invalidate", "user", "--match", "l1?"), "dropped 10 records")
	d.ok("invalidate", "user", "--all")
	require.Equal(d.t, false, d.json(d.ok("record", "get", "user", "l5", "--json"))["cached"])
	_, body := d.call(http.MethodGet, d.api, "/v1/user/l5", "")
	require.Contains(d.t, body, `"name":"n2905"`)
	require.Equal(d.t, exitUsage, d.run("", "invalidate", "user").code)
}

// What is pending is named when nobody flushes it, and fsck finds a row that was
// changed behind the cache.
func TestLeftAndDifferent(t *testing.T) {
	t.Parallel()
	d := deploy(t, testkit.SQLite(t))
	d.ok("migrate")
	require.Equal(t, exitOK, d.run("id,name\n1,x\n007,y\n", "load", "item", "-", "--format", "csv").code)
	r := d.run("", "flush", "--timeout", "1ms")
	require.Equal(t, exitFailure, r.code)
	require.Contains(t, r.out, "pending  2")
	require.Contains(t, r.out, `"7"`)
	require.Contains(t, r.err, "No worker is alive")

	worker := d.start("worker")
	d.ok("flush")
	require.Equal(t, exitOK, worker.stop())
	// Another table with the same records, but none of its rows.
	d.env = append(d.env, "AFTERWRITE_DATABASE_URL="+testkit.SQLite(t))
	require.Equal(t, exitFailure, d.run("", "fsck").code)
	d.ok("migrate")
	r = d.run("", "fsck")
	require.Equal(t, exitFailure, r.code)
	require.Contains(t, r.out, "row_missing")
	require.NotContains(t, r.err, "afterwrite:")
}

func TestRedisThatEvictsIsRefused(t *testing.T) {
	t.Parallel()
	d := deploy(t, testkit.SQLite(t))
	d.env = append(d.env, "AFTERWRITE_REDIS_URL="+testkit.Redis(t, testkit.MaxMemoryPolicy("allkeys-lru"),
		testkit.NoAOF()).URL())
	d.ok("migrate")
	for _, command := range []string{"api", "worker"} {
		r := d.run("", command)
		require.Equal(t, exitFailure, r.code)
		require.Contains(t, r.err, "maxmemory-policy is allkeys-lru; set it to")
		require.Contains(t, r.err, "appendonly yes")
	}
	r := d.run("", "doctor")
	require.Equal(t, exitFailure, r.code)
	require.Contains(t, r.out, "failure  redis eviction")
	require.Contains(t, r.out, "warning  redis persistence")
}

// Redis and the database may be down at the start: the processes stay up, say that they
// are not ready, and recover.
func TestStartWithoutRedis(t *testing.T) {
	t.Parallel()
	d := deployAlone(t)
	d.ok("migrate")
	d.redis.Stop()
	api, worker := d.start("api"), d.start("worker")
	for _, s := range []*server{api, worker} {
		s.says("not ready, trying again")
	}
	for _, addr := range []string{d.api, d.worker} {
		code, _ := d.call(http.MethodGet, addr, "/healthz", "")
		require.Equal(t, http.StatusOK, code)
		code, body := d.call(http.MethodGet, addr, "/readyz", "")
		require.Equal(t, http.StatusServiceUnavailable, code, body)
	}
	code, body := d.call(http.MethodPut, d.api, "/v1/user/ada", `{"name":"Ada"}`)
	require.Equal(t, http.StatusServiceUnavailable, code, body)
	require.Contains(t, body, `"type":"urn:afterwrite:problem:not-ready"`)
	require.Contains(t, body, `"request_id":"`)
	d.redis.Start()
	d.ready(d.api)
	d.ready(d.worker)
	code, body = d.call(http.MethodPut, d.api, "/v1/user/ada", `{"name":"Ada"}`)
	require.Equal(t, http.StatusAccepted, code, body)
	d.ok("flush")
	require.Equal(t, exitOK, api.stop())
	require.Equal(t, exitOK, worker.stop())
}

// A worker whose queue has a Redis of its own says when that is away: no sync task comes
// then. What an API accepts meanwhile is flushed when it is back.
func TestQueueRedisAway(t *testing.T) {
	t.Parallel()
	d := deploy(t, testkit.SQLite(t))
	queue := testkit.Redis(t)
	d.env = append(d.env, "AFTERWRITE_QUEUE_REDIS_URL="+queue.URL())
	api, worker := d.serve()
	_, body := d.call(http.MethodGet, d.worker, "/readyz", "")
	require.JSONEq(t, `{"status":"ready","checks":{"redis":{"ok":true},"database":{"ok":true},"queue":{"ok":true}}}`,
		body)
	queue.Stop()
	code, body := d.call(http.MethodGet, d.worker, "/readyz", "")
	require.Equal(t, http.StatusServiceUnavailable, code)
	require.JSONEq(t, `{"status":"unready","checks":{"redis":{"ok":true},"database":{"ok":true},"queue":{"ok":false}}}`,
		body)
	worker.says(`"check":"queue"`)
	code, body = d.call(http.MethodPut, d.api, "/v1/user/ada", `{"name":"Ada"}`)
	require.Equal(t, http.StatusAccepted, code, body)
	queue.Start()
	d.ready(d.worker)
	d.ok("flush")
	require.Equal(t, exitOK, api.stop())
	require.Equal(t, exitOK, worker.stop())
}

func TestStartWithoutDatabase(t *testing.T) {
	t.Parallel()
	pg := testkit.DedicatedPostgres(t, false)
	d := deploy(t, pg.Database(t))
	d.ok("migrate")
	pg.Stop()
	d.start("api").says("not ready, trying again")
	d.start("worker").says("not ready, trying again")
	testkit.Eventually(t, "a put is accepted without the database", func() bool {
		code, _ := d.call(http.MethodPut, d.api, "/v1/user/ada", `{"name":"Ada"}`)
		return code == http.StatusAccepted
	})
	r := d.run("", "flush", "--timeout", "100ms")
	require.Equal(t, exitFailure, r.code, r.err)
	require.Contains(t, r.out, `["ada"]`)
	require.Contains(t, r.err, "database is not responding")
	pg.Start()
	d.ready(d.api)
	d.ready(d.worker)
	d.ok("flush")
	require.Contains(t, d.ok("fsck"), "agree")
}

// A second signal does not wait for what the first one waits for.
func TestSecondSignalEndsAtOnce(t *testing.T) {
	t.Parallel()
	d := deploy(t, testkit.SQLite(t))
	d.ok("migrate")
	api := d.start("api")
	d.ready(d.api)
	defer d.hang().Close()
	require.NoError(t, api.cmd.Process.Signal(syscall.SIGINT))
	testkit.Eventually(t, "the api listens no more", func() bool {
		code, _ := d.call(http.MethodGet, d.api, "/healthz", "")
		return code == 0
	})
	require.NoError(t, api.cmd.Process.Signal(syscall.SIGINT))
	api.wait()
	require.Equal(t, syscall.SIGINT, api.cmd.ProcessState.Sys().(syscall.WaitStatus).Signal())
}

// hang begins a request whose body never comes.
func (d *deployment) hang() net.Conn {
	d.t.Helper()
	c, err := net.Dial("tcp", d.api)
	require.NoError(d.t, err)
	_, err = c.Write([]byte("PUT /v1/user/ada HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n"))
	require.NoError(d.t, err)
	_, err = bufio.NewReader(c).ReadString('\n') // "100 Continue": the handler reads
	require.NoError(d.t, err)
	return c
}

// TestPauseStatusAudit walks an operator's afternoon: look, pause, look, resume, look back.
func TestPauseStatusAudit(t *testing.T) {
	t.Parallel()
	d := deploy(t, testkit.SQLite(t))
	d.serve()
	require.Contains(t, d.ok("pause", "user"), "paused 4 partitions of user")
	code, body := d.call("PUT", d.api, "/v1/user/a", `{"name":"Ada"}`)
	require.Equal(t, 202, code, body)
	require.Regexp(t, `user +1 +0 +0 +\S+ +paused in 4 of 4 partitions`, d.ok("status"))
	require.Regexp(t, `worker +\S+`, d.ok("status", "user"))
	require.Contains(t, d.ok("resume", "user", "--partition", "0,1"), "resumed 2 partitions of user")
	require.Contains(t, d.ok("resume", "user"), "resumed 2 partitions of user")
	d.ok("flush")
	require.Regexp(t, `user +0 +0 +0 +– +on`, d.ok("status"))
	require.Regexp(t, `cli +flush.resume +user`, d.ok("audit", "user", "--limit", "1"))
	require.Contains(t, d.ok("audit", "--json"), `"flush.pause"`)
	r := d.run("", "pause", "user", "--partition", "9")
	require.Equal(t, exitFailure, r.code, r)
	require.Contains(t, r.err, "must be from 0 to 3")
	require.Equal(t, exitUsage, d.run("", "pause").code)
	require.Equal(t, exitUsage, d.run("", "status", "nope").code)
}
