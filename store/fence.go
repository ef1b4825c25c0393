package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"
	"strings"
	"time"

	"gorm.io/gorm"

	"github.com/afterwrite/afterwrite/schema"
)

// transaction is a transaction on a connection that writes.
type transaction struct {
	store *Store
	conn  *sql.Conn
	tx    timedTx
	db    *gorm.DB
	saved bool   // a savepoint is set
	fresh bool   // nothing was written since
	note  string // a statement that goes before the next savepoint, in its round trip
	flush string // says that it is a flush, with the next savepoint; "": it is said, or needs not be
	said  bool   // flushes was called
	ends  string // says at the end that it was one

	spoiled        bool          // its connection is not to be used again
	bound, bounded time.Duration // on each statement to come; as the database knows it; 0: as the session has it
}

// begin starts a transaction. On SQLite the wait for the one writing connection is
// bounded like the wait for any lock.
func (s *Store) begin(ctx context.Context) (*transaction, error) {
	wait, cancel := context.WithTimeoutCause(ctx, s.cfg.LockTimeout,
		fmt.Errorf("no free connection within %s", s.cfg.LockTimeout))
	defer cancel()
	if s.stale.Swap(false) {
		s.renew()
	}
	conn, err := s.writing.sql.Conn(wait)
	if err != nil {
		if cause := context.Cause(wait); cause != nil {
			err = fmt.Errorf("%w: %w", cause, err)
		}
		return nil, s.unavailable("connect", err)
	}
	tx, err := conn.BeginTx(ctx, s.dialect.isolation())
	if err != nil {
		_ = conn.Close() // it only goes back to the pool
		return nil, s.unavailable("begin", err)
	}
	if d, ok := s.dialect.(bounding); ok {
		if local := d.local(s.cfg); local != "" {
			if _, err := tx.ExecContext(ctx, local); err != nil {
				_, _ = tx.Rollback(), conn.Close() // it is lost, or goes back to the pool
				return nil, s.unavailable("begin", err)
			}
		}
	}
	t := &transaction{store: s, conn: conn, db: s.writing.orm.Session(&gorm.Session{NewDB: true, Context: ctx})}
	t.tx = timedTx{tx, t}
	t.db.Statement.ConnPool = t.tx
	return t, nil
}

// timedTx is a transaction each statement of which carries its own bound, where the database
// takes that with the statement.
type timedTx struct {
	*sql.Tx
	t *transaction
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

// timed is a statement with the bound on it, if it has one that goes before it.
func (t *transaction) timed(statement string) string {
	if t.bound == 0 {
		return statement
	}
	verb, _, _ := strings.Cut(statement, " ")
	switch verb {
	case "INSERT", "UPDATE", "DELETE", "SELECT":
		return t.store.dialect.timed(t.bound) + statement
	}
	return statement
}

func (t *transaction) commit() error {
	defer t.store.metrics.time("commit")()
	if t.ends != "" {
		if err := t.db.Exec(t.ends).Error; err != nil {
			return err
		}
	}
	err := t.tx.Commit()
	t.letGo()
	return err
}

// rollback undoes the transaction unless it is committed. Its error says nothing
// new: a connection that cannot roll back is lost, and its transaction with it.
func (t *transaction) rollback() {
	_ = t.tx.Rollback()
	t.letGo()
}

// letGo gives the connection back to the pool, or throws it away.
func (t *transaction) letGo() {
	if t.spoiled {
		_ = t.conn.Raw(func(any) error { return driver.ErrBadConn })
	}
	_ = t.conn.Close()
}

// flushes has the triggers of a watched table take what the transaction writes for a flush's,
// from the next savepoint on: what is said behind one, undoing it would undo.
func (t *transaction) flushes(of *table) {
	if !t.said {
		t.flush, t.ends = t.store.dialect.flushing(t.store.watchOf(of))
		t.said, t.fresh = true, t.fresh && t.flush == ""
	}
}

// fence is what a partition's fence shows behind its lock, this transaction included.
type fence struct {
	flushes int64          // transactions that held it and committed
	pair    sql.NullString // the Redis of [Config.Pair]: deployment, a space, life
	turn    int64          // those of the transactions that flushed from the Redis of [Config.Pair]
	id      string         // of the last of them that committed
	reach   Reach          // of the last that has noted it
}

// columns are where a lock statement's columns go.
func (f *fence) columns() []any {
	return []any{&f.flushes, &f.pair, &f.turn, &f.id, &f.reach.Before, &f.reach.Last, &f.reach.Version,
		&f.reach.Newest}
}

// paired is the Redis that the database belongs to.
func (f *fence) paired() (p schema.Pairing) {
	p.Deployment, p.Life, _ = strings.Cut(f.pair.String, " ")
	return p
}

// lock takes the fence of a partition by changing its row, which makes it if need
// be. No other flush gets past this statement until the transaction ends; and what
// they committed before is seen by every statement after it.
func (t *transaction) lock(entity string, partition int) (fence, error) {
	defer t.store.metrics.time("lock")()
	f, err := t.store.dialect.lock(t, entity, partition)
	if err != nil && t.store.dialect.hung(err) {
		t.store.free(entity, partition)
	}
	if f.turn <= 1 {
		f.reach = Reach{} // of another Redis
	}
	return f, t.store.unavailable("lock the fence", err)
}

// free ends the transaction of a frozen process that holds a fence, if the database does not
// do that by itself. It is tried: the next flush waits for the lock again.
func (s *Store) free(entity string, partition int) {
	ctx, cancel := context.WithTimeout(context.Background(), s.cfg.LockTimeout)
	defer cancel()
	if err := s.dialect.free(ctx, s.reading.sql, entity, partition); err != nil {
		s.cfg.Log.Warn("the holder of a fence was not freed", "entity", entity, "partition", partition, "error", err)
	}
}

// try runs a statement that may be refused. A failure undoes the statement alone, if
// the connection still works: ended is then nil.
func (t *transaction) try(statement func() error) (failed, ended error) {
	if err := t.save(); err != nil {
		return nil, t.store.unavailable("savepoint", err)
	}
	failed = statement()
	if failed == nil {
		t.fresh = false
		return nil, nil
	}
	if err := t.db.Exec("ROLLBACK TO SAVEPOINT afterwrite").Error; err != nil {
		return failed, t.store.unavailable("write", failed)
	}
	t.fresh = true
	return failed, nil
}

// look runs a query that may be refused, like [transaction.try]: it leaves the savepoint
// where it is, for it has changed nothing.
func (t *transaction) look(query func() error) (failed, ended error) {
	failed, ended = t.try(query)
	t.fresh = ended == nil
	return failed, ended
}

// load reads the rows of ids, as [Store.Load] does, within the transaction.
func (t *transaction) load(of *table, ids []string) ([]schema.Row, error) {
	return t.store.fitting(ids, func(ids []string) (rows []schema.Row, err error) {
		failed, ended := t.look(func() error {
			rows, err = t.store.load(t.db, of, ids)
			return err
		})
		if ended != nil {
			return nil, ended
		}
		return rows, failed
	})
}

// save sets the savepoint, in one round trip, unless it is where it should be, and
// before it the bound on the statements, which undoing one must not undo.
func (t *transaction) save() error {
	if t.fresh && t.bound == t.bounded && t.note == "" {
		return nil
	}
	statements := t.saving()
	if !t.store.dialect.apart() {
		statements = []string{strings.Join(statements, "; ")}
	}
	var err error
	for _, statement := range statements {
		if err = t.db.Exec(statement).Error; err != nil {
			break
		}
	}
	t.savedAs(err)
	return err
}

// saving is what sets the savepoint.
func (t *transaction) saving() []string {
	d := t.store.dialect
	statements := make([]string, 0, 4)
	if t.note != "" {
		statements = append(statements, t.note)
	}
	if t.saved && d.nests() {
		// Savepoints that are left standing nest, and cost more and more.
		statements = append(statements, "RELEASE SAVEPOINT afterwrite")
	}
	if t.flush != "" {
		statements = append(statements, t.flush)
	}
	if bound := d.within(t.bound); t.bound != t.bounded && bound != "" {
		statements = append(statements, bound)
	}
	return append(statements, "SAVEPOINT afterwrite")
}

// savedAs notes what became of it.
func (t *transaction) savedAs(err error) {
	t.fresh = err == nil
	if err == nil {
		t.note = ""
		t.saved, t.bounded, t.flush = true, t.bound, ""
	}
}

// atLeisure runs a query that has all of a statement's time.
func (t *transaction) atLeisure(query func() error) error {
	if t.bound == 0 {
		return query()
	}
	bound := t.bound
	defer func() { t.bound = bound }()
	t.bound = t.store.dialect.most()
	if err := t.save(); err != nil {
		return err
	}
	return query()
}

// mark reads what changes with the catalog of a table. Where the database can do that in the
// same trip, the savepoint is set, too.
func (t *transaction) mark(of *table) (string, error) {
	ctx, d := t.db.Statement.Context, t.store.dialect
	m, ok := d.(marker)
	if !ok || d.apart() || t.fresh && t.note == "" {
		return d.mark(ctx, t.tx, of.name)
	}
	mark, err := m.markAnd(ctx, t.tx, of.name, strings.Join(t.saving(), "; "))
	t.savedAs(err)
	return mark, err
}
