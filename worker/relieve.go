package worker

import (
	"context"

	"github.com/afterwrite/afterwrite/internal/rdb"
	"github.com/afterwrite/afterwrite/schema"
)

// relieve flushes one batch of every partition without an order. When Redis is full of
// what it may not evict, no sync task, flag or lease finds room in it, and nothing would
// ever be flushed again. An ack needs no room, and what is acked may be evicted, so a few
// of these make room for orders.
//
// A refused record cannot be held meanwhile, which takes room; its neighbours are acked,
// and the other partitions have their turn.
//
// Every worker does this, for none can be the leader. Two of them in one partition, or a
// task beside them, are kept apart by its fence, as ever.
func (w *Worker) relieve(ctx context.Context) {
	ctx = context.WithoutCancel(ctx) // a batch that has begun is finished
	told := false
	for _, e := range w.all {
		for partition := range e.Partitions {
			if w.ending() {
				return
			}
			_, err := w.flush(ctx, schema.Order{Entity: e, Partition: partition})
			if err == nil {
				continue
			}
			if !told {
				w.log.Warn("flush of a full Redis failed", "entity", e.Name, "partition", partition, "error", err)
				told = true
			}
			if !rdb.Full(err) {
				return // it would fail the others, too
			}
		}
	}
}
