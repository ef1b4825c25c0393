package worker

import (
	"fmt"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/mattn/go-sqlite3"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/internal/queue"
	"github.com/afterwrite/afterwrite/internal/testkit"
	"github.com/afterwrite/afterwrite/schema"
	"github.com/afterwrite/afterwrite/store"
	"github.com/afterwrite/afterwrite/store/fault"
	"github.com/afterwrite/afterwrite/store/ledger"
)

// Many rows over a few unique values, flushed by many partitions at once: each value has one row, and the others are
// refused for it alone. No wait, and no deadlock, is taken for the fault of a record.
func TestAStormOverUniqueValuesBlamesThemAlone(t *testing.T) {
	t.Parallel()
	testkit.AllDatabases(t, func(t *testing.T, url string) {
		t.Parallel()
		e := testkit.Entity(t, "user")
		e.Partitions = 16
		e.Retry = quick
		b := setupFor(t, url, testkit.SharedRedis(t).URL(), e)
		for i := range 400 {
			b.mail(fmt.Sprintf("u%03d", i), "x", fmt.Sprintf("mail%d@x", i%10))
		}
		b.orders.take()
		stop := b.run(b.worker(func(cfg *Config) {
			b.serving(cfg)
			server, err := queue.NewServer(queue.ServerConfig{
				RedisURL: b.url, Prefix: b.prefix, PollInterval: 5 * time.Millisecond, Concurrency: 10,
				Queues: map[string]int{"default": 1}, Log: testkit.Logger(t),
			})
			require.NoError(t, err)
			cfg.Server = server
		}))
		testkit.Eventually(t, "all are persisted or dead", func() bool {
			s := b.stats()
			return s.Pending == 0 && s.Held == 0
		})
		stop()
		require.Len(t, b.names(), 10)
		s := b.stats()
		require.EqualValues(t, 390, s.Dead)
		require.Zero(t, s.Imbalance(), "I7: %+v", s)
		groups, err := b.store.LetterGroups(t.Context(), ledger.LetterFilter{State: ledger.StateWaiting}, 100)
		require.NoError(t, err)
		for _, g := range groups {
			require.Equal(t, schema.KindUnique, g.Refusal.Kind, "%+v", g)
		}
		deadlocks := map[string]string{
			"postgres": "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()",
		}[b.store.Dialect()]
		if deadlocks == "" {
			return
		}
		var n int
		require.NoError(t, testkit.SQL(t, b.db).QueryRow(deadlocks).Scan(&n))
		require.Zero(t, n, "deadlocks")
	})
}

// A deadlock that comes again and again counts no attempt, and nothing dies of it.
func TestADeadlockIsNoAttempt(t *testing.T) {
	onEach(t, func(t *testing.T, b *bench) {
		deadlock := map[string]error{
			"mysql":    &mysql.MySQLError{Number: 1213, SQLState: [5]byte([]byte("40001")), Message: "deadlock"},
			"postgres": &pgconn.PgError{Severity: "ERROR", Code: "40P01", Message: "deadlock"},
		}[b.store.Dialect()]
		if deadlock == nil {
			return // SQLite has one writer
		}
		w := b.worker()
		b.put("a", "new")
		injected := b.sql.Inject(testkit.Refuse, testkit.Statement("INSERT INTO", "users"), testkit.Err(deadlock),
			testkit.Always())
		b.blocked(w)
		injected.Release()
		b.unblocked(w)
	})
}

// A row that another program has locked for long counts no attempt, and its record does not die of it.
func TestALockOfAnotherIsNoAttempt(t *testing.T) {
	onEach(t, func(t *testing.T, b *bench) {
		if b.store.Dialect() == "sqlite" {
			return // it locks no rows
		}
		b.put("a", "old")
		b.drain(b.worker())
		tx, err := testkit.SQL(t, b.db).BeginTx(t.Context(), nil)
		require.NoError(t, err)
		defer tx.Rollback() //nolint:errcheck // the end of the test
		_, err = tx.Exec("UPDATE users SET name = 'theirs' WHERE id = 'a'")
		require.NoError(t, err)
		impatient, err := store.Open(store.Config{URL: b.db, LockTimeout: time.Second, Log: testkit.Logger(t)}, b.all)
		require.NoError(t, err)
		t.Cleanup(func() { _ = impatient.Close() })
		w := b.worker(func(cfg *Config) { cfg.Store = ledger.Of(impatient) })
		b.put("a", "new")
		b.blocked(w)
		require.NoError(t, tx.Rollback())
		b.unblocked(w)
	})
}

// A fence that another holds for long is asked for again soon: when it is free nothing waits for a backoff that has
// grown meanwhile.
func TestALockedFenceIsAskedForSoon(t *testing.T) {
	onEach(t, func(t *testing.T, b *bench) {
		locked := map[string]error{
			"sqlite":   sqlite3.Error{Code: sqlite3.ErrBusy},
			"mysql":    &mysql.MySQLError{Number: 1205, SQLState: [5]byte([]byte("HY000")), Message: "lock wait timeout"},
			"postgres": &pgconn.PgError{Severity: "ERROR", Code: "55P03", Message: "lock timeout"},
		}[b.store.Dialect()]
		w := b.worker()
		b.put("a", "new")
		o := b.orders.take()[0]
		injected := b.sql.Inject(testkit.Refuse, testkit.Lock, testkit.Err(locked), testkit.Always())
		for range 8 {
			var later queue.Later
			require.ErrorAs(t, w.sync(t.Context(), task(o)), &later)
			require.ErrorIs(t, later.Err, fault.ErrNotLocked)
			require.LessOrEqual(t, later.After, 2*time.Second)
		}
		injected.Release()
		b.drain(w)
		b.quiet(0)
	})
}

// blocked has the record "a" tried more often than its policy allows while another transaction is in its way.
func (b *bench) blocked(w *Worker) {
	b.t.Helper()
	testkit.Within(b.t, 2*testkit.Patience, "it is tried more often than its policy allows", func() bool {
		b.flush(w)
		_ = w.sweepOnce(b.t.Context())
		b.now()
		tries := testutil.ToFloat64(w.metrics.refused.WithLabelValues("user", string(schema.KindTimeout)))
		return int(tries) > quick.MaxAttempts
	})
	state, err := b.cache.Status(b.t.Context(), b.e, "a")
	require.NoError(b.t, err)
	require.Equal(b.t, schema.Held, state.Record.Status)
	require.Equal(b.t, schema.KindTimeout, state.Refusal.Kind)
	require.Zero(b.t, state.Attempts)
}

// unblocked has the record persisted, now that nothing is in its way.
func (b *bench) unblocked(w *Worker) {
	b.t.Helper()
	testkit.Eventually(b.t, "it is persisted", func() bool {
		b.now()
		b.drain(w)
		return b.names()["a"] == "new"
	})
	b.quiet(0)
}
