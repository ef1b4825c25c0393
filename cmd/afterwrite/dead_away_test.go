package main

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestDeadLettersWithoutRedis: what lies in the database is shown while Redis is gone, and what lies in Redis alone is
// called unknown. What changes something still refuses.
func TestDeadLettersWithoutRedis(t *testing.T) {
	t.Parallel()
	d := deployAlone(t)
	d.serve()
	d.ok("retry-policy", "set", "user", "--max-attempts", "2", "--base", "10ms", "--cap", "20ms")
	number := d.refused("b")["b"]
	d.redis.Kill()

	require.Contains(t, d.ok("dead", "list"), `"b"`)
	require.Contains(t, d.ok("dead", "list", "--group"), "unique")
	shown := d.ok("dead", "show", number)
	require.Regexp(t, `record now +unknown: Redis is not responding`, shown)
	require.Contains(t, shown, "What can be done is unknown while Redis is not responding")
	require.Regexp(t, `email +"same@x"`, shown)
	view := d.json(d.ok("dead", "show", number, "--json"))
	require.Equal(t, true, view["unknown"])
	require.Nil(t, view["record"])
	require.Empty(t, view["actions"])
	require.Contains(t, d.ok("retry-policy", "show", "user"), "20ms")
	require.Equal(t, exitFailure, d.run("", "dead", "discard", number, "--yes").code)
}
