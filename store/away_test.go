package store_test

import (
	"errors"
	"testing"

	"github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/mattn/go-sqlite3"
	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/internal/testkit"
	"github.com/afterwrite/afterwrite/schema"
	"github.com/afterwrite/afterwrite/store/fault"
)

func postgresError(code string) error { return &pgconn.PgError{Severity: "ERROR", Code: code} }

// awayErrors are those of a database that can do its part for no record.
func awayErrors() map[string][]error {
	errs := map[string][]error{}
	for _, code := range []sqlite3.ErrNo{sqlite3.ErrFull, sqlite3.ErrReadonly, sqlite3.ErrIoErr, sqlite3.ErrCantOpen,
		sqlite3.ErrNomem, sqlite3.ErrCorrupt, sqlite3.ErrNotADB} {
		errs["sqlite"] = append(errs["sqlite"], sqlite3.Error{Code: code})
	}
	for _, code := range []string{"25006", "53000", "53100", "53200", "53300", "53400", "57P01", "57P02", "57P03",
		"58000", "58030", "58P01", "XX001", "XX002"} {
		errs["postgres"] = append(errs["postgres"], postgresError(code))
	}
	for _, number := range []uint16{1021, 1114, 1030, 1037, 1040, 1203, 1226, 1053, 1290, 1836, 1792, 3032} {
		errs["mysql"] = append(errs["mysql"], mysqlError(number, "HY000"))
	}
	return errs
}

func mysqlError(number uint16, state string) error {
	e := &mysql.MySQLError{Number: number, Message: "injected"}
	copy(e.SQLState[:], state)
	return e
}

// An error of the database's own is no record's, wherever it comes up and however
// suspicious the batch is.
func TestAwayRefusesNoRecord(t *testing.T) {
	onEach(t, func(t *testing.T, url string) {
		e := account(t)
		b := setup(t, url, []*schema.Entity{e})
		for _, err := range awayErrors()[b.Dialect()] {
			for _, match := range []func(string) bool{testkit.Begin, testkit.Lock,
				testkit.Statement("INSERT INTO", "accounts"), testkit.Commit} {
				injected := b.faults.Inject(testkit.Refuse, match, testkit.Err(err), testkit.Always())
				for _, flush := range []func() error{
					func() error { return requireTrouble(t, b, e, batch(accounts(3)...)) },
					func() error { _, err := b.Isolate(t.Context(), e, 0, batch(accounts(3)...)); return err },
				} {
					got := flush()
					require.True(t, fault.Unavailable(got), "%v: %v", err, got)
					require.True(t, fault.Away(got), "%v: %v", err, got)
				}
				injected.Release()
			}
		}
		b.flush(e, accounts(3)...)
	})
}

// What one record may yet be at fault for is not away.
func TestAwayLeavesOtherTroubleToTheProbe(t *testing.T) {
	onEach(t, func(t *testing.T, url string) {
		e := account(t)
		b := setup(t, url, []*schema.Entity{e})
		for _, err := range map[string][]error{
			"sqlite": {sqlite3.Error{Code: sqlite3.ErrError}, sqlite3.Error{Code: sqlite3.ErrBusy},
				errors.New("odd")},
			"postgres": {postgresError("57014"), postgresError("40001"), postgresError("55P03"), postgresError("XX000"),
				errors.New("odd")},
			"mysql": {mysqlError(1969, "70100"), mysqlError(1213, "40001"), mysqlError(1205, "HY000"),
				mysqlError(1105, "HY000"), errors.New("odd")},
		}[b.Dialect()] {
			// A statement that hangs once is sent again in pieces: it is trouble if they hang, too.
			trouble := b.faults.Inject(testkit.Refuse, testkit.Statement("INSERT INTO", "accounts"), testkit.Err(err),
				testkit.Always())
			require.False(t, fault.Away(requireTrouble(t, b, e, batch(accounts(3)...))), "%v", err)
			trouble.Release()
		}
		require.False(t, fault.Away(nil))
	})
}

// A database is writable if a transaction can be committed, which leaves no trace.
func TestWritable(t *testing.T) {
	onEach(t, func(t *testing.T, url string) {
		b := setup(t, url, nil)
		require.NoError(t, b.Writable(t.Context()))
		for _, match := range []func(string) bool{testkit.Begin, testkit.Lock,
			testkit.Commit} {
			b.faults.Inject(testkit.Refuse, match, testkit.Err(awayErrors()[b.Dialect()][0]))
			err := b.Writable(t.Context())
			require.True(t, fault.Away(err), "%v", err)
		}
		var fences int
		require.NoError(t, testkit.SQL(t, url).QueryRowContext(t.Context(),
			"SELECT count(*) FROM afterwrite_fences").Scan(&fences))
		require.Zero(t, fences)
	})
}
