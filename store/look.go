package store

import (
	"context"
	"fmt"

	"github.com/afterwrite/afterwrite/schema"
	"github.com/afterwrite/afterwrite/store/fault"
)

// On SQLite a transaction that holds one fence keeps every other flush of the database
// waiting. So a batch is read before it, while others write theirs, and is as good as one
// read behind the lock if no transaction of the partition has committed in between: after
// the look at the fence, which comes before the read, and before the lock.
//
//	look := s.Look(…)
//	batch := …                         others may commit
//	f := s.Begin(…)
//	if !f.Follows(look) { batch = … }  read again, behind the lock

// Look is what a fence showed at one moment. No flush follows the zero Look.
type Look struct {
	flushes int64
	looked  bool
}

// Useful reports whether it pays to read a batch before the fence is locked.
func (l Look) Useful() bool { return l.looked }

// Look reads the fence without locking it, where a locked one keeps other partitions waiting. An error is
// [fault.ErrNotLocked].
func (s *Store) Look(ctx context.Context, e *schema.Entity, partition int) (Look, error) {
	if !s.db.Dialect.Ahead() {
		return Look{}, nil
	}
	defer s.db.Metrics.Time("fence")()
	var flushes []int64
	err := s.db.Read(ctx).Table("afterwrite_fences").Where(`entity = ? AND "partition" = ?`, e.Name, partition).
		Pluck("flushes", &flushes).Error
	if err != nil {
		err = fmt.Errorf("%w: %w", fault.ErrNotLocked, s.db.Unavailable("look at the fence", err))
		return Look{}, fmt.Errorf("flush %s/%d: %w", e.Name, partition, err)
	}
	if len(flushes) == 0 {
		return Look{looked: true}, nil
	}
	return Look{flushes[0], true}, nil
}

// Follows reports whether no flush has committed between the look and this lock.
func (f *Flush) Follows(l Look) bool { return l.looked && f.fence.Flushes == l.flushes+1 }
