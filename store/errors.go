package store

import (
	"context"
	"time"

	"github.com/afterwrite/afterwrite/internal/redact"
	"github.com/afterwrite/afterwrite/schema"
)

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
	if !redact.Any(t.Entity) {
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
	return redact.Text(t.Entity, text, values...)
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
func (b *batch) rows(ids []string) ([]schema.Row, error) { return b.tx.Load(b.table.Table, ids) }

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
		return s.db.Fitting(t.Table, ids, s.loads(ctx, t))
	}
}

// redactedError is an error of the database that quotes redacted values, told without them.
type redactedError struct {
	text string
	err  error
}

func (e *redactedError) Error() string { return e.text }
func (e *redactedError) Unwrap() error { return e.err }
