package testkit

import (
	"context"
	"database/sql/driver"
	"strings"
	"sync/atomic"
)

// SQLFaults makes statements fail on their way to a real database: give its Wrap to
// the store. It is safe for concurrent use; its zero value does nothing.
//
// Unless [Err] names an error, a connection that a fault strikes is lost with it, as
// in life: its transaction is rolled back, and the pool opens another.
type SQLFaults struct{ faults[string] }

// Inject makes statements that match fail.
func (f *SQLFaults) Inject(mode Mode, match func(statement string) bool, opts ...FaultOption) *Fault {
	return f.inject(mode, match, opts)
}

// The statements that a driver is given by calls of their own. Matchers see these words.
const (
	begin    = "BEGIN"
	commit   = "COMMIT"
	rollback = "ROLLBACK"
	connect  = "CONNECT"
)

// Begin matches the beginning of a transaction.
func Begin(statement string) bool { return statement == begin }

// Commit matches the end of a transaction that was to take effect.
func Commit(statement string) bool { return statement == commit }

// Connect matches the opening of a connection.
func Connect(statement string) bool { return statement == connect }

// AnyStatement matches everything that is sent to the database.
func AnyStatement(string) bool { return true }

// Statement matches statements that contain every one of the parts, in any case.
func Statement(parts ...string) func(string) bool {
	return func(statement string) bool {
		statement = strings.ToLower(statement)
		for _, part := range parts {
			if !strings.Contains(statement, strings.ToLower(part)) {
				return false
			}
		}
		return true
	}
}

// Lock matches the statement that locks a fence, on any database.
func Lock(statement string) bool {
	return strings.Contains(statement, "afterwrite_lock(") ||
		Statement("afterwrite_fences", "turn_of")(statement) && !strings.HasPrefix(statement, "SELECT")
}

// Wrap returns a connector whose connections obey the faults.
func (f *SQLFaults) Wrap(c driver.Connector) driver.Connector { return &connector{c, f} }

// run runs one statement under the faults. lost tells that the connection went with it.
func (f *SQLFaults) run(ctx context.Context, statement string, do func() error) (lost bool, err error) {
	fault := f.find(statement)
	if fault == nil {
		return false, do()
	}
	err = fault.strike(ctx, do)
	return err != nil && fault.err == nil, err
}

type connector struct {
	driver.Connector
	faults *SQLFaults
}

func (c *connector) Connect(ctx context.Context) (driver.Conn, error) {
	var conn driver.Conn
	_, err := c.faults.run(ctx, connect, func() (err error) {
		conn, err = c.Connector.Connect(ctx)
		return err
	})
	if err != nil {
		if conn != nil {
			_ = conn.Close()
		}
		return nil, err
	}
	return &faultyConn{Conn: conn, faults: c.faults}, nil
}

// faultyConn passes every optional interface of database/sql on to the driver, as far
// as the driver has it. The drivers of today all begin, prepare and run with a context.
type faultyConn struct {
	driver.Conn
	faults *SQLFaults
	lost   atomic.Bool
}

var _ interface {
	driver.ConnBeginTx
	driver.ConnPrepareContext
	driver.ExecerContext
	driver.QueryerContext
	driver.NamedValueChecker
	driver.Pinger
	driver.SessionResetter
	driver.Validator
} = (*faultyConn)(nil)

func (c *faultyConn) run(ctx context.Context, statement string, do func() error) error {
	if c.lost.Load() {
		return errLost
	}
	lost, err := c.faults.run(ctx, statement, do)
	if lost {
		c.lost.Store(true)
	}
	return err
}

func (c *faultyConn) BeginTx(ctx context.Context, opts driver.TxOptions) (driver.Tx, error) {
	var tx driver.Tx
	err := c.run(ctx, begin, func() (err error) {
		tx, err = c.Conn.(driver.ConnBeginTx).BeginTx(ctx, opts)
		return err
	})
	if err != nil {
		if tx != nil {
			_ = tx.Rollback()
		}
		return nil, err
	}
	return &faultyTx{tx, c}, nil
}

func (c *faultyConn) PrepareContext(ctx context.Context, query string) (driver.Stmt, error) {
	if c.lost.Load() {
		return nil, errLost
	}
	stmt, err := c.Conn.(driver.ConnPrepareContext).PrepareContext(ctx, query)
	if err != nil {
		return nil, err
	}
	return &faultyStmt{stmt, c, query}, nil
}

func (c *faultyConn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	e, ok := c.Conn.(driver.ExecerContext)
	if !ok {
		return nil, driver.ErrSkip
	}
	var result driver.Result
	err := c.run(ctx, query, func() (err error) {
		result, err = e.ExecContext(ctx, query, args)
		return err
	})
	if err != nil {
		return nil, err
	}
	return result, nil
}

func (c *faultyConn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	q, ok := c.Conn.(driver.QueryerContext)
	if !ok {
		return nil, driver.ErrSkip
	}
	var rows driver.Rows
	err := c.run(ctx, query, func() (err error) {
		rows, err = q.QueryContext(ctx, query, args)
		return err
	})
	return keep(rows, err)
}

// keep closes rows that are not read.
func keep(rows driver.Rows, err error) (driver.Rows, error) {
	if err != nil && rows != nil {
		_ = rows.Close()
		return nil, err
	}
	return rows, err
}

func (c *faultyConn) CheckNamedValue(v *driver.NamedValue) error {
	if n, ok := c.Conn.(driver.NamedValueChecker); ok {
		return n.CheckNamedValue(v)
	}
	return driver.ErrSkip
}

func (c *faultyConn) Ping(ctx context.Context) error {
	if p, ok := c.Conn.(driver.Pinger); ok {
		return c.run(ctx, "PING", func() error { return p.Ping(ctx) })
	}
	return nil
}

func (c *faultyConn) ResetSession(ctx context.Context) error {
	if c.lost.Load() {
		return driver.ErrBadConn
	}
	if r, ok := c.Conn.(driver.SessionResetter); ok {
		return r.ResetSession(ctx)
	}
	return nil
}

func (c *faultyConn) IsValid() bool {
	if c.lost.Load() {
		return false
	}
	if v, ok := c.Conn.(driver.Validator); ok {
		return v.IsValid()
	}
	return true
}

type faultyTx struct {
	driver.Tx
	conn *faultyConn
}

// Commit rolls back where the commit did not take effect: a connection that dies, or
// a constraint that is checked at the end, leaves no transaction open.
func (t *faultyTx) Commit() error {
	sent := false
	err := t.conn.run(context.Background(), commit, func() error {
		sent = true
		return t.Tx.Commit()
	})
	if !sent {
		_ = t.Tx.Rollback() // the caller gets the fault's error
	}
	return err
}

// Rollback reaches the database even over a lost connection: the database notices the
// loss and does the same.
func (t *faultyTx) Rollback() error {
	sent := false
	err := t.conn.run(context.Background(), rollback, func() error {
		sent = true
		return t.Tx.Rollback()
	})
	if !sent {
		_ = t.Tx.Rollback()
	}
	return err
}

type faultyStmt struct {
	driver.Stmt
	conn  *faultyConn
	query string
}

func (s *faultyStmt) ExecContext(ctx context.Context, args []driver.NamedValue) (driver.Result, error) {
	var result driver.Result
	err := s.conn.run(ctx, s.query, func() (err error) {
		result, err = s.Stmt.(driver.StmtExecContext).ExecContext(ctx, args)
		return err
	})
	if err != nil {
		return nil, err
	}
	return result, nil
}

func (s *faultyStmt) QueryContext(ctx context.Context, args []driver.NamedValue) (driver.Rows, error) {
	var rows driver.Rows
	err := s.conn.run(ctx, s.query, func() (err error) {
		rows, err = s.Stmt.(driver.StmtQueryContext).QueryContext(ctx, args)
		return err
	})
	return keep(rows, err)
}

func (s *faultyStmt) CheckNamedValue(v *driver.NamedValue) error {
	if n, ok := s.Stmt.(driver.NamedValueChecker); ok {
		return n.CheckNamedValue(v)
	}
	return s.conn.CheckNamedValue(v)
}
