package store

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"gorm.io/gorm"

	"github.com/afterwrite/afterwrite/schema"
	"github.com/afterwrite/afterwrite/store/internal/database"
	"github.com/afterwrite/afterwrite/store/internal/kit"
)

// MaxListLimit is the most rows of a list.
const MaxListLimit = kit.MaxRows

// Load reads the committed rows of canonical ids at the primary, as canonical values or a [schema.ForeignValue]; ids
// without a row are absent.
func (s *Store) Load(ctx context.Context, e *schema.Entity, ids []string) (map[string]schema.Values, error) {
	t, err := s.table(e)
	if err != nil {
		return nil, err
	}
	defer s.db.Metrics.Time("load")()
	found := make(map[string]schema.Values, len(ids))
	for some := range slices.Chunk(ids, t.IDs) {
		rows, err := s.db.Fitting(t.Table, some, s.loads(ctx, t))
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

// loads reads a part of the committed rows of ids.
func (s *Store) loads(ctx context.Context, t *table) func(ids []string, p database.Part) ([]schema.Row, error) {
	return func(ids []string, p database.Part) ([]schema.Row, error) {
		return s.db.Afresh(s.db.Read(ctx), func(db *gorm.DB) ([]schema.Row, error) {
			return s.db.Load(db, t.Table, ids, p)
		})
	}
}

// Query selects the rows of a list.
type Query struct {
	After string         // id after which the list goes on; "" is the start
	Limit int            // rows at most, up to MaxListLimit; 0: 100
	Equal map[int]string // field position → canonical text that its value must have
}

// List returns rows in the order of their keys' index: ints by number, texts by their column's collation (by bytes in
// tables that Migrate makes), composite keys part by part. A filter on null matches NULL. Page on with the last row's
// id. Rows with a null or empty id are left out, foreign ones are not: see [schema.Entity.ForeignRow].
func (s *Store) List(ctx context.Context, e *schema.Entity, q Query) ([]schema.Row, error) {
	t, err := s.table(e)
	if err != nil {
		return nil, err
	}
	defer s.db.Metrics.Time("list")()
	texts := false
	find := func(p database.Part) ([]schema.Row, error) {
		return s.db.Afresh(s.db.Read(ctx), func(db *gorm.DB) ([]schema.Row, error) {
			query, err := s.listQuery(db, t, q, texts)
			if err != nil {
				return nil, err
			}
			return s.db.Find(t.Table, query, p)
		})
	}
	rows, err := s.db.Listed(t.Table, find, s.loads(ctx, t))
	if s.db.Dialect.Incomparable(err) && len(q.Equal) > 0 {
		texts = true
		rows, err = s.db.Listed(t.Table, find, s.loads(ctx, t))
	}
	if err != nil {
		return nil, fmt.Errorf("list %s: %w", e.Name, err)
	}
	return rows, nil
}

// listQuery compares texts alone where a filter's column has a type without equality.
func (s *Store) listQuery(db *gorm.DB, t *table, q Query, texts bool) (*gorm.DB, error) {
	query := t.Scope(db).Order(strings.Join(t.KeyAt(), ", ")).Limit(kit.Rows(q.Limit))
	switch {
	case t.Composite(): // a part can be empty, but no page ends behind one that is null
		query = query.Where(strings.Join(t.KeyAt(), " IS NOT NULL AND ") + " IS NOT NULL")
	case q.After == "": // no page ends behind an id that is null or empty, which no record has
		// By length: where a collation pads with blanks, " " is no other text than "".
		query = query.Where("length(" + s.db.Dialect.Shows(t.Spelled(0), schema.String) + ") > 0")
	}
	if q.After != "" {
		condition, after := t.Beyond(s.db.Dialect, q.After)
		query = query.Where(condition, after...)
	}
	for _, i := range slices.Sorted(maps.Keys(q.Equal)) {
		if i < 0 || i >= len(t.Entity.Fields) {
			return nil, fmt.Errorf("there is no field %d", i)
		}
		c := t.Column(i)
		if q.Equal[i] == schema.Null {
			query = query.Where(t.Of(i) + " IS NULL")
			continue
		}
		value, err := c.Parameter(q.Equal[i])
		if err != nil {
			return nil, schema.Invalid(c.Field.Name, "%v", err)
		}
		equal := s.db.Dialect.Equal(t.Of(i), c.Field.Type)
		if texts && (c.Field.Type == schema.String || c.Field.Type == schema.Text) {
			equal = s.db.Dialect.Shows(t.Of(i), c.Field.Type) + " = ?"
		}
		if t.Place[i] < t.Keys { // it tells all texts apart, and its index is of use
			equal = t.Of(i) + " = ?"
		}
		query = query.Where(equal, slices.Repeat([]any{value}, strings.Count(equal, "?"))...)
	}
	return query, nil
}
