package store

import (
	"fmt"

	"github.com/afterwrite/afterwrite/store/internal/database"
	"github.com/afterwrite/afterwrite/store/internal/watching"
)

// A Redis can go back to an older state of itself: a copy of its files that was put back, a
// replica that lagged, a second that its append-only file had not synced. Such a copy lists
// records as pending that were persisted since, in that state or a newer one, and flushing
// them would move rows back. So each transaction that holds a fence has a turn: a number, which
// is raised by the statement that locks it and counts once it commits, and a random id, for
// a number may be given again after a rollback. Redis notes the turn before the commit, beside
// the one before it that was committed. A Redis that has not noted the last turn that was
// committed is older than it.
//
// What such a copy lists is then judged by how far the committed flushes had read, their
// reach, which each of them leaves in the fence.

// turnID is the length of a turn's id.
const turnID = 10

// Reach is how far the flushes of a partition have read what was pending.
type Reach = database.Reach

// Turn is this transaction's turn. Redis must have noted it before the commit.
func (f *Flush) Turn() string { return database.Turn(f.fence.Turn, f.id) }

// Before is the last committed turn of the Redis of [Config.Pair], or "".
func (f *Flush) Before() string {
	if f.fence.Turn <= 1 {
		return ""
	}
	return database.Turn(f.fence.Turn-1, f.fence.ID)
}

// Reach is how far the flushes before this one had read.
func (f *Flush) Reach() Reach { return f.fence.Reach }

// Reaches notes, before [Flush.Write], how far this flush has read.
func (f *Flush) Reaches(r Reach) {
	was := f.fence.Reach
	r.Last, r.Newest = max(r.Last, was.Last), max(r.Newest, was.Newest)
	if f.note != nil {
		f.note = f.reachedAt(r)
	} else {
		f.tx.Note = f.reachedAt(r)
	}
}

// reached notes the turn, if nothing has. And it takes back that everything up to some time and
// version is persisted, where the flush has left out a change: that one is in the database in no
// state that is as new.
func (f *Flush) reached() error {
	d, o := f.store.db.Dialect, f.batch.outcome
	statements := []string{f.tx.Note.Statement(d)}
	if f.tx.Note == nil && len(o.Refused)+len(o.Slow)+f.batch.untried > 0 {
		statements[0] = fmt.Sprintf(`UPDATE afterwrite_fences SET read_before = %d, read_version = %d
			WHERE entity = %s AND "partition" = %d`, f.fence.Reach.Before, int64(f.fence.Reach.Version),
			watching.SQLText(f.table.Entity.Name), f.partition)
	}
	for _, other := range f.others {
		statements = append(statements, other.note.Statement(d))
	}
	for _, statement := range statements {
		if statement == "" {
			continue
		}
		if err := f.store.db.Unavailable("note the turn", f.tx.DB.Exec(statement).Error); err != nil {
			return err
		}
	}
	return nil
}

// reachedAt is what notes a reach and the turn.
func (f *Flush) reachedAt(r Reach) *database.Note {
	return &database.Note{Entity: f.table.Entity.Name, Partition: f.partition, Turn: f.id, Reach: r}
}
