package store_test

import (
	"context"
	"database/sql"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/internal/testkit"
	"github.com/afterwrite/afterwrite/schema"
	"github.com/afterwrite/afterwrite/store"
	"github.com/afterwrite/afterwrite/store/fault"
)

// TestPgBouncer migrates twice, writes and reads through PgBouncer in transaction mode, which
// refuses start-up parameters or ignores them, and frees a frozen flusher. No setting is left with a
// session that another program gets.
func TestPgBouncer(t *testing.T) {
	t.Parallel()
	const ignored = "ignore_startup_parameters = extra_float_digits,lock_timeout,statement_timeout,idle_in_transaction_session_timeout,quote_all_identifiers"
	for name, with := range map[string]struct{ settings, query string }{
		"refuses": {"", ""},
		"ignores": {ignored, ""},
		"simple":  {"", "&default_query_exec_mode=simple_protocol"},
		"exec":    {"", "&default_query_exec_mode=exec"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			direct := testkit.Postgres(t).Database(t)
			url := testkit.PgBouncer(t, direct, with.settings)
			e := account(t)
			all := []*schema.Entity{e}
			other := setup(t, url+with.query, all)
			require.True(t, other.Pooled())
			require.False(t, setup(t, direct, all).Pooled())
			frozen := open(t, url+with.query, all, func(c *store.Config) { c.IdleInTransaction = 2 * time.Second })
			outstanding, err := other.Outstanding(t.Context())
			require.NoError(t, err)
			require.Empty(t, outstanding)
			other.flush(e, accounts(300)...)
			other.flush(e, accounts(300)...)
			require.Len(t, other.load(e, "u0000", "u0299"), 2)

			reading, thaw := make(chan struct{}), make(chan struct{})
			var wait sync.WaitGroup
			var woken error
			wait.Go(func() {
				_, woken = frozen.Flush(t.Context(), e, 0, func(context.Context) ([]schema.Change, error) {
					close(reading)
					<-thaw
					return []schema.Change{put("a", email(1000), "1")}, nil
				})
			})
			<-reading
			testkit.Eventually(t, "the frozen flusher's lock is free", func() bool {
				_, err := other.Flush(t.Context(), e, 0, batch(put("a", email(1000), "2")))
				return err == nil
			})
			close(thaw)
			wait.Wait()
			require.True(t, fault.Unavailable(woken), "%v", woken)
			require.Equal(t, schema.Values{email(1000), "2"}, other.load(e, "a")["a"])

			db, err := sql.Open("pgx", url+"&default_query_exec_mode=simple_protocol")
			require.NoError(t, err)
			defer db.Close()
			for _, setting := range []string{"statement_timeout", "lock_timeout",
				"idle_in_transaction_session_timeout"} {
				for range 10 {
					var value string
					require.NoError(t, db.QueryRowContext(t.Context(), "SHOW "+setting).Scan(&value))
					require.Equal(t, "0", value, setting)
				}
			}
			var locks int
			require.NoError(t,
				db.QueryRowContext(t.Context(), "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"+
					" AND database = (SELECT oid FROM pg_database WHERE datname = current_database())").Scan(&locks))
			require.Zero(t, locks)
		})
	}
}
