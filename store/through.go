package store

import (
	"context"
	"errors"
	"fmt"

	"github.com/afterwrite/afterwrite/schema"
)

// Through writes one record in a transaction of its own: it locks the fence, reads the row, has decide make the
// change, writes and commits. Redis must have noted the turns of [Flush.Before] and [Flush.Turn] when decide returns.
// beside, which may be nil, is given the records whose rows change with this one, before the commit.
//
// Errors: that of decide or beside; an [schema.Refusal]; else [fault.Unavailable]. written is the change, with its Row,
// where it was or, after a lost reply to COMMIT, may have been written.
func (s *Store) Through(ctx context.Context, e *schema.Entity, id string,
	decide func(ctx context.Context, row schema.Row, before, turn string) (schema.Change, error),
	beside func(context.Context, []schema.Beside) error) (written *schema.Change, err error) {
	t, err := s.table(e)
	if err != nil {
		return nil, err
	}
	f, err := s.hold(ctx, t, e.Partition(id), "through")
	if err != nil {
		return nil, err
	}
	defer f.Rollback()
	rows, err := f.tx.Load(t.Table, []string{id})
	if err != nil {
		return nil, fmt.Errorf("write through %s: %w", e.Name, err)
	}
	row := schema.Row{ID: id}
	if len(rows) == 1 && (rows[0].ID == id || rows[0].Foreign != "") { // not a row that another id names
		row = rows[0]
	}
	change, err := decide(ctx, row, f.Before(), f.Turn())
	if err != nil {
		return nil, err
	}
	f.unhurried = true
	outcome, err := f.Write(ctx, []schema.Change{change})
	switch {
	case err != nil:
		return nil, err
	case len(outcome.Refused) > 0:
		return nil, outcome.Refused[0].Refusal
	}
	if len(outcome.Beside) > 0 && beside != nil {
		if err := beside(ctx, outcome.Beside); err != nil {
			return nil, err
		}
	}
	err = f.Commit(ctx)
	var refused *SplitError
	if errors.As(err, &refused) {
		return nil, refused.Refusal
	}
	written = &change
	if len(outcome.Persisted) == 1 {
		written = &outcome.Persisted[0]
	}
	return written, err
}
