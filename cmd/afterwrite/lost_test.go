package main

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/internal/testkit"
)

// Accepted writes of an entity that somebody took out of the configuration are named, and
// flushed when it is back.
func TestEntityLeftOut(t *testing.T) {
	t.Parallel()
	d := deploy(t, testkit.SQLite(t))
	d.ok("migrate")
	require.Equal(t, exitOK, d.run(`{"id":1,"name":"x"}`, "load", "item", "-", "--format", "ndjson").code)
	whole := d.read("afterwrite.yaml")
	d.file("afterwrite.yaml", whole[:strings.Index(whole, "  item:")])
	d.ok("migrate")
	worker := d.start("worker")
	worker.says("the configuration does not name their entity")

	r := d.run("", "flush")
	require.Equal(t, exitFailure, r.code, r.out)
	require.Regexp(t, `item +pending +1 +\["1"\]`, r.out)
	require.Contains(t, r.err, "does not name the entity item")
	require.Contains(t, d.ok("flush", "user"), "everything is in the database")
	r = d.run("", "fsck")
	require.Equal(t, exitFailure, r.code, r.out)
	require.Contains(t, r.out, "unnamed")
	require.Contains(t, d.run("", "doctor").out, "records of item wait for the database")
	require.Equal(t, exitOK, worker.stop())

	d.file("afterwrite.yaml", whole)
	d.ok("migrate")
	d.start("worker")
	d.ok("flush")
	require.Contains(t, d.ok("fsck"), "agree")
}

// A Redis that was emptied, or that begins to evict, goes on, but not in silence.
func TestRedisEmptied(t *testing.T) {
	t.Parallel()
	d := deployAlone(t)
	d.ok("migrate")
	api, worker := d.serve()
	code, body := d.call(http.MethodPut, d.api, "/v1/user/ada", `{"name":"Ada"}`)
	require.Equal(t, http.StatusAccepted, code, body)
	d.ok("flush")
	require.NotContains(t, api.text()+worker.text(), "lost its state")

	client := d.redis.Client(t)
	require.NoError(t, client.FlushAll(t.Context()).Err())
	testkit.Eventually(t, "one process says it", func() bool {
		return strings.Contains(api.text()+worker.text(),
			`"Redis has lost its state: what was accepted and not yet persisted is gone","entity":"user"`)
	})
	require.NotContains(t, api.text()+worker.text(), `gone","entity":"item"`, "nothing was ever accepted of it")
	code, body = d.call(http.MethodPut, d.api, "/v1/user/bob", `{"name":"Bob"}`)
	require.Equal(t, http.StatusAccepted, code, body)
	d.ok("flush")
	require.Contains(t, d.ok("fsck"), "agree")

	require.NoError(t, client.ConfigSet(t.Context(), "maxmemory-policy", "allkeys-lru").Err())
	api.says("accepted writes are no longer safe")
	require.NoError(t, client.ConfigSet(t.Context(), "maxmemory-policy", "noeviction").Err())
	require.Equal(t, exitOK, api.stop())
	require.Equal(t, exitOK, worker.stop())

	require.NoError(t, client.FlushAll(t.Context()).Err())
	d.start("worker").says("Redis has lost its state")
}

// Who takes over another number of partitions says so, and whoever still runs with the old
// one says why it has fallen silent.
func TestPartitionsChanged(t *testing.T) {
	t.Parallel()
	d := deploy(t, testkit.SQLite(t))
	api, worker := d.serve()
	more := d.file("more.yaml", strings.Replace(d.read("afterwrite.yaml"), "partitions: 2", "partitions: 3", 1))
	r := d.run(`{"id":1,"name":"x"}`, "load", "item", "-", "--format", "ndjson", "--config", more)
	require.Equal(t, exitOK, r.code, r.err)
	require.Contains(t, r.err, `"msg":"number of partitions changed","entity":"item","from":2,"to":3`)
	require.Contains(t, r.err, `"msg":"number of partitions changed in the database","entity":"item","from":2,"to":3`)
	const says = `this one's writes are refused and it flushes nothing new; restart it with the same configuration","entity":"item","partitions_here":2`
	api.says(says)
	worker.says(says)
	require.NotContains(t, api.text()+worker.text(), `"entity":"user","partitions_here"`)
	code, body := d.call(http.MethodPut, d.api, "/v1/item/2", `{"name":"y"}`)
	require.Equal(t, http.StatusServiceUnavailable, code, body)
	require.Contains(t, body, "urn:afterwrite:problem:partitions-changed")
	require.Equal(t, exitOK, worker.stop())

	d.start("worker", "--config", more)
	d.ok("flush", "--config", more)
	r = d.run("id,name\n3,z\n", "load", "item", "-", "--format", "csv", "--config", more)
	require.Equal(t, exitOK, r.code, r.err)
	require.NotContains(t, r.err, "partitions changed", "it is said once")
}

// A load that waits for its input ends at a signal, and what it has said is accepted stays.
func TestLoadStopsWhileItWaitsForInput(t *testing.T) {
	t.Parallel()
	d := deploy(t, testkit.SQLite(t))
	d.ok("migrate")
	cmd := d.command("load", "item", "-", "--format", "ndjson")
	in, err := cmd.StdinPipe()
	require.NoError(t, err)
	defer in.Close()
	load := d.startCommand(cmd)
	_, err = io.WriteString(in, `{"id":1,"name":"x"}`+"\n")
	require.NoError(t, err)
	testkit.Eventually(t, "the row is accepted", func() bool {
		return strings.Contains(d.run("", "flush", "--timeout", "1ms").out, "pending")
	})
	require.Equal(t, exitFailure, load.stop())
	require.Contains(t, load.text(), "item: 1 record accepted")
	require.Contains(t, load.text(), "afterwrite: interrupted")
}

// A Redis that went back to an older state of itself serves none of it over newer rows: an
// old copy of its files, or a replica that lagged.
func TestRedisWentBack(t *testing.T) {
	t.Parallel()
	d := deployAlone(t)
	d.ok("migrate")
	api, worker := d.serve()
	put := func(body string) {
		code, answer := d.call(http.MethodPut, d.api, "/v1/user/ada", body)
		require.Equal(t, http.StatusAccepted, code, answer)
		d.ok("flush")
	}
	put(`{"name":"old"}`)
	testkit.Eventually(t, "both have left a mark", func() bool {
		return d.redis.Client(t).HLen(t.Context(), d.prefix+":{_}:marks").Val() == 3
	})
	putBack := d.redis.Copy()
	put(`{"name":"new"}`)
	marks := d.redis.Client(t).HGetAll(t.Context(), d.prefix+":{_}:marks").Val()
	testkit.Eventually(t, "both have left another", func() bool {
		for name, mark := range d.redis.Client(t).HGetAll(t.Context(), d.prefix+":{_}:marks").Val() {
			if mark == marks[name] && name != "born" {
				return false
			}
		}
		return true
	})
	putBack()
	api.says("Redis went back to an older state of itself")
	worker.says("Redis went back to an older state of itself")
	testkit.Eventually(t, "the row is read", func() bool {
		code, body := d.call(http.MethodGet, d.api, "/v1/user/ada", "")
		return code == http.StatusOK && strings.Contains(body, `"name":"new"`)
	})
	testkit.Eventually(t, "the audit has it", func() bool {
		return strings.Contains(d.run("", "doctor").out, "Redis had lost its state of user")
	})
	require.Contains(t, d.ok("fsck"), "agree")
	require.NotContains(t, api.text()+worker.text(), "Redis has lost its state")
	for _, s := range []*server{api, worker} {
		s.says(`Redis went back","entity":"item"`)
	}
	require.Len(t, d.json(d.ok("acknowledge", "user", "--reason", "a test", "--yes", "--json"))["losses"], 1,
		"two processes note one loss")
	require.Equal(t, exitOK, api.stop())
	require.Equal(t, exitOK, worker.stop())
	require.Equal(t, int64(1), d.redis.Client(t).HLen(t.Context(), d.prefix+":{_}:marks").Val(),
		"who stops takes its mark away")
}

// An older copy of Redis that was put back while nothing ran is known before anything is
// served: what it lists as pending does not move a row back, and the loss is a failure until it
// is acknowledged.
func TestRedisWentBackWhileNothingRan(t *testing.T) {
	t.Parallel()
	d := deployAlone(t)
	require.NoError(t, d.redis.Client(t).ConfigSet(t.Context(), "appendfsync", "always").Err()) // the copy has all
	api, worker := d.serve()
	write := func(method, path, body string) {
		t.Helper()
		code, answer := d.call(method, d.api, path, body)
		require.Equal(t, http.StatusAccepted, code, answer)
	}
	age := func() string {
		_, body := d.call(http.MethodGet, d.api, "/v1/user/ada", "")
		return body
	}
	write(http.MethodPut, "/v1/user/ada", `{"name":"Ada","age":1}`)
	d.ok("flush")
	require.Equal(t, exitOK, worker.stop())
	write(http.MethodPut, "/v1/user/ada", `{"name":"Ada","age":2}`)
	putBack := d.redis.Copy()
	worker = d.start("worker")
	d.ready(d.worker)
	d.ok("flush")
	write(http.MethodPut, "/v1/user/ada", `{"name":"Ada","age":100}`)
	d.ok("flush")
	require.Equal(t, exitOK, worker.stop())
	require.Equal(t, exitOK, api.stop())

	putBack()
	require.Contains(t, d.run("", "doctor").out, "Redis had lost its state of user", "before any process has noted it")
	api = d.start("api")
	d.ready(d.api)
	require.Contains(t, age(), `"age":100`)
	write(http.MethodPost, "/v1/user/ada/increment", `{"age":1}`)
	d.start("worker")
	d.ready(d.worker)
	d.ok("flush")
	require.Contains(t, age(), `"age":101`)
	require.Contains(t, d.ok("fsck"), "agree")
	require.Contains(t, api.text(), "Redis went back to an older state of itself")
	require.Contains(t, d.run("", "doctor").out, "Redis had lost its state of user")
	require.Contains(t, d.ok("acknowledge", "--reason", "a test", "--yes"), "1 loss acknowledged")
	require.NotContains(t, d.run("", "doctor").out, "Redis had lost")
}
