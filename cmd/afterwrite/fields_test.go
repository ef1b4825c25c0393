package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/internal/testkit"
)

const fieldsConfig = `
redis: {url: %q, prefix: %s}
database: {url: %q}
api: {addr: %s}
worker: {addr: %s}
entities:
  user: {partitions: 1, fields: {name: {type: string}%s}}
`

// TestProcessesOfDifferentConfigurations upgrades the API before the worker, and then renames
// a field while its writes are pending: nothing is lost, and doctor says what is the matter.
func TestProcessesOfDifferentConfigurations(t *testing.T) {
	t.Parallel()
	url := testkit.SQLite(t)
	d := deploy(t, url)
	with := func(name, worker, more string) string {
		return d.file(name, fmt.Sprintf(fieldsConfig, d.redis.URL(), d.prefix, url, d.api, worker, more))
	}
	with("afterwrite.yaml", d.worker, ", nick: {type: string}")
	old := with("old.yaml", testkit.FreeAddr(t), "")
	d.ok("migrate")
	d.start("api")
	d.ready(d.api)
	before := d.start("worker", "--config", old)
	put := func(id, nick string) {
		code, body := d.call("PUT", d.api, "/v1/user/"+id, fmt.Sprintf(`{"name":"Ann","nick":%q}`, nick))
		require.Equal(t, 202, code, body)
	}
	put("a", "one")
	testkit.Eventually(t, "doctor names the field", func() bool {
		r := d.run("", "doctor")
		return r.code == 1 && strings.Contains(r.out, "lacks nick of user") &&
			strings.Contains(r.out, "no living worker has it") &&
			strings.Contains(r.out, "differ in the fields of user")
	})
	require.Contains(t, before.text(), `"fields":"nick"`)
	require.Contains(t, d.ok("held", "list", "--kind", "unknown_field"), "nick")

	now := d.start("worker")
	persisted := func(id string) bool {
		return d.json(d.ok("record", "get", "user", id, "--json"))["status"] == "persisted"
	}
	testkit.Eventually(t, "a worker that has it flushes the record", func() bool { return persisted("a") })
	require.Contains(t, d.ok("record", "get", "user", "a"), "one")
	require.Contains(t, d.ok("doctor"), "the 1 that have it flush its writes")
	require.Equal(t, 0, now.stop())

	put("b", "two")
	testkit.Eventually(t, "it is left", func() bool { return strings.Contains(d.ok("held", "list"), "b") })
	with("afterwrite.yaml", d.worker, ", nickname: {type: string, renamed_from: nick}")
	d.ok("migrate")
	d.start("worker")
	testkit.Eventually(t, "the value has the new name", func() bool { return persisted("b") })
	require.Contains(t, d.ok("record", "get", "user", "b"), "two")
	require.Equal(t, 0, before.stop())
}
