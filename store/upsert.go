package store

import (
	"reflect"
	"slices"
	"sync"
	"time"

	"github.com/afterwrite/afterwrite/schema"
	"github.com/afterwrite/afterwrite/store/internal/database"
)

// batch writes the changes of one transaction and keeps the refused from the others.
type batch struct {
	tx         *database.Transaction
	table      *table
	suspicious bool      // see Isolate
	until      time.Time // when isolation stops
	pace       pace      // how long its statements may take

	known   *known // of the table
	besides map[*schema.Entity]*noted
	ids     func() map[string]bool // of the whole batch
	absent  map[string]bool        // ids that were seen to have no row, and not inserted since
	outcome Outcome
	hanging []hanging // see sieve
	gaveUp  error     // of the first statement that was given up
	untried int       // changes that patience has left for the next flush
	looked  bool      // the catalog was read again for an index of another name
	// followed says that the database may have changed rows of other tables beside these
	followed bool
	moved    bool // a record has no row at the end: see leftout.go
	// refused is the refusal of a statement that ended the transaction: COMMIT tells it
	refused *schema.Refusal
}

// maxPasses bounds how often refused changes are tried once more in one flush. What
// a longer chain leaves is held, and tried again as that.
const maxPasses = 8

// statement writes some changes at once: all of them deletions, or none.
type statement func([]schema.Change) error

// rejection is a refusal that may not be the last word: curable says that a neighbour
// may have freed or brought what the change needs.
type rejection struct {
	Refused
	curable bool
}

// write writes the deletions, then the rest, then what was refused only because of
// the order: a unique value may be free by now, a row referred to may be there.
func (b *batch) write(changes []schema.Change) error {
	b.ids = sync.OnceValue(func() map[string]bool { return idsOf(changes) })
	rejected, err := b.round(changes)
	if err != nil {
		return err
	}
	// Each pass frees what the next one needs, as in a chain of moves.
	for pass, before := 0, 0; pass < maxPasses && len(b.outcome.Persisted) > before; pass++ {
		before = len(b.outcome.Persisted)
		if rejected, err = b.again(rejected); err != nil {
			return err
		}
	}
	return b.exchange(b.settle(rejected))
}

// settle takes over the refusals that are final and returns the others.
func (b *batch) settle(rejected []rejection) (curable []rejection) {
	for _, r := range rejected {
		if r.curable {
			curable = append(curable, r)
		} else {
			b.outcome.Refused = append(b.outcome.Refused, r.Refused)
		}
	}
	return curable
}

// again tries the curable once more.
func (b *batch) again(rejected []rejection) ([]rejection, error) {
	curable := b.settle(rejected)
	changes := make([]schema.Change, len(curable))
	for i, r := range curable {
		changes[i] = r.Change
	}
	return b.round(changes)
}

// round tries every change and returns the rejected ones.
func (b *batch) round(changes []schema.Change) (rejected []rejection, err error) {
	deletions, puts := split(changes)
	for _, part := range []struct {
		changes []schema.Change
		run     statement
		size    int
	}{{deletions, b.delete, b.table.IDs}, {puts, b.put, b.table.Rows}} {
		for some := range slices.Chunk(part.changes, part.size) {
			if rejected, err = b.isolate(some, part.run, rejected); err != nil {
				return nil, err
			}
		}
	}
	return b.sieve(rejected)
}

// split returns the deletions and the others; mostly there are no deletions, and nothing is copied.
func split(changes []schema.Change) (deletions, puts []schema.Change) {
	if !slices.ContainsFunc(changes, func(c schema.Change) bool { return c.Deleted }) {
		return nil, changes
	}
	puts = make([]schema.Change, 0, len(changes))
	for _, c := range changes {
		if c.Deleted {
			deletions = append(deletions, c)
		} else {
			puts = append(puts, c)
		}
	}
	return deletions, puts
}

func (b *batch) delete(changes []schema.Change) error {
	defer b.tx.Database.Metrics.Time("delete")()
	if err := b.beside(changes); err != nil {
		return err
	}
	keys, err := b.keysOf(changes)
	if err != nil {
		return err
	}
	among := b.table.Among(len(changes))
	done := b.table.Scope(b.tx.DB).Where(among, keys...).Delete(reflect.New(b.table.Writes.Elem()).Interface())
	if done.Error != nil {
		return done.Error
	}
	return b.checkDeletion(among, keys, done.RowsAffected)
}

// keysOf are the parameters of the changes' keys, one after another.
func (b *batch) keysOf(changes []schema.Change) ([]any, error) {
	ids := make([]string, len(changes))
	for i, c := range changes {
		ids[i] = c.ID
	}
	keys, err := b.table.KeysOf(ids)
	if err != nil {
		return nil, database.Unfit(err)
	}
	return keys, nil
}
