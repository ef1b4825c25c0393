package store

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/afterwrite/afterwrite/schema"
	"github.com/afterwrite/afterwrite/store/catalog"
	"github.com/afterwrite/afterwrite/store/fault"
	"github.com/afterwrite/afterwrite/store/internal/database"
)

// Draw takes 1 to n numbers of the sequence of an entity's key, as canonical ids; unused ones are gaps. The error is
// [schema.ErrNoID] where it gives none, else [fault.Unavailable].
func (s *Store) Draw(ctx context.Context, e *schema.Entity, n int) ([]string, error) {
	t, err := s.table(e)
	if err != nil {
		return nil, err
	}
	defer s.db.Metrics.Time("draw")()
	tx, err := s.db.Begin(ctx)
	if err != nil {
		return nil, fmt.Errorf("draw ids of %s: %w", e.Name, err)
	}
	defer tx.Rollback()
	numbers, err := t.draw(ctx, tx, n)
	if err != nil {
		return nil, fmt.Errorf("draw ids of %s: %w", e.Name, s.undrawn(t, err))
	}
	// A transaction that is rolled back need not be on the disk, and neither the numbers that it took.
	if err := tx.Commit(); err != nil {
		return nil, fmt.Errorf("draw ids of %s: %w", e.Name, s.db.Unavailable("commit", err))
	}
	ids := make([]string, len(numbers))
	for i, number := range numbers {
		ids[i] = strconv.FormatInt(number, 10)
	}
	return ids, nil
}

func (t *table) draw(ctx context.Context, tx *database.Transaction, n int) ([]int64, error) {
	known, err := t.fitting(tx)
	if err != nil {
		return nil, err
	}
	key, ok := known.at.Column(t.Columns[0].Name)
	if why, fix := catalog.JudgeSequence(tx.Database.Dialect.CatalogOf(), known.at, key); !ok || why != "" {
		return nil, fmt.Errorf("%w: %s.%s: %s; %s", schema.ErrNoID, t.Name, t.Columns[0].Name, why, fix)
	}
	numbers, err := tx.Database.Dialect.Draw(ctx, tx, t.Table, known.at, key, n)
	if err == nil && len(numbers) == 0 {
		err = fmt.Errorf("%w: %s: its sequence returned nothing", schema.ErrNoID, t.Name)
	}
	return numbers, err
}

// undrawn sorts the errors of a draw: the table's own, which only an operator ends, and the database's.
func (s *Store) undrawn(t *table, err error) error {
	t.forget() // a right that is granted changes no mark
	_, refused := s.db.Dialect.Classify(err)
	switch {
	case errors.Is(err, schema.ErrNoID):
		return err
	case s.db.Dialect.Missing(err):
		return &schema.SchemaError{Entity: t.Entity.Name, Table: t.Name, Err: err}
	case errors.Is(err, fault.ErrUnfit), refused, s.db.Dialect.OfTable(err):
		return fmt.Errorf("%w: %w", schema.ErrNoID, err)
	}
	return s.db.Unavailable("draw from the sequence of "+t.Name, err)
}
