package worker

import (
	"testing"

	"github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/internal/testkit"
)

// A flush that the database undoes for another one's sake is tried again at once: it reads
// again, and nothing counts as a failure. Past a few times it is the batch's.
func TestAConflictIsTriedAgainAtOnce(t *testing.T) {
	onEach(t, func(t *testing.T, b *bench) {
		conflict := map[string]error{
			"mysql":    &mysql.MySQLError{Number: 1213, SQLState: [5]byte([]byte("40001")), Message: "deadlock"},
			"postgres": &pgconn.PgError{Severity: "ERROR", Code: "40P01"},
		}[b.store.Dialect()]
		if conflict == nil {
			return // SQLite has one writer
		}
		w := b.worker()
		b.put("a", "1")
		fault := b.sql.Inject(testkit.Refuse, testkit.Statement("INSERT INTO", "users"), testkit.Err(conflict),
			testkit.Times(conflicts))
		require.NoError(t, w.sync(t.Context(), task(b.orders.take()[0])))
		require.Equal(t, conflicts, fault.Hits())
		require.Equal(t, map[string]string{"a": "1"}, b.names())

		b.put("b", "1")
		order := b.orders.take()[0]
		fault = b.sql.Inject(testkit.Refuse, testkit.Statement("INSERT INTO", "users"), testkit.Err(conflict),
			testkit.Times(conflicts+1))
		require.Error(t, w.sync(t.Context(), task(order)))
		require.EqualValues(t, 1, testutil.ToFloat64(w.metrics.putOff.WithLabelValues("batch")))
		fault.Release()
		b.drain(w)
		b.quiet(0)
		require.Len(t, b.names(), 2)
	})
}
