package main

import (
	"database/sql"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/internal/testkit"
)

// A column that is gone is named to readers with its table and entity.
func TestAMissingColumnIsNamed(t *testing.T) {
	t.Parallel()
	url := testkit.Postgres(t).Database(t)
	d := deploy(t, url)
	d.ok("migrate")
	d.start("api")
	d.ready(d.api)
	db, err := sql.Open("pgx", url)
	require.NoError(t, err)
	defer db.Close()
	_, err = db.ExecContext(t.Context(), "ALTER TABLE users DROP COLUMN email")
	require.NoError(t, err)
	code, body := d.call(http.MethodGet, d.api, "/v1/user/ada", "")
	require.Equal(t, http.StatusServiceUnavailable, code, body)
	for _, part := range []string{"urn:afterwrite:problem:schema-error", "table users of user", "email",
		"afterwrite migrate"} {
		require.Contains(t, body, part)
	}
	r := d.run("", "doctor")
	require.Equal(t, exitFailure, r.code)
	require.Regexp(t, `failure +tables +Schema error: .*email`, r.out)
}
