package database

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"gorm.io/gorm"

	"github.com/afterwrite/afterwrite/schema"
	"github.com/afterwrite/afterwrite/store/internal/mapping"
	"github.com/afterwrite/afterwrite/store/internal/watching"
)

// Transaction is a transaction on a connection that writes.
type Transaction struct {
	Database *Database
	conn     *sql.Conn
	Tx       timedTx
	DB       *gorm.DB
	saved    bool   // a savepoint is set
	fresh    bool   // nothing was written since
	Note     *Note  // goes before the next savepoint, in its round trip; nil: it was noted
	flush    string // says that it is a flush, with the next savepoint; "": it is said, or needs not be
	said     bool   // flushes was called
	ends     string // says at the end that it was one

	Writes bool   // it writes the table that it asks for a mark
	Known  string // ends its statements, as a comment: how the table was when it was looked at

	// Gone is the failure of a statement that ended the transaction, as a trigger's ROLLBACK on SQLite does.
	Gone error

	Spoiled        bool          // its connection is not to be used again
	Bound, bounded time.Duration // on each statement to come; as the database knows it; 0: as the session has it
}

// Begin starts a transaction. On SQLite the wait for the one writing connection is
// bounded like the wait for any lock.
func (s *Database) Begin(ctx context.Context) (*Transaction, error) {
	wait, cancel := context.WithTimeoutCause(ctx, s.Settings.LockTimeout,
		fmt.Errorf("no free connection within %s", s.Settings.LockTimeout))
	defer cancel()
	if s.stale.Swap(false) {
		s.renew()
	}
	conn, err := s.valid(wait)
	if err != nil {
		if cause := context.Cause(wait); cause != nil {
			err = fmt.Errorf("%w: %w", cause, err)
		}
		return nil, s.Unavailable("connect", err)
	}
	tx, err := conn.BeginTx(ctx, s.Dialect.Isolation())
	if err != nil {
		_ = conn.Close() // it only goes back to the pool
		return nil, s.Unavailable("begin", err)
	}
	if d, ok := s.Dialect.(bounding); ok {
		if local := d.Local(s.Settings); local != "" {
			if _, err := tx.ExecContext(ctx, local); err != nil {
				_, _ = tx.Rollback(), conn.Close() // it is lost, or goes back to the pool
				return nil, s.Unavailable("begin", err)
			}
		}
	}
	t := &Transaction{Database: s, conn: conn, DB: s.Writing.ORM.Session(&gorm.Session{NewDB: true, Context: ctx})}
	t.Tx = timedTx{tx, t}
	t.DB.Statement.ConnPool = t.Tx
	return t, nil
}

// valid takes a connection to write on. One that was idle may have become invalid meanwhile, as where another file is
// in the place of a SQLite file: the pool asks only as it takes a connection back.
func (s *Database) valid(ctx context.Context) (*sql.Conn, error) {
	for {
		conn, err := s.Writing.SQL.Conn(ctx)
		if err != nil {
			return nil, err
		}
		err = conn.Raw(func(c any) error {
			if v, ok := c.(driver.Validator); ok && !v.IsValid() {
				return driver.ErrBadConn
			}
			return nil
		})
		if err == nil {
			return conn, nil
		}
		_ = conn.Close() // it is closed already
	}
}

// timedTx is a transaction each statement of which carries its own bound, where the database
// takes that with the statement.
type timedTx struct {
	*sql.Tx
	t *Transaction
}

func (x timedTx) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	return x.Tx.ExecContext(ctx, x.t.timed(query), args...)
}

func (x timedTx) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	return x.Tx.QueryContext(ctx, x.t.timed(query), args...)
}

func (x timedTx) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	return x.Tx.QueryRowContext(ctx, x.t.timed(query), args...)
}

// timed is a statement with the bound on it, if it has one that goes before it. What the table is like ends it: a
// session keeps the types of a text's parameters, and a table that has changed has other texts.
func (t *Transaction) timed(statement string) string {
	if t.Bound == 0 && t.Known == "" {
		return statement
	}
	verb, _, _ := strings.Cut(statement, " ")
	switch verb {
	case "INSERT", "UPDATE", "DELETE", "SELECT":
		if t.Bound > 0 {
			statement = t.Database.Dialect.Timed(t.Bound) + statement
		}
		return statement + t.Known
	}
	return statement
}

func (t *Transaction) Commit() error {
	defer t.Database.Metrics.Time("commit")()
	if t.ends != "" {
		if err := t.DB.Exec(t.ends).Error; err != nil {
			return err
		}
	}
	err := t.Tx.Commit()
	t.letGo()
	return err
}

// Rollback undoes the transaction unless it is committed. Its error says nothing
// new: a connection that cannot roll back is lost, and its transaction with it.
func (t *Transaction) Rollback() {
	_ = t.Tx.Rollback()
	t.letGo()
}

// letGo gives the connection back to the pool, or throws it away.
func (t *Transaction) letGo() {
	if t.Spoiled {
		_ = t.conn.Raw(func(any) error { return driver.ErrBadConn })
	}
	_ = t.conn.Close()
}

// Flushes has the triggers of a watched table take what the transaction writes for a flush's,
// from the next savepoint on: what is said behind one, undoing it would undo.
func (t *Transaction) Flushes(of *mapping.Table) {
	if !t.said {
		t.flush, t.ends = t.Database.Dialect.Flushing(watching.Of(of, t.Database.Settings.Pair))
		t.said, t.fresh = true, t.fresh && t.flush == ""
	}
}

// Reach is how far the flushes of a partition have read what was pending in Redis.
type Reach struct {
	// Before is a time of Redis, in ms. Each record that was pending since before it when the
	// last flush listed what was pending is in the database, in the state that it had then or a
	// newer one.
	Before int64
	// Last is such a time, too. No flush has read a record that was pending only since after it.
	Last int64
	// Version is the newest version that the partition had given when the last flush listed.
	Version schema.Version
	// Newest is that, or a newer version that any flush has read.
	Newest schema.Version
}

// Note is what a flush notes in its fence.
type Note struct {
	Entity    string
	Partition int
	Turn      string // its id
	Reach     Reach
}

// Statement is what notes it, or "" for nil.
func (n *Note) Statement(d Dialect) string {
	if n == nil {
		return ""
	}
	r := n.Reach
	return fmt.Sprintf(d.Reaching(), watching.SQLText(n.Entity), n.Partition, n.Turn, r.Before, r.Last,
		int64(r.Version), int64(r.Newest))
}

// Fence is what a partition's fence shows behind its lock, this transaction included.
type Fence struct {
	Flushes int64          // transactions that held it and committed
	pair    sql.NullString // the Redis of [Settings.Pair]: deployment, a space, life
	Turn    int64          // those of the transactions that flushed from the Redis of [Settings.Pair]
	ID      string         // of the last of them that committed
	Reach   Reach          // of the last that has noted it
}

// Turn is a turn of a fence, its number and its random id, as Redis notes it.
func Turn(number int64, id string) string { return strconv.FormatInt(number, 10) + "." + id }

// Columns are where a lock statement's columns go.
func (f *Fence) Columns() []any {
	return []any{&f.Flushes, &f.pair, &f.Turn, &f.ID, &f.Reach.Before, &f.Reach.Last, &f.Reach.Version,
		&f.Reach.Newest}
}

// Paired is the Redis that the database belongs to.
func (f *Fence) Paired() (p schema.Pairing) {
	p.Deployment, p.Life, _ = strings.Cut(f.pair.String, " ")
	return p
}

// Lock takes the fence of a partition by changing its row, which makes it if need
// be. No other flush gets past this statement until the transaction ends; and what
// they committed before is seen by every statement after it.
func (t *Transaction) Lock(entity string, partition int) (Fence, error) {
	defer t.Database.Metrics.Time("lock")()
	f, err := t.Database.Dialect.Lock(t, entity, partition)
	if err != nil && t.Database.Dialect.Hung(err) {
		t.Database.free(entity, partition)
	}
	if f.Turn <= 1 {
		f.Reach = Reach{} // of another Redis
	}
	return f, t.Database.Unavailable("lock the fence", err)
}

// free ends the transaction of a frozen process that holds a fence, if the database does not
// do that by itself. It is tried: the next flush waits for the lock again.
func (s *Database) free(entity string, partition int) {
	ctx, cancel := context.WithTimeout(context.Background(), s.Settings.LockTimeout)
	defer cancel()
	if err := s.Dialect.Free(ctx, s.Reading.SQL, entity, partition); err != nil {
		s.Settings.Log.Warn("the holder of a fence was not freed", "entity", entity, "partition", partition, "error", err)
	}
}

// Try runs a statement that may be refused. A failure undoes the statement alone, if
// the connection still works: ended is then nil.
func (t *Transaction) Try(statement func() error) (failed, ended error) {
	if err := t.Save(); err != nil {
		return nil, t.Database.Unavailable("savepoint", err)
	}
	failed = statement()
	if failed == nil {
		t.fresh = false
		return nil, nil
	}
	if err := t.DB.Exec("ROLLBACK TO SAVEPOINT afterwrite").Error; err != nil {
		t.Gone = failed
		return failed, t.Database.Unavailable("write", failed)
	}
	t.fresh = true
	return failed, nil
}

// Look runs a query that may be refused, like [Transaction.Try]: it leaves the savepoint
// where it is, for it has changed nothing.
func (t *Transaction) Look(query func() error) (failed, ended error) {
	failed, ended = t.Try(query)
	t.fresh = ended == nil
	return failed, ended
}

// Load reads the rows of ids, as [Store.Load] does, within the transaction.
func (t *Transaction) Load(of *mapping.Table, ids []string) ([]schema.Row, error) {
	return t.Database.Fitting(of, ids, func(ids []string, p Part) ([]schema.Row, error) {
		return t.Database.Afresh(t.DB, func(db *gorm.DB) (rows []schema.Row, err error) {
			failed, ended := t.Look(func() error {
				rows, err = t.Database.Load(db, of, ids, p)
				return err
			})
			if ended != nil {
				return nil, ended
			}
			return rows, failed
		})
	})
}

// Save sets the savepoint, in one round trip, unless it is where it should be, and
// before it the bound on the statements, which undoing one must not undo.
func (t *Transaction) Save() error {
	if t.fresh && t.Bound == t.bounded && t.Note == nil {
		return nil
	}
	statements := t.Noted(t.saving())
	if !t.Database.Dialect.SingleStatements() {
		statements = []string{strings.Join(statements, "; ")}
	}
	var err error
	for _, statement := range statements {
		if err = t.DB.Exec(statement).Error; err != nil {
			break
		}
	}
	t.savedAs(err)
	return err
}

// Noted are statements behind that of the note, if there is one.
func (t *Transaction) Noted(statements []string) []string {
	if t.Note == nil {
		return statements
	}
	return slices.Insert(statements, 0, t.Note.Statement(t.Database.Dialect))
}

// saving is what sets the savepoint.
func (t *Transaction) saving() []string {
	d := t.Database.Dialect
	statements := make([]string, 0, 4)
	if t.saved && d.Nests() {
		// Savepoints that are left standing nest, and cost more and more.
		statements = append(statements, "RELEASE SAVEPOINT afterwrite")
	}
	if t.flush != "" {
		statements = append(statements, t.flush)
	}
	if bound := d.Within(t.Bound); t.Bound != t.bounded && bound != "" {
		statements = append(statements, bound)
	}
	return append(statements, "SAVEPOINT afterwrite")
}

// savedAs notes what became of it.
func (t *Transaction) savedAs(err error) {
	t.fresh = err == nil
	if err == nil {
		t.Note = nil
		t.saved, t.bounded, t.flush = true, t.Bound, ""
	}
}

// AtLeisure runs a query that has all of a statement's time.
func (t *Transaction) AtLeisure(query func() error) error {
	if t.Bound == 0 {
		return query()
	}
	bound := t.Bound
	defer func() { t.Bound = bound }()
	t.Bound = t.Database.Dialect.Most()
	if err := t.Save(); err != nil {
		return err
	}
	return query()
}

// Mark reads what changes with the catalog of a table. Where the database can do that in the
// same trip, the savepoint is set, too.
func (t *Transaction) Mark(of Target) (string, error) {
	d := t.Database.Dialect
	m, ok := d.(marker)
	if !ok || d.SingleStatements() || t.fresh && t.Note == nil {
		return d.Mark(t.DB.Statement.Context, t.Tx, of.Name, t.Writes)
	}
	mark, err := m.MarkAnd(t, of, t.saving())
	t.savedAs(err)
	return mark, err
}

// Raw calls a function with the connection of the driver.
func (t *Transaction) Raw(fn func(driverConn any) error) error { return t.conn.Raw(fn) }
