package main

import (
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/internal/testkit"
)

// Without a worker, writes that have waited for long are a failure; writes that have not
// are a warning.
func TestDoctorFailsWithoutAWorkerWhenWritesWait(t *testing.T) {
	t.Parallel()
	d := deploy(t, testkit.SQLite(t))
	d.ok("migrate")
	require.Equal(t, exitOK, d.run(`{"id":1,"name":"x"}`, "load", "item", "-", "--format", "ndjson").code)
	require.Contains(t, d.ok("doctor"), "warning  workers")
	client := d.redis.Client(t)
	for _, partition := range []string{"0", "1"} {
		old := redis.Z{Score: float64(time.Now().Add(-time.Minute).UnixMilli()), Member: "1"}
		require.NoError(t, client.ZAddXX(t.Context(), d.prefix+":{item/"+partition+"}:pending", old).Err())
	}
	r := d.run("", "doctor")
	require.Equal(t, exitFailure, r.code, r.out)
	require.Contains(t, r.out, "failure  workers")
}
