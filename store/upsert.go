package store

import (
	"fmt"
	"reflect"
	"slices"
	"time"

	"github.com/afterwrite/afterwrite"
)

// batch writes the changes of one transaction and keeps the refused from the others.
type batch struct {
	tx         *transaction
	table      *table
	suspicious bool      // see Isolate
	until      time.Time // when isolation stops

	flushed Flushed
}

// maxPasses bounds how often refused changes are tried once more in one flush. What
// a longer chain leaves is held, and tried again as that.
const maxPasses = 8

// statement writes some changes at once: all of them deletions, or none.
type statement func([]afterwrite.Change) error

// write writes the deletions, then the rest, then what was refused only because of
// the order: a unique value may be free by now, a row referred to may be there.
func (b *batch) write(changes []afterwrite.Change) error {
	refused, err := b.round(changes)
	if err != nil {
		return err
	}
	// Each pass frees what the next one needs, as in a chain of moves.
	for pass, before := 0, 0; pass < maxPasses && len(b.flushed.Persisted) > before; pass++ {
		before = len(b.flushed.Persisted)
		if refused, err = b.again(refused); err != nil {
			return err
		}
	}
	if refused, err = b.exchange(refused); err != nil {
		return err
	}
	b.flushed.Refused = append(b.flushed.Refused, refused...)
	return nil
}

// round tries every change and returns the refused ones.
func (b *batch) round(changes []afterwrite.Change) (refused []Refused, err error) {
	deletions, puts := split(changes)
	for _, part := range []struct {
		changes []afterwrite.Change
		run     statement
		size    int
	}{{deletions, b.delete, b.table.ids}, {puts, b.upsert, b.table.rows}} {
		for some := range slices.Chunk(part.changes, part.size) {
			if refused, err = b.isolate(some, part.run, refused); err != nil {
				return nil, err
			}
		}
	}
	return refused, nil
}

// again tries those refusals once more that a neighbour may have healed.
func (b *batch) again(refused []Refused) ([]Refused, error) {
	var final []Refused
	var changes []afterwrite.Change
	for _, r := range refused {
		if r.Refusal.Kind == afterwrite.KindUnique || r.Refusal.Kind == afterwrite.KindForeignKey {
			changes = append(changes, r.Change)
		} else {
			final = append(final, r)
		}
	}
	more, err := b.round(changes)
	return append(final, more...), err
}

func split(changes []afterwrite.Change) (deletions, puts []afterwrite.Change) {
	for _, c := range changes {
		if c.Deleted {
			deletions = append(deletions, c)
		} else {
			puts = append(puts, c)
		}
	}
	return deletions, puts
}

func (b *batch) upsert(changes []afterwrite.Change) error {
	defer b.tx.store.metrics.time("upsert")()
	rows, err := b.table.fill(changes)
	if err != nil {
		return &unfitError{err}
	}
	return b.table.scope(b.tx.db).Clauses(b.table.upsert).Create(rows).Error
}

// unfitError is a change that cannot even be sent: its values are not of its
// entity's fields, as after a change of the configuration.
type unfitError struct{ error }

func (b *batch) delete(changes []afterwrite.Change) error {
	defer b.tx.store.metrics.time("delete")()
	ids, err := b.idParameters(changes)
	if err != nil {
		return err
	}
	return b.table.scope(b.tx.db).Where(quote(b.table.columns[0].name)+" IN ?", ids).
		Delete(reflect.New(b.table.writes.Elem()).Interface()).Error
}

func (b *batch) idParameters(changes []afterwrite.Change) ([]any, error) {
	ids := make([]any, len(changes))
	for i, c := range changes {
		id, err := b.table.idParameter(c.ID)
		if err != nil {
			return nil, &unfitError{fmt.Errorf("id %q: %w", c.ID, err)}
		}
		ids[i] = id
	}
	return ids, nil
}
