package store

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/afterwrite/afterwrite/schema"
	"github.com/afterwrite/afterwrite/store/catalog"
	"github.com/afterwrite/afterwrite/store/internal/mapping"
)

// A foreign key may change rows beside those that a flush writes: ON DELETE CASCADE, SET NULL
// and SET DEFAULT, and ON UPDATE where it refers to a column that is not the key. The catalog
// tells which tables that are, through any number of others, so the flush selects the ids
// before its statement changes them, with the rows that they refer to locked: no other program can
// make another row in between. What a trigger changes no catalog tells; see
// Unseen.

const (
	besideMax   = 10_000 // ids of one entity in one flush; beyond, all of it is dropped from the cache
	besideDepth = 16     // tables of a chain
	besideKeys  = 200    // keys that are followed from one table
)

// dependent is a foreign key that the database follows, and where it leads.
type dependent struct {
	key  catalog.ForeignKey
	from string      // the referring table as a statement has it
	at   *table      // its entity's; nil: it has none here
	next []dependent // from its own rows
	cut  bool        // next is not all there is
}

// besides are the dependents of an entity's table.
type besides struct {
	deleted []dependent         // of rows that are deleted
	updated map[int][]dependent // of those of which a field changes, by its position
}

// besides reads where the keys lead from the entity's table.
func (t *table) besides(ctx context.Context, s *Store, q catalog.Querier, at *catalog.Table) (b besides, err error) {
	if len(at.References) == 0 {
		return b, nil
	}
	w := &walker{Store: s, ctx: ctx, q: q, read: map[string]*catalog.Table{}, left: besideKeys}
	if w.ids, err = s.db.Dialect.TableIDs(ctx, q, s.tableNames()); err != nil {
		return b, err
	}
	if b.deleted, err = w.walk(at, nil, 0); err != nil {
		return b, err
	}
	b.updated = map[int][]dependent{}
	for i := range t.Place {
		if t.Place[i] < t.Keys {
			continue // it never changes
		}
		there, ok := at.Column(t.Column(i).Name)
		if !ok {
			continue
		}
		found, err := w.walk(at, []string{there.Name}, 0)
		if err != nil {
			return b, err
		}
		if len(found) > 0 {
			b.updated[i] = found
		}
	}
	return b, nil
}

// walker follows foreign keys from table to table.
type walker struct {
	*Store
	ctx  context.Context
	q    catalog.Querier
	read map[string]*catalog.Table
	ids  []string // of the tables of the entities, in their order
	left int      // keys that it may still follow
}

// walk returns the keys that lead from a table whose rows are deleted, or of which some columns
// change. Chains that reach no entity are left out.
func (w *walker) walk(at *catalog.Table, changed []string, depth int) ([]dependent, error) {
	var found []dependent
	for _, key := range at.References {
		if !follows(key, changed) {
			continue
		}
		d := dependent{key: key, from: w.spell(key.Table), at: w.entityOf(key.TableID)}
		if w.left--; depth >= besideDepth || w.left < 0 {
			d.cut = true
		} else if err := w.on(&d, changed, depth); err != nil {
			return nil, err
		}
		if d.at != nil || len(d.next) > 0 {
			found = append(found, d)
		}
	}
	return found, nil
}

// on walks on from the rows that refer by a key.
func (w *walker) on(d *dependent, changed []string, depth int) (err error) {
	name := d.key.Table
	if w.read[name] == nil {
		if w.db.Dialect.CatalogOf() == catalog.PostgreSQL { // which spells names as identifiers
			w.read[name], err = catalog.ReadPostgres(w.ctx, w.q, name)
		} else {
			w.read[name], err = w.db.Dialect.Catalog(w.ctx, w.q, name)
		}
		if err != nil {
			return err
		}
	}
	if changed != nil || d.key.OnDelete != "CASCADE" {
		changed = d.key.Columns // the rows stay
	}
	d.next, err = w.walk(w.read[name], changed, depth+1)
	return err
}

// follows reports whether the database changes the rows that refer by a key, where the row that
// they refer to is deleted (changed is nil) or some of its columns change.
func follows(key catalog.ForeignKey, changed []string) bool {
	action := key.OnDelete
	if changed != nil {
		action = key.OnUpdate
		if !slices.ContainsFunc(key.RefColumns, func(c string) bool { return slices.Contains(changed, c) }) {
			return false
		}
	}
	return catalog.Follows(action)
}

// spell is a table of the catalog as a statement has it: PostgreSQL's catalog spells names as
// identifiers.
func (s *Store) spell(name string) string {
	if s.db.Dialect.CatalogOf() == catalog.PostgreSQL {
		return name
	}
	return mapping.QuoteTable(name)
}

// entityOf is the entity over a table of the catalog, or nil. A name alone does not say which one it is: it may be
// found by a search path.
func (w *walker) entityOf(id string) *table {
	for i, t := range w.entries {
		if w.ids[i] == id {
			return t
		}
	}
	return nil
}

func (s *Store) tableNames() []string {
	names := make([]string, len(s.entries))
	for i, t := range s.entries {
		names[i] = t.Name
	}
	return names
}

// beside notes what the database will change beside the changes, which are to be written by
// the next statement: all of them deletions, or none.
func (b *batch) beside(changes []schema.Change) error {
	if len(changes) > 0 {
		b.followed = b.followed || slices.ContainsFunc(b.known.at.References, func(key catalog.ForeignKey) bool {
			if changes[0].Deleted {
				return catalog.Follows(key.OnDelete)
			}
			return catalog.Follows(key.OnUpdate)
		})
	}
	deleted := b.known.besides.deleted
	if len(changes) == 0 || len(deleted)+len(b.known.besides.updated) == 0 {
		return nil
	}
	if changes[0].Deleted {
		return b.follow(changes, deleted)
	}
	for i, found := range b.known.besides.updated {
		var some []schema.Change
		for _, c := range changes {
			if c.Writes(i) {
				some = append(some, c)
			}
		}
		if err := b.follow(some, found); err != nil {
			return err
		}
	}
	return nil
}

func (b *batch) follow(changes []schema.Change, found []dependent) error {
	if len(changes) == 0 || len(found) == 0 {
		return nil
	}
	for some := range slices.Chunk(changes, b.table.IDs) {
		keys, err := b.keysOf(some)
		if err != nil {
			return err
		}
		name := mapping.QuoteTable(b.table.Name)
		condition := b.table.Among(len(some))
		if b.tx.Database.Dialect.CatalogOf() != catalog.SQLite { // which has one writer
			var locked []int
			err := b.tx.DB.Raw("SELECT 1 FROM "+name+" WHERE "+condition+" FOR UPDATE", keys...).Scan(&locked).Error
			if err != nil {
				return err
			}
			if len(locked) == 0 {
				continue
			}
		}
		for _, d := range found {
			if err := b.reach(d, name, condition, keys); err != nil {
				return err
			}
		}
	}
	return nil
}

// reach selects the rows that refer to those of a table that meet a condition, and goes on
// from them.
func (b *batch) reach(d dependent, of, condition string, parameters []any) error {
	here := "(" + qualified(d.from, d.key.Columns) + ") IN (SELECT " + qualified(of, d.key.RefColumns) + " FROM " + of +
		" WHERE " + condition + ")"
	some, err := b.referring(d, here, parameters)
	if err != nil || !some {
		return err
	}
	if d.cut && d.at != nil {
		b.found(d.at.Entity).all = true
	}
	for _, next := range d.next {
		if err := b.reach(next, d.from, here, parameters); err != nil {
			return err
		}
	}
	return nil
}

func qualified(table string, columns []string) string {
	names := make([]string, len(columns))
	for i, c := range columns {
		names[i] = table + "." + mapping.Quote(c)
	}
	return strings.Join(names, ", ")
}

// referring notes the records of an entity that meet a condition, and reports whether any row
// does.
func (b *batch) referring(d dependent, condition string, parameters []any) (some bool, err error) {
	if d.at == nil {
		var one []int
		err := b.tx.DB.Raw("SELECT 1 FROM "+d.from+" WHERE "+condition+" LIMIT 1", parameters...).Scan(&one).Error
		return len(one) > 0, err
	}
	if err := b.tx.Database.Foldable(b.tx.DB.Statement.Context, d.at.Table); err != nil {
		return false, err
	}
	seen := d.at.Seen()
	query := d.at.Scope(b.tx.DB).Select(d.at.Shown[:d.at.Keys]).Where(condition, parameters...).Limit(besideMax + 1)
	if err := query.Find(seen.Interface()).Error; err != nil {
		return false, err
	}
	noted := b.found(d.at.Entity)
	for i := range seen.Elem().Len() {
		if id, foreign := d.at.ID(seen.Elem().Index(i)); foreign == "" {
			noted.ids[id] = true
		}
	}
	noted.all = noted.all || len(noted.ids) > besideMax
	return seen.Elem().Len() > 0, nil
}

// noted are records of one entity that the database changes beside the batch.
type noted struct {
	ids map[string]bool
	all bool
}

func (b *batch) found(e *schema.Entity) *noted {
	if b.besides == nil {
		b.besides = map[*schema.Entity]*noted{}
	}
	if b.besides[e] == nil {
		b.besides[e] = &noted{ids: map[string]bool{}}
	}
	return b.besides[e]
}

// besideOf are the records that were noted.
func (b *batch) besideOf() []schema.Beside {
	var all []schema.Beside
	for e, noted := range b.besides {
		switch {
		case noted.all:
			all = append(all, schema.Beside{Entity: e, All: true})
		case len(noted.ids) > 0:
			all = append(all, schema.Beside{Entity: e, IDs: slices.Sorted(maps.Keys(noted.ids))})
		}
	}
	return all
}
