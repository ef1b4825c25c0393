package store

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"gorm.io/gorm"

	"github.com/afterwrite/afterwrite/schema"
)

// Bounds of a list.
const (
	DefaultListLimit = 100
	MaxListLimit     = 10_000
)

// limit bounds the rows of a page.
func limit(n int) int {
	if n <= 0 {
		n = DefaultListLimit
	}
	return min(n, MaxListLimit)
}

// Load reads the rows of ids, each as canonical values; ids without a row are absent
// from the answer. It reads what is committed at the primary. The ids must be
// canonical. A value that its field cannot show is a [schema.ForeignValue].
func (s *Store) Load(ctx context.Context, e *schema.Entity, ids []string) (map[string]schema.Values, error) {
	t, err := s.table(e)
	if err != nil {
		return nil, err
	}
	defer s.metrics.time("load")()
	found := make(map[string]schema.Values, len(ids))
	for some := range slices.Chunk(ids, t.ids) {
		rows, err := s.fitting(some, func(ids []string) ([]schema.Row, error) { return s.load(s.read(ctx), t, ids) })
		if err != nil {
			return nil, fmt.Errorf("load %d records of %s: %w", len(ids), e.Name, err)
		}
		for _, row := range rows {
			if row.Foreign == "" {
				found[row.ID] = row.Values
			}
		}
	}
	return found, nil
}

// fitting reads the rows of those of the ids that their column can hold: there are no
// others. Where the database refuses a query for one such id, its halves are read.
func (s *Store) fitting(ids []string, load func(ids []string) ([]schema.Row, error)) ([]schema.Row, error) {
	rows, err := load(ids)
	if !s.unfit(err) {
		return rows, err
	}
	if len(ids) == 1 {
		return nil, nil
	}
	first, err := s.fitting(ids[:len(ids)/2], load)
	if err != nil {
		return nil, err
	}
	second, err := s.fitting(ids[len(ids)/2:], load)
	return append(first, second...), err
}

// unfit reports whether a query failed for a value that a column cannot hold, such as a
// number beyond an integer in a table that was made by hand.
func (s *Store) unfit(err error) bool {
	r, ok := s.dialect.classify(err)
	return ok && (r.Kind == schema.KindType || r.Kind == schema.KindRange)
}

func (s *Store) load(db *gorm.DB, t *table, ids []string) ([]schema.Row, error) {
	keys, err := t.keysOf(ids)
	if err != nil {
		return nil, err
	}
	return s.find(t, t.scope(db).Where(t.among(len(ids)), keys...))
}

// find runs a query on the entity's table and reads its rows.
func (s *Store) find(t *table, query *gorm.DB) ([]schema.Row, error) {
	if err := s.foldable(query.Statement.Context, t); err != nil {
		return nil, err
	}
	seen := t.seen()
	if err := query.Select(t.shown).Find(seen.Interface()).Error; err != nil {
		if s.dialect.missing(err) {
			err = &schema.SchemaError{Entity: t.entity.Name, Table: t.name, Err: err}
		}
		return nil, s.unavailable("select from "+t.name, err)
	}
	return t.rowsOf(seen), nil
}

// Query selects the rows of a list.
type Query struct {
	After string         // id after which the list goes on; "" is the start
	Limit int            // rows at most, up to MaxListLimit; 0: DefaultListLimit
	Equal map[int]string // field position → canonical text that its value must have
}

// List returns persisted rows in the order of their ids: by bytes for strings, by
// number for ints; those of a composite key by its first part, then by the next. A filter
// on null matches NULL. Page on with the last row's id. Rows with an id that is null or
// empty are left out, those with foreign ids and values are among them: see
// [schema.Entity.ForeignRow].
func (s *Store) List(ctx context.Context, e *schema.Entity, q Query) ([]schema.Row, error) {
	t, err := s.table(e)
	if err != nil {
		return nil, err
	}
	defer s.metrics.time("list")()
	query, err := s.listQuery(ctx, t, q)
	if err != nil {
		return nil, fmt.Errorf("list %s: %w", e.Name, err)
	}
	rows, err := s.find(t, query)
	if s.unfit(err) {
		return nil, nil // no row has a value that its column cannot hold
	}
	if err != nil {
		return nil, fmt.Errorf("list %s: %w", e.Name, err)
	}
	return rows, nil
}

func (s *Store) listQuery(ctx context.Context, t *table, q Query) (*gorm.DB, error) {
	order, err := s.ordered(ctx, t)
	if err != nil {
		return nil, err
	}
	query := t.scope(s.read(ctx)).Order(strings.Join(order, ", ")).Limit(limit(q.Limit))
	switch {
	case t.composite(): // a part can be empty, but no page ends behind one that is null
		query = query.Where(strings.Join(t.keyAt(), " IS NOT NULL AND ") + " IS NOT NULL")
	case q.After == "": // no page ends behind an id that is null or empty, which no record has
		// By length: where a collation pads with blanks, " " is no other text than "".
		query = query.Where("length(" + s.dialect.shows(t.at(0), schema.String) + ") > 0")
	}
	if q.After != "" {
		condition, after := t.beyond(s.dialect, order, q.After)
		query = query.Where(condition, after...)
	}
	for _, i := range slices.Sorted(maps.Keys(q.Equal)) {
		if i < 0 || i >= len(t.entity.Fields) {
			return nil, fmt.Errorf("there is no field %d", i)
		}
		c := t.column(i)
		if q.Equal[i] == schema.Null {
			query = query.Where(t.of(i) + " IS NULL")
			continue
		}
		value, err := c.parameter(q.Equal[i])
		if err != nil {
			return nil, schema.Invalid(c.field.Name, "%v", err)
		}
		equal := s.dialect.equal(t.of(i), c.field.Type)
		if t.place[i] < t.keys { // it tells all texts apart, and its index is of use
			equal = t.of(i) + " = ?"
		}
		query = query.Where(equal, value)
	}
	return query, nil
}
