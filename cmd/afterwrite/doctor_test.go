package main

import (
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
