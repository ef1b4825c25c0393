package store

import (
	"cmp"
	"context"
	"database/sql"
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

// constrained is the one column that the refusing constraint is about, or "". It is
// looked up once: a constraint that gets other columns under its old name only costs
// the way of finding its culprits by one query.
func (b *batch) constrained(r schema.Refusal) (string, error) {
	key := string(r.Kind) + " " + r.Constraint
	if known, ok := b.table.located.Load(key); ok {
		return known.(string), nil
	}
	column, err := b.columnOf(r)
	if err == nil {
		b.table.located.Store(key, column)
	}
	return column, err
}

func (b *batch) columnOf(r schema.Refusal) (string, error) {
	d := b.tx.Database.Dialect
	if r.Kind == schema.KindUnique {
		return d.UniqueColumn(b.tx.DB, b.table.Name, r)
	}
	keys, err := d.ForeignKeys(b.tx.DB, b.table.Name, r)
	if err != nil || len(keys) != 1 {
		return "", err
	}
	return keys[0].Column, nil
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
	i, owners, err := b.owners(r, changes)
	if err != nil || i < 0 {
		return nil, err
	}
	found := map[string]bool{}
	for _, c := range byVersion(changes) {
		value := c.Values[i]
		if value == schema.Null || !c.Writes(i) {
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

// owners returns the field of the violated unique constraint, or -1, and for each
// value that the changes want the id of the row that has it now.
func (b *batch) owners(r schema.Refusal, changes []schema.Change) (int, map[string]string, error) {
	name, err := b.constrained(r)
	i := b.table.field(name)
	if err != nil || i < 0 {
		return -1, nil, err
	}
	c := b.table.Column(i)
	owners := make(map[string]string, len(changes))
	shown := append(slices.Clone(b.table.Shown[:b.table.Keys]), b.table.Shown[b.table.Place[i]])
	if b.table.Place[i] < b.table.Keys {
		return -1, nil, nil
	}
	for some := range slices.Chunk(b.wanted(i, changes), b.table.IDs) {
		seen := b.table.Seen()
		err := b.table.Scope(b.tx.DB).Select(shown).Where(b.table.Of(i)+" IN ?", some).Find(seen.Interface()).Error
		if err != nil {
			return -1, nil, err
		}
		for j := range seen.Elem().Len() {
			row := seen.Elem().Index(j)
			text, err := c.Text(row.Field(b.table.Place[i]))
			if err != nil {
				return -1, nil, nil // not a value that any change can want
			}
			owners[text], _ = b.table.ID(row)
		}
	}
	return i, owners, nil
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
