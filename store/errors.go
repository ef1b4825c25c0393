package store

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/afterwrite/afterwrite/schema"
)

var (
	// ErrNotMigrated reports that a table or column is missing: run the migrations.
	// It is also unavailable: what is waiting goes on when the table is there.
	ErrNotMigrated = errors.New("a table or column is missing: run afterwrite migrate")
	// ErrNotLocked reports that a flush did not come to hold the partition's fence: what is
	// in its batch has nothing to do with it.
	ErrNotLocked = errors.New("the fence was not locked")
)

// unavailableError is a failure that is the database's and not a record's.
type unavailableError struct {
	op       string
	err      error
	away     bool // see Away
	conflict bool // see Conflict
	blocked  bool // see Blocked
	late     bool // see Late
	ofTable  bool // see OfTable
}

func (e *unavailableError) Error() string { return e.op + ": " + e.err.Error() }
func (e *unavailableError) Unwrap() error { return e.err }

// Is makes the error match [schema.ErrDatabaseUnavailable].
func (e *unavailableError) Is(target error) bool { return target == schema.ErrDatabaseUnavailable }

// Unavailable reports whether err, as a [Store] returned it, says that the database
// did not do its part: no connection, a timeout, a deadlock, a full disk, a missing
// table. The same call may succeed later, unchanged; nothing counts as an attempt.
func Unavailable(err error) bool {
	var u *unavailableError
	return errors.As(err, &u)
}

// Away reports whether err, which is [Unavailable], says by the database's own code that
// it can do its part for no record: it is full, read-only, short of something, broken or
// shutting down. That it answers a query proves nothing against it.
func Away(err error) bool {
	var u *unavailableError
	return errors.As(err, &u) && u.away
}

// Conflict reports whether err, which is [Unavailable], says that the database undid the
// transaction for another one's sake: a deadlock, or a serialization that failed. To flush
// again at once, with a new batch, is likely to succeed.
func Conflict(err error) bool {
	var u *unavailableError
	return errors.As(err, &u) && u.conflict
}

// Blocked reports whether err, which is [Unavailable], says that another transaction was in the
// way: a lock was not free in time, or [Conflict].
func Blocked(err error) bool {
	var u *unavailableError
	return errors.As(err, &u) && u.blocked
}

// Late reports whether err, which is [Unavailable], says that a statement took too long, or that
// it was [Blocked].
func Late(err error) bool {
	var u *unavailableError
	return errors.As(err, &u) && u.late
}

// OfTable reports whether err, which is [Unavailable], says that a statement does not fit its
// table any more, or may not write it. Where all records of a partition fail so, the fault is
// the table's.
func OfTable(err error) bool {
	var u *unavailableError
	return errors.As(err, &u) && u.ofTable
}

// Message is what the database itself said in err, without what was being done: the same
// trouble has the same words, wherever it was met.
func Message(err error) string {
	var u *unavailableError
	if errors.As(err, &u) {
		return u.err.Error()
	}
	return err.Error()
}

// unavailable wraps an error of the database about op; nil stays nil.
func (s *Store) unavailable(op string, err error) error {
	if err == nil {
		return nil
	}
	if s.dialect.missing(err) || errors.Is(err, schema.ErrSchema) {
		err = fmt.Errorf("%w: %w", ErrNotMigrated, err)
	}
	if s.dialect.readOnly(err) {
		s.stale.Store(true)
	}
	return &unavailableError{
		op: op, err: err, away: s.dialect.away(err), conflict: s.dialect.conflict(err),
		blocked: s.dialect.blocked(err), late: s.late(err) || errors.Is(err, context.DeadlineExceeded),
		ofTable: errors.Is(err, ErrUnfit) || s.dialect.ofTable(err),
	}
}

// late reports whether err is of the time that a statement took, or of another transaction.
func (s *Store) late(err error) bool { return s.dialect.hung(err) || s.dialect.blocked(err) }

// suspected is the kind of what is no refusal by its code, and taken for one.
func (s *Store) suspected(err error) schema.Kind {
	if s.late(err) {
		return schema.KindTimeout
	}
	return schema.KindPoison
}

// refusal makes a refusal whose message is bounded and valid UTF-8.
func refusal(kind schema.Kind, constraint, column, message string) schema.Refusal {
	message = strings.ToValidUTF8(message, "\uFFFD")
	if len(message) > schema.MaxRefusalMessage {
		cut := schema.MaxRefusalMessage
		for !utf8.RuneStart(message[cut]) {
			cut--
		}
		message = message[:cut]
	}
	return schema.Refusal{Kind: kind, Constraint: constraint, Column: column, Message: message}
}

// presentable takes out of a refusal's message what it quotes of redacted fields of the
// changes that it may be about, and of the rows that they would change, which triggers quote
// as OLD. Every message that is kept, shown or sent passes here, or told.
func (t *table) presentable(r schema.Refusal, changes []schema.Change, rows rowReader) schema.Refusal {
	r.Message = t.redact(r.Message, changes, rows)
	return r
}

// rowReader reads the rows of ids as they are without the changes that failed.
type rowReader func(ids []string) ([]schema.Row, error)

// unread is what is left of a message that may quote rows which could not be read.
const unread = "(redacted: the message may quote values of the row, which could not be read)"

func (t *table) redact(text string, changes []schema.Change, rows rowReader) string {
	if !t.entity.Redacts() {
		return text
	}
	values, ids := make([]schema.Values, len(changes)), make([]string, len(changes))
	for i, c := range changes {
		values[i], ids[i] = c.Values, c.ID
	}
	if rows != nil {
		found, err := rows(ids)
		if err != nil {
			return unread
		}
		for _, row := range found {
			values = append(values, row.Values)
		}
	}
	return t.entity.Redact(text, values...)
}

// told is an error about changes without what it quotes of redacted fields.
func (t *table) told(err error, changes []schema.Change, rows rowReader) error {
	if err == nil {
		return nil
	}
	if text := t.redact(err.Error(), changes, rows); text != err.Error() {
		return &redactedError{text, err}
	}
	return err
}

// rows reads rows within the batch's transaction.
func (b *batch) rows(ids []string) ([]schema.Row, error) { return b.tx.load(b.table, ids) }

// rowsUnless reads none where the database gave a statement up for its time: its message quotes nothing.
func (b *batch) rowsUnless(hung bool) rowReader {
	if hung {
		return nil
	}
	return b.rows
}

// rowsNow reads rows past a transaction that has ended.
func (s *Store) rowsNow(ctx context.Context, t *table) rowReader {
	return func(ids []string) ([]schema.Row, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 3*time.Second)
		defer cancel()
		return s.fitting(ids, func(ids []string) ([]schema.Row, error) { return s.load(s.read(ctx), t, ids) })
	}
}

// redactedError is an error of the database that quotes redacted values, told without them.
type redactedError struct {
	text string
	err  error
}

func (e *redactedError) Error() string { return e.text }
func (e *redactedError) Unwrap() error { return e.err }
