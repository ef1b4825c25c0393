package store

import (
	"context"
	"fmt"

	"github.com/afterwrite/afterwrite/schema"
)

// FlushAhead flushes like [Store.Flush], and reads the batch before the fence is locked
// where whoever holds one fence keeps every flush waiting, on SQLite; if anybody has
// committed meanwhile, it reads again behind the lock. It is for a partition that has more
// due than one batch takes: there is nothing that waiting would add to the batch.
func (s *Store) FlushAhead(ctx context.Context, e *schema.Entity, partition int, read Reader) (Flushed, error) {
	return s.flush(ctx, e, flush{partition: partition, read: read, ahead: s.dialect.ahead()})
}

// early is a batch that was read before the fence was locked. It is as good as one read
// behind the lock if nobody has committed in between: after the look at the fence, which
// came before the read, and before the lock.
type early struct {
	flushes int64 // of the fence, at the look
	changes []schema.Change
}

// readAhead reads the batch while others write theirs.
func (f *flush) readAhead(ctx context.Context) (*early, error) {
	flushes, err := f.store.flushes(ctx, f.table.entity.Name, f.partition)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNotLocked, err)
	}
	changes, err := f.readBatch(ctx)
	if err != nil {
		return nil, err
	}
	return &early{flushes, changes}, nil
}

// flushes is the number of transactions that held the partition's fence and committed, as
// it is now, without locking it.
func (s *Store) flushes(ctx context.Context, entity string, partition int) (int64, error) {
	defer s.metrics.time("fence")()
	var flushes []int64
	err := s.read(ctx).Table("afterwrite_fences").Where("entity = ? AND partition = ?", entity, partition).
		Pluck("flushes", &flushes).Error
	if err != nil || len(flushes) == 0 {
		return 0, s.unavailable("look at the fence", err)
	}
	return flushes[0], nil
}
