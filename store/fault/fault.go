// Package fault are the classes of what a database reports: that it did not do its part, or that it refuses what a
// statement carries. The errors of package store and its rooms are of these classes.
package fault

import (
	"errors"

	"github.com/afterwrite/afterwrite/schema"
)

var (
	// ErrNotMigrated reports that a table or column is missing: run the migrations.
	// It is also unavailable: what is waiting goes on when the table is there.
	ErrNotMigrated = errors.New("a table or column is missing: run afterwrite migrate")
	// ErrNotLocked reports that a flush did not come to hold the partition's fence: what is
	// in its batch has nothing to do with it.
	ErrNotLocked = errors.New("the fence was not locked")
	// ErrUnfit reports a table that would change what is written to it: a column that rounds,
	// or that does not hold its field's type, or a key that does not tell all ids apart. The
	// error names entity, table, column and the fix. No process writes to such a table.
	ErrUnfit = errors.New("the table does not fit the entity")
	// ErrPool reports a pool of the caller's whose connections lack what only its DSN can give them.
	ErrPool = errors.New("the connections of the pool cannot be used")
)

// Error is a failure that is the database's and not a record's. Package store makes it.
type Error struct {
	Op       string
	Err      error
	Away     bool // see the functions of these names
	Conflict bool
	Blocked  bool
	Late     bool
	OfTable  bool
}

// Error is what was being done, and what the database said.
func (e *Error) Error() string { return e.Op + ": " + e.Err.Error() }

// Unwrap is what the database said.
func (e *Error) Unwrap() error { return e.Err }

// Is makes the error match [schema.ErrDatabaseUnavailable].
func (e *Error) Is(target error) bool { return target == schema.ErrDatabaseUnavailable }

// Unavailable reports whether err, as a store returned it, says that the database
// did not do its part: no connection, a timeout, a deadlock, a full disk, a missing
// table. The same call may succeed later, unchanged; nothing counts as an attempt.
func Unavailable(err error) bool {
	var u *Error
	return errors.As(err, &u)
}

// Away reports whether err, which is [Unavailable], says by the database's own code that
// it can do its part for no record: it is full, read-only, short of something, broken or
// shutting down. That it answers a query proves nothing against it.
func Away(err error) bool {
	var u *Error
	return errors.As(err, &u) && u.Away
}

// Conflict reports whether err, which is [Unavailable], says that the database undid the
// transaction for another one's sake: a deadlock, or a serialization that failed. To flush
// again at once, with a new batch, is likely to succeed.
func Conflict(err error) bool {
	var u *Error
	return errors.As(err, &u) && u.Conflict
}

// Blocked reports whether err, which is [Unavailable], says that another transaction was in the
// way: a lock was not free in time, or [Conflict].
func Blocked(err error) bool {
	var u *Error
	return errors.As(err, &u) && u.Blocked
}

// Late reports whether err, which is [Unavailable], says that a statement took too long, or that
// it was [Blocked].
func Late(err error) bool {
	var u *Error
	return errors.As(err, &u) && u.Late
}

// OfTable reports whether err, which is [Unavailable], says that a statement does not fit its
// table any more, or may not write it. Where all records of a partition fail so, the fault is
// the table's.
func OfTable(err error) bool {
	var u *Error
	return errors.As(err, &u) && u.OfTable
}

// Message is what the database itself said in err, without what was being done: the same
// trouble has the same words, wherever it was met.
func Message(err error) string {
	var u *Error
	if errors.As(err, &u) {
		return u.Err.Error()
	}
	return err.Error()
}
