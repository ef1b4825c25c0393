package afterwritetest

import (
	"context"
	"database/sql/driver"
	"errors"
	"sync/atomic"
	"testing"

	"github.com/afterwrite/afterwrite"
)

// System is a part that can be down.
type System string

// The systems.
const (
	Redis    System = "redis"
	Database System = "database"
)

// Down makes Redis or the database unreachable until up is called, or the test ends. What
// they hold stays.
func Down(t testing.TB, db *afterwrite.DB, what System) (up func()) {
	t.Helper()
	f := of(t, db)
	switch what {
	case Redis:
		f.redis.Close()
		return func() {
			if err := f.redis.Restart(); err != nil {
				t.Errorf("afterwritetest: redis does not come back: %v", err)
			}
		}
	case Database:
		f.gate.down.Store(true)
		return func() { f.gate.down.Store(false) }
	}
	t.Fatalf("afterwritetest: %q is neither Redis nor Database", what)
	return nil
}

// up brings the database back, for the end of a test.
func (f *fixture) up() { f.gate.down.Store(false) }

// gate stands before a database.
type gate struct{ down atomic.Bool }

var errDown = errors.New("afterwritetest: the database is down")

func (g *gate) pass() error {
	if g.down.Load() {
		return errDown
	}
	return nil
}

func (g *gate) wrap(c driver.Connector) driver.Connector { return connector{c, g} }

type connector struct {
	driver.Connector
	gate *gate
}

func (c connector) Connect(ctx context.Context) (driver.Conn, error) {
	if err := c.gate.pass(); err != nil {
		return nil, err
	}
	conn, err := c.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	return connection{conn, c.gate}, nil
}

// connection passes on what SQLite's connections do while the gate is open.
type connection struct {
	driver.Conn
	gate *gate
}

func (c connection) BeginTx(ctx context.Context, o driver.TxOptions) (driver.Tx, error) {
	if err := c.gate.pass(); err != nil {
		return nil, err
	}
	tx, err := c.Conn.(driver.ConnBeginTx).BeginTx(ctx, o)
	return transaction{tx, c.gate}, err
}

func (c connection) PrepareContext(ctx context.Context, query string) (driver.Stmt, error) {
	if err := c.gate.pass(); err != nil {
		return nil, err
	}
	return c.Conn.(driver.ConnPrepareContext).PrepareContext(ctx, query)
}

func (c connection) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	if err := c.gate.pass(); err != nil {
		return nil, err
	}
	return c.Conn.(driver.ExecerContext).ExecContext(ctx, query, args)
}

func (c connection) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	if err := c.gate.pass(); err != nil {
		return nil, err
	}
	return c.Conn.(driver.QueryerContext).QueryContext(ctx, query, args)
}

func (c connection) Ping(ctx context.Context) error {
	if err := c.gate.pass(); err != nil {
		return err
	}
	return c.Conn.(driver.Pinger).Ping(ctx)
}

type transaction struct {
	driver.Tx
	gate *gate
}

func (t transaction) Commit() error {
	if err := t.gate.pass(); err != nil {
		return errors.Join(err, t.Rollback())
	}
	return t.Tx.Commit()
}
