package database

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"github.com/afterwrite/afterwrite/schema"
	"github.com/afterwrite/afterwrite/store/catalog"
	"github.com/afterwrite/afterwrite/store/internal/mapping"
)

// Part is what a query reads of the rows that it finds. The zero Part is all of their columns.
type Part struct {
	Columns []string // as [mapping.Table.Shown] has them; nil: all
	None    bool     // no row: it fails for what the statement is alone
}

// Fitting reads the rows of those of the ids that their column can hold: there are no
// others. Where the database refuses a query for one such id, or cannot read one of the rows,
// its halves are read.
func (s *Database) Fitting(t *mapping.Table, ids []string, load func(ids []string, p Part) ([]schema.Row, error)) (
	[]schema.Row, error) {
	rows, err := load(ids, Part{})
	if err == nil || !s.ofData(err) {
		return rows, err
	}
	_, none := load(ids, Part{None: true})
	switch {
	case none != nil && !s.Unfit(none): // of the statement, or of the database
		return nil, err
	case len(ids) > 1:
		first, err := s.Fitting(t, ids[:len(ids)/2], load)
		if err != nil {
			return nil, err
		}
		second, err := s.Fitting(t, ids[len(ids)/2:], load)
		return append(first, second...), err
	case none != nil: // its column cannot hold the id
		return nil, nil
	}
	return s.apart(t, ids, load)
}

// apart reads a row of which the database cannot read some columns, as where a generated one fails on what another
// program has written. Those are foreign.
func (s *Database) apart(t *mapping.Table, id []string, load func(ids []string, p Part) ([]schema.Row, error)) (
	[]schema.Row, error) {
	columns, failed := slices.Clone(t.Shown[:t.Keys]), map[int]error{}
	for i, place := range t.Place {
		if place < t.Keys {
			continue
		}
		_, err := load(id, Part{Columns: append(slices.Clone(t.Shown[:t.Keys]), t.Shown[place])})
		switch {
		case err == nil:
			columns = append(columns, t.Shown[place])
		case s.ofData(err):
			failed[i] = err
		default:
			return nil, err
		}
	}
	rows, err := load(id, Part{Columns: columns})
	if err != nil && s.ofData(err) { // as of a policy of row-level security that fails
		row := schema.Row{ID: id[0], Exists: true, Values: make(schema.Values, len(t.Place))}
		for i := range row.Values {
			row.Values[i] = schema.ForeignValue(t.Unreadable(err))
		}
		return []schema.Row{row}, nil
	}
	for _, row := range rows {
		for i, err := range failed {
			row.Values[i] = schema.ForeignValue(t.Unreadable(err))
		}
	}
	return rows, err
}

// Listed reads a page of rows. Where the database cannot read one of them, it reads their keys, and the rows by those.
// A query for a value that a column cannot hold finds none.
func (s *Database) Listed(t *mapping.Table, find func(p Part) ([]schema.Row, error),
	load func(ids []string, p Part) ([]schema.Row, error)) ([]schema.Row, error) {
	rows, err := find(Part{})
	if err == nil || !s.ofData(err) {
		return rows, err
	}
	if _, none := find(Part{None: true}); s.Unfit(none) {
		return nil, nil
	} else if none != nil {
		return nil, err
	}
	if rows, err = find(Part{Columns: t.Shown[:t.Keys]}); err != nil {
		return nil, err
	}
	for n, row := range rows {
		if row.Foreign != "" {
			continue
		}
		found, err := s.Fitting(t, []string{row.ID}, load)
		if err != nil {
			return nil, err
		}
		if len(found) == 1 {
			rows[n] = found[0]
		} else { // it is gone meanwhile
			rows[n].Exists = false
		}
	}
	return slices.DeleteFunc(rows, func(row schema.Row) bool { return !row.Exists }), nil
}

// ofData reports whether an error may be of a value or a row, and not of the statement or the database.
func (s *Database) ofData(err error) bool {
	d := s.Dialect
	if _, ok := d.Classify(err); ok {
		return true
	}
	return d.Suspect(err) && !s.late(err) && !d.Away(err) && !d.Conflict(err) && !d.Missing(err) && !d.Denied(err)
}

// Unfit reports whether a query failed for a value that a column cannot hold, such as a
// number beyond an integer in a table that was made by hand.
func (s *Database) Unfit(err error) bool {
	r, ok := s.Dialect.Classify(err)
	return ok && (r.Kind == schema.KindType || r.Kind == schema.KindRange)
}

// Afresh runs a query. If it is refused for a value that a column cannot hold, it is sent once more, as a text that no
// session has seen: those of PostgreSQL keep the types of a text's parameters, and the column may have a wider type
// since.
func (s *Database) Afresh(db *gorm.DB, find func(db *gorm.DB) ([]schema.Row, error)) ([]schema.Row, error) {
	rows, err := find(db)
	if s.Unfit(err) && s.Dialect.CatalogOf() == catalog.PostgreSQL {
		return find(db.Where("'" + rand.Text() + "' <> ''"))
	}
	return rows, err
}

// Load reads a part of the rows of ids.
func (s *Database) Load(db *gorm.DB, t *mapping.Table, ids []string, p Part) ([]schema.Row, error) {
	keys, err := t.KeysOf(ids)
	if err != nil {
		return nil, err
	}
	return s.Find(t, t.Scope(db).Where(t.Among(len(ids)), keys...), p)
}

// Find runs a query on the entity's table and reads a part of its rows.
func (s *Database) Find(t *mapping.Table, query *gorm.DB, p Part) ([]schema.Row, error) {
	if err := s.Foldable(query.Statement.Context, t); err != nil {
		return nil, err
	}
	if p.None {
		query = query.Where("1 = 0")
	}
	columns := p.Columns
	if columns == nil {
		columns = t.Shown
	}
	seen := t.Seen()
	if err := query.Select(columns).Find(seen.Interface()).Error; err != nil {
		if denied := s.Dialect.Denied(err); denied || s.Dialect.Missing(err) {
			err = &schema.SchemaError{Entity: t.Entity.Name, Table: t.Name, Denied: denied, Err: err}
		}
		return nil, s.Unavailable("select from "+t.Name, err)
	}
	return t.RowsOf(seen), nil
}

// Shape is what the catalog says about a table, as it was when it was first needed or read since.
func (s *Database) Shape(ctx context.Context, t *mapping.Table) (*catalog.Table, error) {
	if at := t.Shape.Load(); at != nil {
		return at, nil
	}
	at, err := s.Catalog(ctx, t.Name)
	if err == nil && at.Exists() {
		t.Shape.Store(at)
	}
	return at, err
}

// Foldable has the shape of a table read before its rows are, where it says how they are found: by
// UUIDs that are texts.
func (s *Database) Foldable(ctx context.Context, t *mapping.Table) error {
	if s.Dialect.CatalogOf() == catalog.PostgreSQL || !t.KeyHas(schema.UUID) {
		return nil
	}
	_, err := s.Shape(ctx, t)
	return err
}

// Change runs fn in a transaction on a connection that writes: all of it is committed, or
// nothing. The error is [fault.Unavailable], or what fn wrapped in an [OwnError].
func (s *Database) Change(ctx context.Context, op string, fn func(db *gorm.DB) error) error {
	defer s.Metrics.Time("change")()
	tx, err := s.Begin(ctx)
	if err != nil {
		return fmt.Errorf("%s: %w", op, err)
	}
	defer tx.Rollback()
	if err := fn(tx.DB); err != nil {
		var own *OwnError
		if errors.As(err, &own) {
			return fmt.Errorf("%s: %w", op, own.Err)
		}
		return s.Unavailable(op, err)
	}
	return s.Unavailable(op, tx.Commit())
}

// OwnError is an error inside a change that is not the database's.
type OwnError struct{ Err error }

// Error is that of the error inside.
func (e *OwnError) Error() string { return e.Err.Error() }

// Target is what a statement writes to: a table, and what is known of it.
type Target struct {
	*mapping.Table
	Catalog *catalog.Table // nil: the catalog was not read yet
	Plain   bool           // an INSERT that hits a row of the same id may update it
	Own     any            // what the dialect has prepared, see preparing
}

// UnfitError is a change that cannot even be sent: its values are not of its
// entity's fields, as after a change of the configuration.
type UnfitError struct{ error }

// Unfit is an error of a change that cannot be sent.
func Unfit(err error) error { return &UnfitError{err} }

// ErrNotPlain reports that an upsert has hit another unique key than the id's.
var ErrNotPlain = errors.New("the table has a unique key that it had not when its catalog was read")

// UpsertRows is an upsert with a parameter for each value, as gorm makes it.
func UpsertRows(tx *Transaction, to Target, changes []schema.Change, fields []int, overrides string) (written int64,
	err error) {
	rows, err := to.Fill(changes)
	if err != nil {
		return 0, Unfit(err)
	}
	conflict := to.Upsert
	if fields != nil {
		if conflict.DoUpdates = clause.AssignmentColumns(to.FieldNames(fields)); len(fields) == 0 {
			conflict.DoNothing = true
		}
	}
	db := to.Naming(to.Writing(tx.DB), fields)
	if to.Catalog == nil || to.Catalog.Rules == 0 {
		db = db.Clauses(conflict)
	}
	if overrides != "" {
		db.Statement.Clauses["VALUES"] = clause.Clause{Builder: func(c clause.Clause, b clause.Builder) {
			c.Expression.Build(overridingBuilder{b, overrides})
		}}
	}
	done := db.Create(rows)
	return done.RowsAffected, done.Error
}

// overridingBuilder puts words before VALUES.
type overridingBuilder struct {
	clause.Builder
	words string
}

// WriteString writes a part of the statement.
func (b overridingBuilder) WriteString(part string) (int, error) {
	if part == " VALUES " {
		part = " " + b.words + "VALUES "
	}
	return b.Builder.WriteString(part)
}

// UpdateEach is an update of SQL that every database has, a statement a row.
func UpdateEach(tx *Transaction, t *mapping.Table, changes []schema.Change, fields []int) (updated int64, err error) {
	for _, c := range changes {
		key, err := t.KeyParameters(c.ID)
		if err != nil {
			return 0, Unfit(fmt.Errorf("id %q: %w", c.ID, err))
		}
		values := make(map[string]any, len(fields))
		for _, i := range fields {
			if values[t.Column(i).Name], err = ValueOf(t, c, i); err != nil {
				return 0, err
			}
		}
		done := t.Scope(tx.DB).Where(t.Is(), key...).UpdateColumns(values)
		if done.Error != nil {
			return 0, done.Error
		}
		updated += done.RowsAffected
	}
	return updated, nil
}

// ValueOf is the value of a change's field as a parameter; nil is NULL.
func ValueOf(t *mapping.Table, c schema.Change, i int) (any, error) {
	if c.Values[i] == schema.Null {
		return nil, nil
	}
	v, err := t.Column(i).Parameter(c.Values[i])
	if err != nil {
		return nil, Unfit(fmt.Errorf("record %q: field %s: %w", c.ID, t.Column(i).Field.Name, err))
	}
	return v, nil
}

// Numbers reads the numbers that a query returns.
func Numbers(ctx context.Context, tx *Transaction, query string, args ...any) ([]int64, error) {
	rows, err := tx.Tx.QueryContext(ctx, query, args...)
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

// OneText is the one text of a query.
func OneText(ctx context.Context, q catalog.Querier, query string) (text string, err error) {
	texts, err := Texts(ctx, q, query)
	if len(texts) > 0 {
		text = texts[0]
	}
	return text, err
}

// Texts runs a query for one text per row.
func Texts(ctx context.Context, q catalog.Querier, query string, args ...any) (texts []string, err error) {
	rows, err := q.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var text string
		if err := rows.Scan(&text); err != nil {
			return nil, err
		}
		texts = append(texts, text)
	}
	return texts, rows.Err()
}
