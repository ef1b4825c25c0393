package store

import (
	"cmp"
	"context"
	"database/sql"
	"maps"
	"slices"

	"github.com/afterwrite/afterwrite/schema"
	"github.com/afterwrite/afterwrite/store/internal/database"
	"github.com/afterwrite/afterwrite/store/internal/mapping"
)

// culprits finds the changes that a refusal of their common statement is about, by
// one query where the constraint allows it: the value tells whether the refusal is
// curable. None means: unknown.
func (b *batch) culprits(r schema.Refusal, changes []schema.Change) (map[string]bool, error) {
	if changes[0].Deleted {
		return nil, nil
	}
	var found map[string]bool
	err := b.look(func() (err error) {
		switch r.Kind {
		case schema.KindUnique:
			found, err = b.owned(r, changes)
		case schema.KindForeignKey:
			found, err = b.orphans(r, changes)
		case schema.KindNotNull:
			found, err = b.nulls(r, changes)
		}
		return err
	})
	return found, err
}

// look runs the queries that find the refused. They find nothing where a neighbour has a
// value that cannot even be asked for, as it has none that its column can hold.
func (b *batch) look(query func() error) error {
	failed, ended := b.tx.Look(query)
	if ended == nil && b.tx.Database.Unfit(failed) {
		return nil
	}
	return b.tx.Database.Unavailable("find the refused", cmp.Or(ended, failed))
}

// field returns the position of a column among the entity's fields, or -1.
func (t *table) field(name string) int {
	for _, c := range t.Columns {
		if c.Name == name {
			return c.At
		}
	}
	return -1
}

// locate adds the column to a refusal of which the database tells the constraint
// only.
func (b *batch) locate(r schema.Refusal, changes []schema.Change) (schema.Refusal, error) {
	if r.Column != "" || changes[0].Deleted || (r.Kind != schema.KindUnique && r.Kind != schema.KindForeignKey) {
		return r, nil
	}
	column, err := b.constrained(r)
	if err != nil {
		return r, b.tx.Database.Unavailable("find the column of "+r.Constraint, err)
	}
	r.Column = column
	return r, nil
}

// located is a refusal at COMMIT with its column, as far as that can be found: the
// transaction that was refused is gone, and its refusal stands without.
func (f *Flush) located(ctx context.Context, r schema.Refusal, c schema.Change) schema.Refusal {
	b := &batch{tx: &database.Transaction{Database: f.store.db, DB: f.store.db.Read(ctx)}, table: f.table}
	found, err := b.locate(r, []schema.Change{c})
	if err != nil {
		return r
	}
	return found
}

// constrained is the one column that the refusing constraint is about, or "".
func (b *batch) constrained(r schema.Refusal) (string, error) {
	if r.Kind == schema.KindUnique {
		columns := map[string]bool{}
		for _, x := range b.table.refusing(r) {
			if len(x.Parts) != 1 || x.Where != "" {
				return "", nil
			}
			columns[x.Parts[0].Column] = true
		}
		if len(columns) != 1 {
			return "", nil
		}
		return slices.Collect(maps.Keys(columns))[0], nil
	}
	// It is looked up once: a constraint that gets other columns under its old name only costs the way of finding its
	// culprits by one query.
	if known, ok := b.table.located.Load(r.Constraint); ok {
		return known.(string), nil
	}
	keys, err := b.tx.Database.Dialect.ForeignKeys(b.tx.DB, b.table.Name, r)
	if err != nil {
		return "", err
	}
	column := ""
	if len(keys) == 1 {
		column = keys[0].Column
	}
	b.table.located.Store(r.Constraint, column)
	return column, nil
}

// nulls are the changes without a value in a column that must have one. A column
// that is not the entity's has none in all new rows.
func (b *batch) nulls(r schema.Refusal, changes []schema.Change) (map[string]bool, error) {
	if r.Column == "" {
		return nil, nil
	}
	found := map[string]bool{}
	i := b.table.field(r.Column)
	if i < 0 {
		there, err := b.there(changes)
		for _, c := range changes {
			if !there[c.ID] {
				found[c.ID] = false
			}
		}
		return found, err
	}
	for _, c := range changes {
		if c.Values[i] == schema.Null && c.Writes(i) {
			found[c.ID] = false
		}
	}
	return found, nil
}

// owned are the changes whose unique value belongs to another row now, or to an
// earlier change of the batch. It is curable if that row is of the batch, too.
func (b *batch) owned(r schema.Refusal, changes []schema.Change) (map[string]bool, error) {
	keys := b.table.withKeys(nil, r)
	if len(keys) != 1 || keys[0].where != "" { // which changes meet a condition only the database can tell
		return nil, nil
	}
	owners, err := b.owners(keys[0], changes)
	if err != nil {
		return nil, err
	}
	found := map[string]bool{}
	for _, c := range byVersion(changes) {
		value, wants := keys[0].of(c)
		if !wants {
			continue
		}
		if owner, ok := owners[value]; ok && owner != c.ID {
			found[c.ID] = b.ids()[owner]
		} else {
			owners[value] = c.ID
		}
	}
	return found, nil
}

// byVersion orders changes as they were accepted: the first to take a value keeps it.
func byVersion(changes []schema.Change) []schema.Change {
	return slices.SortedFunc(slices.Values(changes), func(a, b schema.Change) int {
		return int(max(-1, min(1, a.Version-b.Version)))
	})
}

// wanted are the values of a field in the changes, as parameters.
func (b *batch) wanted(i int, changes []schema.Change) []any {
	var values []any
	for _, c := range changes {
		if c.Values[i] == schema.Null || !c.Writes(i) {
			continue
		}
		if v, err := b.table.Column(i).Parameter(c.Values[i]); err == nil {
			values = append(values, v)
		}
	}
	return values
}

// orphans are the changes that refer to a row which does not exist. It is curable if
// that row would be in the same table.
func (b *batch) orphans(r schema.Refusal, changes []schema.Change) (map[string]bool, error) {
	keys, err := b.tx.Database.Dialect.ForeignKeys(b.tx.DB, b.table.Name, r)
	if err != nil {
		return nil, err
	}
	found := map[string]bool{}
	for _, key := range keys {
		i := b.table.field(key.Column)
		if i < 0 || key.RefColumn == "" {
			continue
		}
		parents, err := b.parents(key, i, changes)
		if err != nil {
			return nil, err
		}
		for _, c := range changes {
			if value := c.Values[i]; value != schema.Null && c.Writes(i) && !parents[value] {
				found[c.ID] = found[c.ID] || key.Self
			}
		}
	}
	return found, nil
}

// parents are the values that the changes refer to and that are there. Those that
// the batch itself brings may be missed: they are tried once more when it is written.
func (b *batch) parents(key database.ForeignKey, i int, changes []schema.Change) (map[string]bool, error) {
	parents := map[string]bool{}
	for some := range slices.Chunk(b.wanted(i, changes), b.table.IDs) {
		var present []sql.NullString
		err := b.tx.DB.Raw("SELECT "+mapping.Quote(key.RefColumn)+" FROM "+key.RefTable+
			" WHERE "+mapping.Quote(key.RefColumn)+" IN ?", some).Scan(&present).Error
		if err != nil {
			return nil, err
		}
		for _, p := range present {
			if text, err := mapping.Canonical(b.table.Column(i).Field, p.String); err == nil {
				parents[text] = true
			}
		}
	}
	return parents, nil
}
