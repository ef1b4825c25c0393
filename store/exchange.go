package store

import (
	"github.com/google/uuid"
	"gorm.io/gorm"

	"github.com/afterwrite/afterwrite"
)

// exchange persists refused changes that only stand in one another's way, as when two
// records swap a unique value: it takes the values off their rows and writes the
// changes then. It returns the refusals that stay.
func (b *batch) exchange(refused []Refused) ([]Refused, error) {
	circles := map[string][]Refused{}
	var final []Refused
	for _, r := range refused {
		if r.Refusal.Kind == afterwrite.KindUnique && !r.Deleted {
			circles[r.Refusal.Constraint] = append(circles[r.Refusal.Constraint], r)
		} else {
			final = append(final, r)
		}
	}
	for _, circle := range circles {
		stay, err := b.rotate(circle)
		if err != nil {
			return nil, err
		}
		final = append(final, stay...)
	}
	return final, nil
}

// rotate writes those of the changes, refused by one constraint, whose value is free
// or owned by another of them.
func (b *batch) rotate(refused []Refused) ([]Refused, error) {
	if len(refused) < 2 || len(refused) > b.table.rows {
		return refused, nil
	}
	changes := make([]afterwrite.Change, len(refused))
	for i, r := range refused {
		changes[i] = r.Change
	}
	i, owners, err := b.owners(refused[0].Refusal, changes)
	if err != nil {
		return nil, b.tx.store.unavailable("find the refused", err)
	}
	if i < 0 {
		return refused, nil
	}
	moving := circle(changes, owners, i)
	if len(moving) < 2 {
		return refused, nil
	}
	failed, ended := b.tx.try(func() error {
		if err := b.park(i, moving); err != nil {
			return err
		}
		return b.upsert(moving)
	})
	if ended != nil {
		return nil, ended
	}
	if failed != nil {
		if _, ok := b.classify(failed); !ok {
			return nil, b.tx.store.unavailable("write "+b.table.name, failed)
		}
		return refused, nil
	}
	b.flushed.Persisted = append(b.flushed.Persisted, moving...)
	moved := idsOf(moving)
	var stay []Refused
	for _, r := range refused {
		if !moved[r.ID] {
			stay = append(stay, r)
		}
	}
	return stay, nil
}

// circle leaves out, again and again, the changes whose value belongs to a row that
// does not move, or is wanted twice.
func circle(changes []afterwrite.Change, owners map[string]string, i int) []afterwrite.Change {
	for {
		moving := idsOf(changes)
		taken := map[string]bool{}
		var left []afterwrite.Change
		for _, c := range byVersion(changes) {
			owner, owned := owners[c.Values[i]]
			if taken[c.Values[i]] || (owned && !moving[owner]) {
				continue
			}
			taken[c.Values[i]] = true
			left = append(left, c)
		}
		if len(left) == len(changes) {
			return left
		}
		changes = left
	}
}

// park takes a unique value off the rows of changes: NULL, or where the column must
// have a value, a text that nobody else has.
func (b *batch) park(i int, changes []afterwrite.Change) error {
	c := &b.table.columns[i+1]
	if !c.field.Required {
		ids, err := b.idParameters(changes)
		if err != nil {
			return err
		}
		return b.table.scope(b.tx.db).Where(quote(b.table.columns[0].name)+" IN ?", ids).UpdateColumn(c.name, gorm.Expr("NULL")).Error
	}
	for _, change := range changes {
		id, err := b.table.idParameter(change.ID)
		if err != nil {
			return err
		}
		err = b.table.scope(b.tx.db).Where(quote(b.table.columns[0].name)+" = ?", id).
			UpdateColumn(c.name, uuid.NewString()).Error
		if err != nil {
			return err
		}
	}
	return nil
}
