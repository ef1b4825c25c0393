package mysql

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/afterwrite/afterwrite/store/fault"
	"github.com/afterwrite/afterwrite/store/internal/database"
)

// poolOptions is what to write into the DSN of a caller's pool, said once.
const poolOptions = "parseTime=true&loc=UTC&clientFoundRows=true&time_zone=%27%2B00%3A00%27"

func needs(option, why string) error {
	return fmt.Errorf("%w: its DSN needs %s: %s (all that it needs: %s)", fault.ErrPool, option, why, poolOptions)
}

// lender lends connections of the caller's pool. Each has the session of the store while it is lent, and gets back
// what it had before.
type lender struct {
	pool    *sql.DB
	dialect *mysql
}

// Driver is that of the pool.
func (l lender) Driver() driver.Driver { return l.pool.Driver() }

// Connect waits for a free connection of the pool.
func (l lender) Connect(ctx context.Context) (driver.Conn, error) {
	conn, err := l.pool.Conn(ctx)
	if err != nil {
		return nil, err
	}
	// A connection of a pool may be used while Raw runs, and no longer.
	taken, lent := make(chan driver.Conn, 1), &loan{back: make(chan error, 1), over: make(chan error, 1)}
	go func() {
		err := conn.Raw(func(c any) error {
			taken <- c.(driver.Conn)
			return <-lent.back
		})
		if closing := conn.Close(); !errors.Is(closing, sql.ErrConnDone) {
			err = errors.Join(err, closing)
		}
		lent.over <- err
	}()
	select {
	case lent.Conn = <-taken:
	case err := <-lent.over:
		return nil, err
	}
	if err := l.dialect.borrow(ctx, lent); err != nil {
		lent.spoiled = true
		return nil, errors.Join(err, lent.Close())
	}
	return lent, nil
}

// loan is a connection that is lent. Its methods are those that database/sql looks for; what the pool's driver does
// not have is answered as by one that has not.
type loan struct {
	driver.Conn
	restore string     // the statement that gives the session what it had
	spoiled bool       // the session may have anything: the pool should throw the connection away
	back    chan error // ends the loan; what is sent is how the connection is
	over    chan error // the pool has it again
}

// Close gives the connection back to the pool.
func (l *loan) Close() error {
	state := driver.ErrBadConn
	if !l.spoiled && l.IsValid() {
		ctx, cancel := context.WithTimeout(context.Background(), database.DefaultLockTimeout)
		defer cancel()
		if _, err := l.ExecContext(ctx, l.restore, nil); err == nil {
			state = nil
		}
	}
	l.back <- state
	if err := <-l.over; !errors.Is(err, driver.ErrBadConn) {
		return err
	}
	return nil
}

func (l *loan) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	if c, ok := l.Conn.(driver.ExecerContext); ok {
		return c.ExecContext(ctx, query, args)
	}
	return nil, driver.ErrSkip
}

func (l *loan) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	if c, ok := l.Conn.(driver.QueryerContext); ok {
		return c.QueryContext(ctx, query, args)
	}
	return nil, driver.ErrSkip
}

func (l *loan) PrepareContext(ctx context.Context, query string) (driver.Stmt, error) {
	if c, ok := l.Conn.(driver.ConnPrepareContext); ok {
		return c.PrepareContext(ctx, query)
	}
	return l.Prepare(query)
}

func (l *loan) BeginTx(ctx context.Context, options driver.TxOptions) (driver.Tx, error) {
	if c, ok := l.Conn.(driver.ConnBeginTx); ok {
		return c.BeginTx(ctx, options)
	}
	return nil, errors.New("the driver of the pool begins no transactions with a context")
}

func (l *loan) CheckNamedValue(v *driver.NamedValue) error {
	if c, ok := l.Conn.(driver.NamedValueChecker); ok {
		return c.CheckNamedValue(v)
	}
	return driver.ErrSkip
}

func (l *loan) Ping(ctx context.Context) error {
	if c, ok := l.Conn.(driver.Pinger); ok {
		return c.Ping(ctx)
	}
	return nil
}

func (l *loan) IsValid() bool {
	c, ok := l.Conn.(driver.Validator)
	return !ok || c.IsValid()
}

// borrow sets up the session of a connection that is lent. What it had is kept in the session itself, so that one
// statement does both.
func (d *mysql) borrow(ctx context.Context, l *loan) error {
	s := d.server.Load()
	if s == nil {
		if err := checkLoan(ctx, l); err != nil {
			return err
		}
		var err error
		if s, err = readServer(ctx, l); err != nil {
			return err
		}
	}
	variables := append(d.variables(s), [][2]string{{"character_set_client", "utf8mb4"},
		{"character_set_results", "utf8mb4"}, {"collation_connection", "utf8mb4_bin"}}...)
	var keeps, sets, restores []string
	for i, v := range variables {
		keeps = append(keeps, fmt.Sprintf("@afterwrite_%d = @@SESSION.%s", i, v[0]))
		sets = append(sets, "SESSION "+v[0]+" = "+v[1])
		restores = append(restores, fmt.Sprintf("SESSION %s = @afterwrite_%d", v[0], i))
	}
	// The triggers of watched tables take the program's own writes for a flush's while this has a value.
	l.restore = "SET @afterwrite_flush = NULL, " + strings.Join(restores, ", ")
	_, err := l.ExecContext(ctx, "SET "+strings.Join(append(keeps, sets...), ", "), nil)
	if err == nil {
		d.server.Store(s)
	}
	return err
}

// checkLoan reports what a connection lacks that no statement gives it, [mysql.findsRows] aside.
func checkLoan(ctx context.Context, l *loan) error {
	// Two days tell a zone with summer time from UTC, whenever it is asked.
	noons := []time.Time{time.Date(2026, 1, 15, 12, 0, 0, 0, time.UTC), time.Date(2026, 7, 15, 12, 0, 0, 0, time.UTC)}
	for _, noon := range noons {
		literal := noon.Format("'2006-01-02 15:04:05'")
		values, err := oneRow(ctx, l, "SELECT TIMESTAMP"+literal+", UNIX_TIMESTAMP("+literal+") = "+
			fmt.Sprint(noon.Unix()), 2)
		if err != nil {
			return err
		}
		at, ok := values[0].(time.Time)
		switch {
		case !ok:
			return needs("parseTime=true", "times are read as such")
		case !at.Equal(noon):
			return needs("loc=UTC", "times without a zone are UTC, for the worker of every machine")
		case fmt.Sprintf("%s", values[1]) != "1" && fmt.Sprint(values[1]) != "1":
			return needs("time_zone=%27%2B00%3A00%27",
				"a timestamp that is written in one zone and read in another is another instant")
		}
	}
	return nil
}

// findsRows checks once that an UPDATE which changes nothing has found its row: an update of records inserts those
// that it has not found. The fence is locked by the caller.
func (d *mysql) findsRows(ctx context.Context, tx *sql.Tx, entity string, partition int) error {
	if d.pool == nil || d.found.Load() {
		return nil
	}
	result, err := tx.ExecContext(ctx, `UPDATE afterwrite_fences SET flushes = flushes
		WHERE entity = ? AND "partition" = ?`, entity, partition)
	if err != nil {
		return err
	}
	if n, err := result.RowsAffected(); err != nil || n != 1 {
		return errors.Join(err, needs("clientFoundRows=true", "an update counts the rows that it finds"))
	}
	d.found.Store(true)
	return nil
}

// SingleStatements: a pool of the caller's need not take several statements in one text.
func (d *mysql) SingleStatements() bool { return d.pool != nil }
