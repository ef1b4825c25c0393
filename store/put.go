package store

import (
	"cmp"
	"errors"
	"maps"
	"slices"

	"github.com/afterwrite/afterwrite/schema"
	"github.com/afterwrite/afterwrite/store/fault"
	"github.com/afterwrite/afterwrite/store/internal/database"
)

// A write touches what it names. A change that is a whole record gives its row the values
// of all fields; one that names some fields gives it theirs, and leaves the other columns
// to the programs that write them. Columns that are no field's are never written.
//
// A row that exists is updated, by one statement for each set of fields that the batch
// names, and only what was not found is inserted: an INSERT would draw a number of a
// sequence, run the triggers that make a row's first values, and be refused for a column
// that it has no value for, though the row is there. Where the table has none of these, as
// those that migrate makes, a batch of whole records is one INSERT … ON CONFLICT DO UPDATE,
// which is quicker where all rows are new.

// put writes changes, none of which is a deletion.
func (b *batch) put(changes []schema.Change) error {
	defer b.tx.Database.Metrics.Time("upsert")()
	for _, c := range changes {
		if len(c.Values) != len(b.table.Place) {
			return database.Unfit(b.table.Misshapen(c))
		}
	}
	if err := b.beside(changes); err != nil {
		return err
	}
	whole, some := b.wholes(changes)
	absent, err := b.update(some)
	if err != nil {
		return err
	}
	made, err := b.makeable(absent)
	if err != nil {
		return err
	}
	if whole = append(whole, made...); len(whole) == 0 {
		return nil
	}
	for _, g := range b.table.inserts(whole) {
		written, err := b.tx.Database.Dialect.Upsert(b.tx, b.table.target(b.known), g.changes, g.fields)
		if errors.Is(err, database.ErrNotPlain) && b.known.plain {
			// The statement has left no trace. The table is looked at again with the next batch.
			other := *b.known
			other.plain = false
			b.known = &other
			b.table.known.Store(nil)
			return b.put(changes)
		}
		if err == nil {
			err = b.checkPut(g.changes, written)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// wholes parts the changes that may be inserted without a look at their rows from others.
func (b *batch) wholes(changes []schema.Change) (whole, some []schema.Change) {
	if !b.known.plain {
		return nil, changes
	}
	entire := func(c schema.Change) bool { return c.Only == nil && !lacks(c.Values) }
	if !slices.ContainsFunc(changes, func(c schema.Change) bool { return !entire(c) }) {
		return changes, nil
	}
	for _, c := range changes {
		if entire(c) {
			whole = append(whole, c)
		} else {
			some = append(some, c)
		}
	}
	return whole, some
}

// update gives the rows of changes the values that they name, and returns the changes that
// have no row. What had none a moment ago, before the INSERT of a neighbour was refused, is
// looked for again only if this INSERT is refused, too.
func (b *batch) update(changes []schema.Change) (absent []schema.Change, err error) {
	if len(b.absent) > 0 {
		var others []schema.Change
		for _, c := range changes {
			if b.absent[c.ID] {
				absent = append(absent, c)
				delete(b.absent, c.ID)
			} else {
				others = append(others, c)
			}
		}
		changes = others
	}
	for _, g := range b.table.byFields(changes, func(c schema.Change, i int) bool { return c.Writes(i) }) {
		without, err := b.updateGroup(g)
		if err != nil {
			return nil, err
		}
		for _, c := range without {
			b.absent[c.ID] = true
		}
		absent = append(absent, without...)
	}
	return absent, nil
}

// updateGroup updates changes that name the same fields. Where it finds fewer rows than
// changes it looks at what is there: others may have made a row between the two, so it
// tries once more before it takes such a row for one that a trigger has left out.
func (b *batch) updateGroup(g group) (absent []schema.Change, err error) {
	changes := g.changes
	for range 2 {
		updated := int64(0)
		if len(g.fields) > 0 {
			target := b.table.target(b.known)
			if updated, err = b.tx.Database.Dialect.Update(b.tx, target, changes, g.fields); err != nil {
				return nil, err
			}
			if updated >= int64(len(changes)) {
				return absent, nil
			}
		}
		there, err := b.there(changes)
		if err != nil {
			return nil, err
		}
		found := make([]schema.Change, 0, len(there))
		for _, c := range changes {
			if there[c.ID] {
				found = append(found, c)
			} else {
				absent = append(absent, c)
			}
		}
		if changes = found; len(g.fields) == 0 || updated >= int64(len(changes)) {
			return absent, nil
		}
	}
	return absent, b.checkPut(changes, 0)
}

// group is changes that name the same fields, by position.
type group struct {
	fields  []int
	changes []schema.Change
}

// inserts groups whole records by the columns that they are inserted with; nil are all of
// them. What the database decides about it gives to a row without the column.
func (t *table) inserts(changes []schema.Change) []group {
	undecided := func(c schema.Change) bool { return slices.Contains(c.Values, schema.Undecided) }
	if !slices.ContainsFunc(changes, undecided) {
		return []group{{nil, changes}}
	}
	return t.byFields(changes, func(c schema.Change, i int) bool { return c.Values[i] != schema.Undecided })
}

// byFields groups changes by the fields that they have.
func (t *table) byFields(changes []schema.Change, has func(c schema.Change, i int) bool) []group {
	at := map[string]*group{}
	key := make([]byte, len(t.Place))
	for _, c := range changes {
		for i := range key {
			key[i] = '0'
			if t.Place[i] >= t.Keys && has(c, i) { // not the key
				key[i] = '1'
			}
		}
		g := at[string(key)]
		if g == nil {
			g = &group{fields: []int{}}
			for i := range key {
				if key[i] == '1' {
					g.fields = append(g.fields, i)
				}
			}
			at[string(key)] = g
		}
		g.changes = append(g.changes, c)
	}
	groups := make([]group, 0, len(at))
	for _, k := range slices.Sorted(maps.Keys(at)) {
		groups = append(groups, *at[k])
	}
	return groups
}

// missingError says that the rows of patches or increments are not there. Accepted they
// were on a row, so another program has deleted it since. To insert the record as it was
// cached would undo that deletion, with values that were never written; to leave the change out
// would lose it. So it is a refusal, which an operator or a later put decides.
type missingError struct{ ids map[string]bool }

func (missingError) Error() string {
	return "the row does not exist: another program deleted it; a PUT writes the record again, discarding the change accepts the deletion"
}

// makeable are changes without a row as they are inserted: whole, fields that they lack
// being their defaults.
func (b *batch) makeable(absent []schema.Change) ([]schema.Change, error) {
	missing := map[string]bool{}
	for i, c := range absent {
		if c.Only != nil {
			missing[c.ID] = false
			continue
		}
		if lacks(c.Values) {
			absent[i].Values = b.table.entire(c.Values)
		}
	}
	if len(missing) > 0 {
		return nil, missingError{missing}
	}
	return absent, nil
}

// lacks reports whether a record was accepted before its entity got one of its fields, or
// has a foreign value, which is never written.
func lacks(values schema.Values) bool {
	return slices.ContainsFunc(values, unwritten)
}

func unwritten(text string) bool {
	_, foreign := schema.IsForeign(text)
	return foreign || text == ""
}

// entire are the values of a record with the defaults of those that it lacks. What the
// database decides about stays so.
func (t *table) entire(values schema.Values) schema.Values {
	whole := slices.Clone(values)
	for i, text := range values {
		if unwritten(text) && text != schema.Undecided {
			whole[i] = cmp.Or(t.Entity.Fields[i].Default, schema.Null)
		}
	}
	return whole
}

// there are the ids of changes that have a row.
func (b *batch) there(changes []schema.Change) (map[string]bool, error) {
	found := make(map[string]bool, len(changes))
	for some := range slices.Chunk(changes, b.table.IDs) {
		keys, err := b.keysOf(some)
		if err != nil {
			return nil, err
		}
		seen := b.table.Seen()
		err = b.table.Scope(b.tx.DB).Select(b.table.Shown[:b.table.Keys]).Where(b.table.Among(len(some)),
			keys...).Find(seen.Interface()).Error
		if err != nil {
			return nil, err
		}
		for i := range seen.Elem().Len() {
			id, _ := b.table.ID(seen.Elem().Index(i))
			found[id] = true
		}
	}
	return found, nil
}

// rowsOf reads the rows of ids, one by one where one of them cannot be read.
func (b *batch) rowsOf(ids []string) (map[string]schema.Values, error) {
	rows := make(map[string]schema.Values, len(ids))
	for some := range slices.Chunk(ids, b.table.IDs) {
		err := b.addRows(rows, some)
		if fault.Unavailable(err) {
			return nil, err
		}
		if err == nil {
			continue
		}
		for _, id := range some {
			if err := b.addRows(rows, []string{id}); fault.Unavailable(err) {
				return nil, err
			}
		}
	}
	return rows, nil
}

func (b *batch) addRows(rows map[string]schema.Values, ids []string) error {
	found, err := b.tx.Load(b.table.Table, ids)
	for _, row := range found {
		rows[row.ID] = row.Values
	}
	return err
}
