package store

import (
	"slices"

	"github.com/afterwrite/afterwrite/schema"
	"github.com/afterwrite/afterwrite/store/catalog"
)

// leftToDatabase takes the values of computed columns out of changes.
func leftToDatabase(changes []schema.Change, computed []int) []schema.Change {
	if len(computed) == 0 {
		return changes
	}
	changes = slices.Clone(changes)
	for n := range changes {
		c := &changes[n]
		if c.Deleted {
			continue
		}
		c.Values = slices.Clone(c.Values)
		for _, i := range computed {
			if i < len(c.Values) {
				c.Values[i] = schema.Undecided
			}
		}
	}
	return changes
}

// readBack gives the persisted changes their rows, as they are at the end of the transaction. A
// trigger that is deferred runs at COMMIT: what it leaves is not known before.
func (b *batch) readBack() error {
	deferred := slices.ContainsFunc(b.known.at.Fires(catalog.Insert, catalog.Update),
		func(t catalog.Trigger) bool { return t.Deferred })
	var ids []string
	for _, c := range b.outcome.Persisted {
		if !c.Deleted && !deferred {
			ids = append(ids, c.ID)
		}
	}
	rows, err := b.rowsOf(ids)
	if err != nil {
		return err
	}
	var without []schema.Change // as far as rows tells
	for n := range b.outcome.Persisted {
		if c := &b.outcome.Persisted[n]; !c.Deleted {
			c.Row = schema.Values{}
			if row, ok := rows[c.ID]; ok {
				c.Row = row
			} else {
				without = append(without, *c)
			}
		}
	}
	if len(without) == 0 {
		return nil
	}
	there, err := b.there(without) // a row that cannot be read is one, too
	b.moved = len(there) < len(without)
	return err
}
