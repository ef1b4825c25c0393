package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/afterwrite/afterwrite/schema"
	"github.com/afterwrite/afterwrite/store/fault"
)

// unavailable wraps an error of the database about op; nil stays nil.
func (s *Store) unavailable(op string, err error) error {
	if err == nil {
		return nil
	}
	if s.dialect.missing(err) || errors.Is(err, schema.ErrSchema) {
		err = fmt.Errorf("%w: %w", fault.ErrNotMigrated, err)
	}
	if s.dialect.readOnly(err) {
		s.stale.Store(true)
	}
	return &fault.Error{
		Op: op, Err: err, Away: s.dialect.away(err), Conflict: s.dialect.conflict(err),
		Blocked: s.dialect.blocked(err), Late: s.late(err) || errors.Is(err, context.DeadlineExceeded),
		OfTable: errors.Is(err, fault.ErrUnfit) || s.dialect.ofTable(err),
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
