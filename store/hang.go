package store

import (
	"context"
	"math"
	"slices"
	"time"

	"github.com/afterwrite/afterwrite/schema"
)

// A statement may hang for one of its changes: its row is locked by another program, or a trigger
// does not return. Its neighbours do not wait for all of the time that it may take. It is
// given up early and sent again in pieces, which have less time still: those that come
// through are persisted, and the changes for which even a statement of their own hangs are
// told as slow.
//
//	500 changes, one hangs    5 s of 30 s
//	23 pieces of 22           22 at once, one hangs: 0.3 s
//	22 of one                 21 at once, one hangs: 0.3 s; it is slow
//
// Nothing follows from a change being slow but that it is tried alone, with all of its time,
// by [Store.Isolate]. Where nothing comes through, the fault need not be a change's at all:
// the flush fails, and the next one has all of its time.

// Parts of the time that a statement may have.
const (
	wholePart = 6   // of a statement that was not given up before
	piecePart = 100 // of a piece of one
	pieceMin  = 100 * time.Millisecond
	single    = 64 // a statement of so many is sent again one by one
)

// pace is how long the statements of a batch may take. Zero: as long as the session lets
// them.
type pace struct {
	full  time.Duration // all of the time
	whole time.Duration // a statement that was not given up before
	piece time.Duration // a piece of one; 0: none is given up
}

// pace is that of a batch of so many changes. The time ends in the database before it ends
// in ctx, which would break the connection and with it the transaction.
func (f *Flush) pace(ctx context.Context, changes int) pace {
	full := f.store.db.Dialect.Most()
	if full == 0 {
		return pace{}
	}
	if deadline, ok := ctx.Deadline(); ok {
		left := time.Until(deadline)
		if f.suspicious {
			left /= 2
		}
		full = max(min(full, left), time.Millisecond)
	}
	if _, slow := f.table.unhurried.Load(f.partition); slow || f.suspicious && changes == 1 {
		return pace{full: full, whole: full}
	}
	whole := max(full/wholePart, time.Millisecond)
	return pace{full, whole, min(max(full/piecePart, pieceMin), whole)}
}

// hurry has the statements of the batch keep a pace.
func (b *batch) hurry(p pace) {
	b.pace = p
	b.tx.Bound = p.whole
}

// unhurried gives COMMIT all of the time, after pieces that had little.
func (b *batch) unhurried() error {
	if b.gaveUp == nil {
		return nil
	}
	b.tx.Bound = b.pace.full
	return b.tx.Database.Unavailable("savepoint", b.tx.Save())
}

// paced writes the batch. Where it hangs as a whole the partition's next statements have
// all of their time, until they no longer need it: a trigger of the whole statement may
// take long, and would do so for each piece.
func (f *Flush) paced(b *batch, changes []schema.Change) error {
	began := time.Now()
	err := b.write(changes)
	if err == nil && b.gaveUp != nil && len(b.outcome.Persisted)+len(b.outcome.Refused) == 0 {
		f.table.unhurried.Store(f.partition, true)
		return f.store.db.Unavailable("write "+f.table.Name, b.gaveUp)
	}
	if b.pace.piece == 0 && !f.suspicious && (err != nil || time.Since(began) < b.pace.full/wholePart) {
		f.table.unhurried.Delete(f.partition)
	}
	return err
}

// hanging are changes of a statement that was given up for its time.
type hanging struct {
	changes []schema.Change
	run     statement
}

// hung reports whether a statement was given up for its time, and not for that of the
// whole flush.
func (b *batch) hung(err error) bool {
	return b.pace.piece > 0 && b.tx.DB.Statement.Context.Err() == nil && b.tx.Database.Dialect.Hung(err)
}

// hangs notes changes whose statement was given up: one is slow, more are sieved.
func (b *batch) hangs(changes []schema.Change, run statement, why schema.Refusal) {
	if len(changes) == 1 {
		b.outcome.Slow = append(b.outcome.Slow, Refused{Change: changes[0], Refusal: why, Isolate: true})
		return
	}
	b.hanging = append(b.hanging, hanging{changes, run})
}

// sieve sends what hung again in pieces, the largest first, so that most of the neighbours
// are through before any change is sent alone. It ends when all is through or slow, or
// with the batch's patience.
func (b *batch) sieve(rejected []rejection) ([]rejection, error) {
	if len(b.hanging) == 0 {
		return rejected, nil
	}
	b.tx.Bound = b.pace.piece
	defer func() { b.tx.Bound = b.pace.whole }()
	for len(b.hanging) > 0 {
		h := b.hanging[0]
		b.hanging = b.hanging[1:]
		for piece := range slices.Chunk(h.changes, pieceOf(len(h.changes))) {
			if time.Now().After(b.until) {
				b.untried += len(piece)
				continue
			}
			var err error
			if rejected, err = b.isolate(piece, h.run, rejected); err != nil {
				return nil, err
			}
		}
	}
	return rejected, nil
}

// pieceOf is the size of the pieces of a statement: as many pieces as each has changes, so
// that two steps find what hangs.
func pieceOf(changes int) int {
	if changes <= single {
		return 1
	}
	return int(math.Sqrt(float64(changes)))
}
