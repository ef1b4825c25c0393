package worker

import (
	"context"

	"github.com/afterwrite/afterwrite/internal/rdb"
	"github.com/afterwrite/afterwrite/schema"
)

// relieve flushes one batch of every partition without a sync task. When Redis is full of records that must not be
// evicted, it has no room for a sync task, a flag or a lease, and no flush would ever happen again. An ack needs no
// room, and acked records can be evicted, so a few such batches make room for sync tasks.
//
// Meanwhile a refused record cannot be held, which would need room; the other records of its batch are acked, and the
// other partitions have their turn.
//
// Every worker does this, because no worker can become the leader. The fence orders two workers in one partition, or a
// worker and a task.
func (w *Worker) relieve(ctx context.Context) {
	ctx = context.WithoutCancel(ctx) // a batch that has begun is completed
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
				w.log.Warn("flush failed while Redis is full", "entity", e.Name, "partition", partition, "error", err)
				told = true
			}
			if !rdb.Full(err) {
				return // the error would affect the other partitions, too
			}
		}
	}
}
