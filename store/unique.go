package store

import (
	"cmp"
	"context"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/afterwrite/afterwrite/schema"
	"github.com/afterwrite/afterwrite/store/catalog"
	"github.com/afterwrite/afterwrite/store/internal/database"
	"github.com/afterwrite/afterwrite/store/internal/mapping"
)

// uniqueKey is a unique index whose columns are all fields.
type uniqueKey struct {
	fields []int
	where  string // the condition of the rows that are in it; "": all are
}

// of returns the values of a change in the fields of the key, as one text, and whether it
// writes any of them and the database would compare them.
func (k uniqueKey) of(c schema.Change) (values string, wants bool) {
	if c.Deleted {
		return "", false
	}
	for _, i := range k.fields {
		if c.Values[i] == schema.Null || unwritten(c.Values[i]) {
			return "", false
		}
		wants = wants || c.Writes(i)
		values += c.Values[i] + "\x00"
	}
	return values, wants
}

// refusing are the indexes that a refusal of kind unique can mean: the one of its name, or else,
// as SQLite names only columns ("users.tenant, users.no"), those over them.
func (t *table) refusing(r schema.Refusal) []catalog.Index {
	at := t.Shape.Load()
	if at == nil {
		return nil
	}
	if i := slices.IndexFunc(at.Indexes, func(x catalog.Index) bool { return x.Name == r.Constraint }); i >= 0 {
		return at.Indexes[i : i+1]
	}
	named := strings.Split(cmp.Or(r.Column, r.Constraint), ", ")
	for i, column := range named {
		named[i] = column[strings.LastIndexByte(column, '.')+1:]
	}
	var found []catalog.Index
	for _, x := range at.Indexes {
		if slices.EqualFunc(x.Parts, named, func(p catalog.Part, name string) bool { return p.Column == name }) {
			found = append(found, x)
		}
	}
	return found
}

// key is a unique index as fields; ok is false where it has an expression or a column that is
// no field, or is of the table's key alone.
func (t *table) key(x catalog.Index) (k uniqueKey, ok bool) {
	k.where = x.Where
	folding := t.Shape.Load().CaseFolding
	for _, part := range x.Parts {
		i := slices.IndexFunc(t.Columns, func(c mapping.Column) bool {
			return c.Name == part.Column || folding && strings.EqualFold(c.Name, part.Column)
		})
		if part.Expression != "" || i < 0 || t.Columns[i].At < 0 {
			return k, false
		}
		k.fields, ok = append(k.fields, t.Columns[i].At), ok || i >= t.Keys
	}
	return k, ok
}

// withKeys adds the keys that a refusal can mean, those that keys lacks.
func (t *table) withKeys(keys []uniqueKey, r schema.Refusal) []uniqueKey {
	if r.Kind == schema.KindUnique {
		for _, x := range t.refusing(r) {
			keys = t.addKey(keys, x)
		}
	}
	return keys
}

// addKey adds the key of an index, if it is one and keys lacks it.
func (t *table) addKey(keys []uniqueKey, x catalog.Index) []uniqueKey {
	key, ok := t.key(x)
	if !ok || slices.ContainsFunc(keys, func(k uniqueKey) bool {
		return k.where == key.where && slices.Equal(k.fields, key.fields)
	}) {
		return keys
	}
	return append(keys, key)
}

// owners returns for the values of a key that changes want the ids of the rows that have
// them now.
func (b *batch) owners(k uniqueKey, changes []schema.Change) (map[string]string, error) {
	owners := make(map[string]string, len(changes))
	for some := range slices.Chunk(b.wanting(k, changes), max(1, b.table.IDs/len(k.fields)/10)) {
		condition, parameters := b.having(k, some)
		if len(parameters) == 0 {
			continue
		}
		seen := b.table.Seen()
		err := b.table.Scope(b.tx.DB).Select(b.shown(k)).Where(condition, parameters...).Find(seen.Interface()).Error
		if err != nil {
			return nil, err
		}
		for j := range seen.Elem().Len() {
			if value, ok := b.valuesOf(k, seen.Elem().Index(j)); ok {
				owners[value], _ = b.table.ID(seen.Elem().Index(j))
			}
		}
	}
	return owners, nil
}

// wanting are the changes that want values of a key.
func (b *batch) wanting(k uniqueKey, changes []schema.Change) []schema.Change {
	return slices.DeleteFunc(slices.Clone(changes), func(c schema.Change) bool {
		_, wants := k.of(c)
		return !wants
	})
}

// having is the condition that a row has, in a key, the values of one of the changes.
func (b *batch) having(k uniqueKey, changes []schema.Change) (condition string, parameters []any) {
	one := make([]string, len(k.fields))
	for n, i := range k.fields {
		one[n] = b.table.Of(i) + " = ?"
	}
	for _, c := range changes {
		values := make([]any, len(k.fields))
		var err error
		for n, i := range k.fields {
			if values[n], err = b.table.Column(i).Parameter(c.Values[i]); err != nil {
				break // no row has it
			}
		}
		if err == nil {
			parameters = append(parameters, values...)
		}
	}
	n := len(parameters) / len(k.fields)
	switch {
	case n == 0:
		return "", nil
	case len(one) == 1:
		condition, parameters = b.table.Of(k.fields[0])+" IN ?", []any{parameters}
	default:
		row := "(" + strings.Join(one, " AND ") + ")"
		condition = "(" + row + strings.Repeat(" OR "+row, n-1) + ")"
	}
	if k.where != "" {
		condition += " AND (" + k.where + ")"
	}
	return condition, parameters
}

// shown selects the table's key and the columns of a unique one.
func (b *batch) shown(k uniqueKey) []string {
	shown := slices.Clone(b.table.Shown[:b.table.Keys])
	for _, i := range k.fields {
		if at := b.table.Place[i]; at >= b.table.Keys {
			shown = append(shown, b.table.Shown[at])
		}
	}
	return shown
}

// valuesOf is [uniqueKey.of] of a row; ok is false where it has one that no change can want.
func (b *batch) valuesOf(k uniqueKey, row reflect.Value) (values string, ok bool) {
	for _, i := range k.fields {
		text, err := b.table.Column(i).Text(row.Field(b.table.Place[i]))
		if err != nil {
			return "", false
		}
		values += text + "\x00"
	}
	return values, true
}

// Owner is a row that has a unique value which a change wants.
type Owner struct {
	ID   string // of its record
	Of   string // id of the change
	key  uniqueKey
	want string
}

// Keeps reports whether a change surely leaves its owner the value.
func (o Owner) Keeps(c schema.Change) bool {
	// Whether a row meets the condition of an index the database alone can tell.
	if c.Deleted || o.key.where != "" {
		return false
	}
	values, wants := o.key.of(c)
	return values == o.want || !wants && !slices.ContainsFunc(o.key.fields, c.Writes)
}

// Owners returns the rows of others that have unique values which changes want. known is false where the refusing index
// has an expression, or a column that is no field.
func (s *Store) Owners(ctx context.Context, e *schema.Entity, refusal schema.Refusal,
	changes []schema.Change) (owners []Owner, known bool, err error) {
	t, err := s.table(e)
	if err != nil {
		return nil, false, err
	}
	keys := t.withKeys(nil, refusal)
	if len(keys) == 0 {
		return nil, false, nil
	}
	for _, x := range t.Shape.Load().Indexes {
		if x.Where == "" { // whether a change meets a condition only the database can tell
			keys = t.addKey(keys, x)
		}
	}
	b := &batch{tx: &database.Transaction{Database: s.db, DB: s.db.Read(ctx)}, table: t}
	for _, key := range keys {
		found, err := b.ownersOf(key, b.wanting(key, changes))
		if err != nil {
			return nil, false, s.db.Unavailable("find the owners of unique values", err)
		}
		owners = append(owners, found...)
	}
	return owners, true, nil
}

// ownersOf searches for changes one by one only where a row has a value in another spelling than any of them, which the
// database takes for the same.
func (b *batch) ownersOf(key uniqueKey, changes []schema.Change) (owners []Owner, err error) {
	found, err := b.owners(key, changes)
	if err != nil {
		return nil, err
	}
	spelled := 0
	for _, c := range changes {
		want, _ := key.of(c)
		id, ok := found[want]
		switch {
		case ok:
			spelled++
		case len(changes) == 1 && len(found) == 1:
			id = slices.Collect(maps.Values(found))[0]
		}
		if id != "" && id != c.ID {
			owners = append(owners, Owner{id, c.ID, key, want})
		}
	}
	if len(changes) == 1 || spelled >= len(found) {
		return owners, nil
	}
	owners = nil
	for i := range changes {
		one, err := b.ownersOf(key, changes[i:i+1])
		if err != nil {
			return nil, err
		}
		owners = append(owners, one...)
	}
	return owners, nil
}
