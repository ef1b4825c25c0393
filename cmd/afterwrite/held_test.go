package main

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/internal/testkit"
)

// What operators do about held records, from the command line, with a real worker.
func TestHeldRecords(t *testing.T) {
	t.Parallel()
	d := deploy(t, testkit.SQLite(t))
	d.serve()
	d.ok("retry-policy", "set", "user", "--base", "1h", "--cap", "2h")
	code, body := d.call(http.MethodPut, d.api, "/v1/user/a", `{"name":"A","email":"same@x"}`)
	require.Equal(t, http.StatusAccepted, code, body)
	d.ok("flush")
	for _, id := range []string{"b", "c", "d", "e"} {
		code, body := d.call(http.MethodPut, d.api, "/v1/user/"+id, `{"name":"N","email":"same@x"}`)
		require.Equal(t, http.StatusAccepted, code, body)
	}
	held := func(n float64) {
		t.Helper()
		testkit.Eventually(t, "so many are held", func() bool {
			return d.json(d.ok("held", "list",
				"--json"))["count"] == n
		})
	}
	held(4)
	require.Regexp(t, `user\s+"b"\s+\d+\s+unique`, d.ok("held", "list", "--kind", "unique"))
	r := d.run("", "held", "list", "--limit", "3")
	require.Equal(t, 4, strings.Count(r.out, "\n"), r.out)
	require.Contains(t, r.err, "3 of 4 held records shown")
	require.NotContains(t, d.ok("held", "list", "--text", "nothing"), `"b"`)

	for _, bad := range []struct{ args, says string }{
		{"", "needs a command"},
		{"retry", "give ENTITY and ID, or --all"},
		{"retry user", "give ENTITY and ID, or --all"},
		{"retry user b --all", "give ENTITY and ID, or --all"},
		{"discard user b --kind unique", "a filter is for --all"},
		{"retry --all --kind none", "--kind is not a kind"},
		{"retry --all --rate 0", "--rate"},
		{"retry nobody b", `no entity "nobody"`},
		{"list --entity nobody", `no entity "nobody"`},
		{"list --limit -1", "--limit"},
		{"edit item x --set name=1", "whole number"},
		{"edit user b", "give --set"},
		{"retry item -5", "comes after --"},
	} {
		r := d.run("", append([]string{"held"}, strings.Fields(bad.args)...)...)
		require.Equal(t, exitUsage, r.code, "%s: %s", bad.args, r.err)
		require.Contains(t, r.err, bad.says)
	}
	r = d.run("y\n", "held", "retry", "--all", "--entity", "user")
	require.Equal(t, exitUsage, r.code)
	require.Contains(t, r.err, "Retry 4 held records of user? Confirmation is needed, and stdin is not a terminal: rerun with --yes")
	require.Contains(t, d.run("", "held", "discard", "user", "b").err, `Discard 1 held record, user "b"?`)
	r = d.run("", "held", "retry", "user", "a", "--yes")
	require.Equal(t, exitFailure, r.code)
	require.Contains(t, r.err, `user "a" is not held`)
	require.Contains(t, d.run("", "held", "retry", "--all", "--kind", "check", "--yes").err,
		"There are no held records (check)")

	require.Contains(t, d.run("", "held", "edit", "user", "b", "--set", "age=-1").err, "age is too small")
	require.Contains(t, d.ok("held", "edit", "user", "b", "--set", `email="free@x"`), "accepted as version")
	require.Contains(t, d.ok("held", "discard", "user", "c", "--yes"), "1 of 1 held record discarded")
	held(2)
	code, body = d.call(http.MethodPatch, d.api, "/v1/user/a", `{"email":"other@x"}`)
	require.Equal(t, http.StatusAccepted, code, body)
	testkit.Eventually(t, "the address is free", func() bool {
		_, body := d.call(http.MethodGet, d.api, "/v1/user/a/status", "")
		return strings.Contains(body, `"persisted"`)
	})
	require.Contains(t, d.ok("held", "retry", "--all", "--entity", "user", "--yes"), "2 of 2 held records retried")
	held(1)
	require.EqualValues(t, 1, d.json(d.ok("held", "discard", "--all", "--yes", "--json"))["done"],
		"the other has its address")
	require.Contains(t, d.ok("flush"), "everything is in the database")
	require.Contains(t, d.ok("fsck"), "agree")
}
