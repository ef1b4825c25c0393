package store

import (
	"context"
	"errors"
	"fmt"

	"github.com/afterwrite/afterwrite/schema"
)

// Through writes one record in a transaction of its own: it locks the partition's fence,
// reads the record's row, has decide make the change of it, writes that and commits. When
// it returns nil the change is durable, and after every write of the record that was
// committed before.
//
// Errors: that of decide, as it is; an [schema.Refusal] where the database does not
// take the change; else [Unavailable]. committed is false where nothing was written, and
// true where something was or, after a lost reply to COMMIT, may have been.
func (s *Store) Through(ctx context.Context, e *schema.Entity, id string, decide func(context.Context, schema.Row) (schema.Change, error)) (committed bool, err error) {
	t, err := s.table(e)
	if err != nil {
		return false, err
	}
	defer s.metrics.time("through")()
	tx, err := s.begin(ctx)
	if err != nil {
		return false, err
	}
	defer tx.rollback() // after a commit it does nothing
	if _, err := tx.lock(e.Name, e.Partition(id)); err != nil {
		return false, err
	}
	rows, err := tx.load(t, []string{id})
	if err != nil {
		return false, fmt.Errorf("write through %s: %w", e.Name, err)
	}
	row := schema.Row{ID: id}
	if len(rows) == 1 {
		row = rows[0]
	}
	change, err := decide(ctx, row)
	if err != nil {
		return false, err
	}
	f := flush{store: s, table: t}
	b := &batch{tx: tx, table: t, until: f.patience(ctx)}
	if err := b.write([]schema.Change{change}); err != nil {
		return false, err
	}
	if len(b.flushed.Refused) > 0 {
		return false, b.flushed.Refused[0].Refusal
	}
	if _, err = f.commit(tx, b); err == nil {
		return true, nil
	}
	var refused *commitRefused
	if errors.As(err, &refused) {
		return false, refused.refusal
	}
	return true, err
}
