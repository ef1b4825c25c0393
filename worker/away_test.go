package worker

import (
	"database/sql"
	"testing"

	"github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/mattn/go-sqlite3"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/internal/testkit"
)

// The database answers and lets nothing be written: it is full, or read-only. However
// long that lasts, it is no record's fault.
func TestI2ADatabaseThatCannotBeWrittenBlamesNoRecord(t *testing.T) {
	onEach(t, func(t *testing.T, b *bench) {
		full := map[string]error{
			"sqlite": sqlite3.Error{Code: sqlite3.ErrFull},
			"mysql": &mysql.MySQLError{Number: 1114, SQLState: [5]byte([]byte("HY000")),
				Message: "the table is full"},
			"postgres": &pgconn.PgError{Severity: "ERROR", Code: "53100"},
		}[b.store.Dialect()]
		w := b.worker()
		b.put("a", "1")
		order := b.orders.take()[0]
		fault := b.sql.Inject(testkit.Refuse, testkit.Statement("INSERT INTO", "users"), testkit.Err(full),
			testkit.Always())
		testkit.Eventually(t, "it was tried often enough to be suspected", func() bool {
			require.Error(t, w.sync(t.Context(), task(order)))
			return fault.Hits() > suspicion+1
		})
		require.NoError(t, b.store.Ping(t.Context()))
		require.EqualValues(t, 1, b.stats().Pending)
		require.Zero(t, b.stats().Held)
		require.EqualValues(t, 2, testutil.ToFloat64(w.metrics.breaker), "open")
		require.Zero(t, testutil.ToFloat64(w.metrics.putOff.WithLabelValues("batch")))
		fault.Release()
		b.drain(w)
		b.quiet(0)
		require.Equal(t, map[string]string{"a": "1"}, b.names())
	})
}

// PostgreSQL is made read-only for sessions to come and then writable again. Sessions
// keep what they began with, so the pool must not keep them.
func TestI2FlushesResumeAfterTheDatabaseWasReadOnly(t *testing.T) {
	t.Parallel()
	url := testkit.Postgres(t).Database(t)
	b := setup(t, url)
	operator, err := testkit.SQL(t, url).Conn(t.Context())
	require.NoError(t, err)
	defer operator.Close()
	must := func(statement string) {
		_, err := operator.ExecContext(t.Context(), statement)
		require.NoError(t, err)
	}
	var name string
	require.NoError(t, operator.QueryRowContext(t.Context(), "SELECT current_database()").Scan(&name))
	w := b.worker(b.serving)
	stop := b.run(w)
	b.put("before", "x")
	testkit.Eventually(t, "a first record is persisted", func() bool { return b.stats().Pending == 0 })

	must("ALTER DATABASE " + name + " SET default_transaction_read_only = on")
	must("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()")
	for i := range 20 {
		b.put(id(i), "x")
	}
	putOff := func() float64 { return testutil.ToFloat64(w.metrics.putOff.WithLabelValues("database")) }
	testkit.Eventually(t, "flushes are put off", func() bool { return putOff() >= 3 })
	b.readOnlySessions(operator, 8)
	require.EqualValues(t, 20, b.stats().Pending)

	must("ALTER DATABASE " + name + " RESET default_transaction_read_only")
	testkit.Eventually(t, "flushes resumed", func() bool { return b.stats().Pending == 0 })
	stop()
	b.quiet(0)
	require.Len(t, b.names(), 21)
}

// readOnlySessions fills the store's pool with as many sessions, which begin read-only.
func (b *bench) readOnlySessions(operator *sql.Conn, sessions int) {
	b.t.Helper()
	slow := b.sql.Inject(testkit.HoldReply, testkit.Statement("SELECT 1"), testkit.Times(sessions))
	done := make(chan error, sessions)
	for range sessions {
		go func() { done <- b.store.Ping(b.t.Context()) }()
	}
	testkit.Eventually(b.t, "each has a session", func() bool {
		open := 0
		require.NoError(b.t, operator.QueryRowContext(b.t.Context(),
			"SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'afterwrite'").Scan(&open))
		return open >= sessions && slow.Hits() == sessions
	})
	slow.Release()
	for range sessions {
		require.NoError(b.t, <-done)
	}
}
