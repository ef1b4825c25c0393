package store

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/afterwrite/afterwrite/schema"
	"github.com/afterwrite/afterwrite/store/catalog"
	"github.com/afterwrite/afterwrite/store/fault"
)

// Draw takes the next numbers of the sequence of an entity's key (`id: {made: sequence}`), from 1 to n of them, as
// canonical ids. No other program and no other process gets one of them, whether or not a row is ever inserted: what is
// not used is a gap. When it returns, the numbers stay taken through a crash of the database.
//
// The error is [schema.ErrNoID] where the sequence gives none, and else that the database is unavailable.
func (s *Store) Draw(ctx context.Context, e *schema.Entity, n int) ([]string, error) {
	t, err := s.table(e)
	if err != nil {
		return nil, err
	}
	defer s.metrics.time("draw")()
	tx, err := s.begin(ctx)
	if err != nil {
		return nil, fmt.Errorf("draw ids of %s: %w", e.Name, err)
	}
	defer tx.rollback()
	numbers, err := t.draw(ctx, tx, n)
	if err != nil {
		return nil, fmt.Errorf("draw ids of %s: %w", e.Name, s.undrawn(t, err))
	}
	// A transaction that is rolled back need not be on the disk, and neither the numbers that it took.
	if err := tx.commit(); err != nil {
		return nil, fmt.Errorf("draw ids of %s: %w", e.Name, s.unavailable("commit", err))
	}
	ids := make([]string, len(numbers))
	for i, number := range numbers {
		ids[i] = strconv.FormatInt(number, 10)
	}
	return ids, nil
}

func (t *table) draw(ctx context.Context, tx *transaction, n int) ([]int64, error) {
	known, err := t.fitting(tx)
	if err != nil {
		return nil, err
	}
	key, ok := known.at.Column(t.columns[0].name)
	if why, fix := catalog.JudgeSequence(tx.store.dialect.catalogOf(), known.at, key); !ok || why != "" {
		return nil, fmt.Errorf("%w: %s.%s: %s; %s", schema.ErrNoID, t.name, t.columns[0].name, why, fix)
	}
	numbers, err := tx.store.dialect.draw(ctx, tx, t, known.at, key, n)
	if err == nil && len(numbers) == 0 {
		err = fmt.Errorf("%w: %s: its sequence returned nothing", schema.ErrNoID, t.name)
	}
	return numbers, err
}

// undrawn sorts the errors of a draw: the table's own, which only an operator ends, and the database's.
func (s *Store) undrawn(t *table, err error) error {
	_, refused := s.dialect.classify(err)
	switch {
	case errors.Is(err, schema.ErrNoID):
		return err
	case s.dialect.missing(err):
		return &schema.SchemaError{Entity: t.entity.Name, Table: t.name, Err: err}
	case errors.Is(err, fault.ErrUnfit), refused, s.dialect.ofTable(err):
		return fmt.Errorf("%w: %w", schema.ErrNoID, err)
	}
	return s.unavailable("draw from the sequence of "+t.name, err)
}

// numbersOf reads the numbers that a query returns.
func numbersOf(ctx context.Context, tx *transaction, query string, args ...any) ([]int64, error) {
	rows, err := tx.tx.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var numbers []int64
	for rows.Next() {
		var n int64
		if err := rows.Scan(&n); err != nil {
			return nil, err
		}
		numbers = append(numbers, n)
	}
	return numbers, rows.Err()
}

// draw evaluates what gives an inserted row its number, as often as there are numbers to draw.
func (*postgres) draw(ctx context.Context, tx *transaction, t *table, _ *catalog.Table, key catalog.Column, n int) (
	[]int64, error) {
	if key.Identity != catalog.NoIdentity {
		return numbersOf(ctx, tx, `SELECT nextval(s.name) FROM (SELECT pg_get_serial_sequence($1, $2)::regclass AS name) s,
			generate_series(1, $3::int)`, quoteTable(t.name), key.Name, n)
	}
	return numbersOf(ctx, tx, "SELECT "+key.Default+" FROM generate_series(1, $1::int)", n)
}

// draw raises the number that the table notes as its last one. SQLite goes on from that or from the largest row,
// whichever is the greater.
func (*sqlite) draw(ctx context.Context, tx *transaction, t *table, at *catalog.Table, key catalog.Column, n int) (
	[]int64, error) {
	const name = "(SELECT name FROM sqlite_schema WHERE type = 'table' AND name = ? COLLATE NOCASE)"
	_, err := tx.tx.ExecContext(ctx, "INSERT INTO sqlite_sequence (name, seq) SELECT name, 0 FROM "+name+
		" WHERE name NOT IN (SELECT name FROM sqlite_sequence)", at.Name)
	if err != nil {
		return nil, err
	}
	last, err := numbersOf(ctx, tx, "UPDATE sqlite_sequence SET seq = max(seq, (SELECT coalesce(max("+quote(key.Name)+"), 0) FROM "+
		quoteTable(t.name)+")) + ? WHERE name = "+name+" RETURNING seq", n, at.Name)
	if err != nil || len(last) == 0 {
		return nil, err
	}
	numbers := make([]int64, n)
	for i := range numbers {
		numbers[i] = last[0] - int64(n) + 1 + int64(i)
	}
	return numbers, nil
}
