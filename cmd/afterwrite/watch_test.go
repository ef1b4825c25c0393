package main

import (
	"bufio"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/internal/testkit"
)

// From the outside: triggers are made, another program's write is read and told of, a trigger
// that is gone is named by doctor and made again by a migration that was asked for nothing.
func TestWatchFromOutside(t *testing.T) {
	t.Parallel()
	testkit.Databases(t, func(t *testing.T, url string) {
		t.Parallel()
		d := deploy(t, url)
		d.ok("migrate")
		for _, args := range [][]string{
			{"--watch=nobody"}, {"--watch", "--unwatch=user"}, {"--watch=user", "--unwatch=user"},
		} {
			r := d.run("", append([]string{"migrate"}, args...)...)
			require.Equal(t, exitUsage, r.code, r.out)
		}
		require.NotContains(t, d.ok("doctor"), "watch of")
		statements := d.ok("migrate", "--sql", "--watch=user")
		require.Contains(t, statements, "CREATE TRIGGER ")
		// The client of MySQL would cut a trigger at its first semicolon.
		require.Equal(t, strings.HasPrefix(url, "mysql"), strings.Contains(statements, "DELIMITER //\nCREATE TRIGGER "))
		require.Contains(t, d.ok("migrate", "--dry-run", "--watch=user"), "watch users: note what other programs write")
		require.NotContains(t, d.ok("doctor"), "watch of")
		require.Contains(t, d.ok("migrate", "--watch=user"), "watch users: note what other programs write")
		require.NotContains(t, d.ok("migrate", "--watch=user"), "watch users", "it is done")
		require.Contains(t, d.ok("doctor"), "watch of user")

		_, worker := d.serve()
		code, body := d.call(http.MethodPut, d.api, "/v1/user/ada", `{"name":"Ada"}`)
		require.Equal(t, http.StatusAccepted, code, body)
		d.ok("flush")
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+d.api+"/v1/events?entity=user", nil)
		require.NoError(t, err)
		events, err := http.DefaultClient.Do(r)
		require.NoError(t, err)
		defer events.Body.Close()
		other := testkit.SQL(t, url)
		_, err = other.ExecContext(t.Context(), "UPDATE users SET name = 'Bob' WHERE id = 'ada'")
		require.NoError(t, err)
		testkit.Eventually(t, "the row is read", func() bool {
			_, body := d.call(http.MethodGet, d.api, "/v1/user/ada", "")
			return strings.Contains(body, `"Bob"`)
		})
		lines := bufio.NewReader(events.Body)
		for line := ""; line != "event: changed\n"; {
			line, err = lines.ReadString('\n')
			require.NoError(t, err)
		}
		code, body = d.call(http.MethodGet, d.worker, "/metrics", "")
		require.Equal(t, http.StatusOK, code)
		require.Contains(t, body, `afterwrite_changed_rows_total{entity="user"} `)
		require.Contains(t, body, `afterwrite_conflicts_total{entity="user"} 0`)

		require.Equal(t, exitOK, worker.stop())
		_, err = other.ExecContext(t.Context(), "UPDATE users SET name = 'Cyd' WHERE id = 'ada'")
		require.NoError(t, err)
		waits := func() bool {
			_, body := d.call(http.MethodGet, d.api, "/metrics", "")
			return strings.Contains(body, `afterwrite_oldest_change_timestamp_seconds{entity="user"} `)
		}
		testkit.Eventually(t, "the API exports since when a change waits", waits)
		d.start("worker")
		testkit.Eventually(t, "no change waits", func() bool { return !waits() })

		var name string
		query, drop := "SELECT name FROM sqlite_schema WHERE type = 'trigger' AND tbl_name = 'users' LIMIT 1", "DROP TRIGGER "
		switch {
		case strings.HasPrefix(url, "postgres"):
			query = "SELECT tgname FROM pg_trigger WHERE tgname LIKE 'afterwrite_watch%' LIMIT 1"
		case strings.HasPrefix(url, "mysql"):
			query = "SELECT TRIGGER_NAME FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA = DATABASE() LIMIT 1"
		}
		require.NoError(t, other.QueryRowContext(t.Context(), query).Scan(&name))
		drop += name
		if strings.HasPrefix(url, "postgres") {
			drop += " ON users"
		}
		_, err = other.ExecContext(t.Context(), drop)
		require.NoError(t, err)
		out := d.ok("doctor")
		require.Contains(t, out, "warning  watch of user")
		require.Contains(t, out, name)
		require.Contains(t, d.ok("migrate"), "watch users: note what other programs write")
		require.Contains(t, d.ok("doctor"), "ok       watch of user")
		require.Contains(t, d.ok("migrate", "--unwatch"), "unwatch users")
		require.NotContains(t, d.ok("doctor"), "watch of")
	})
}
