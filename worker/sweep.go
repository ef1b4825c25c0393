package worker

import (
	"context"
	"time"

	"github.com/afterwrite/afterwrite/internal/rdb"
	"github.com/afterwrite/afterwrite/schema"
)

const sweeper = "sweeper" // name of the lease

// sweepLease is how long no worker sweeps after the sweeper's worker died. It is shorter than the life of a flag, so
// that a dead worker's partitions wait for the flag alone.
func (w *Worker) sweepLease() time.Duration { return max(w.flagTTL/2, 2*w.sweepInterval) }

// sweep re-enqueues lost sync tasks while this worker holds the sweeper's lease, until ctx ends. Then it releases the
// lease.
func (w *Worker) sweep(ctx context.Context) {
	w.every(ctx, w.sweepInterval, "sweep", w.sweepOnce)
	w.resign(ctx)
}

func (w *Worker) sweepOnce(ctx context.Context) error {
	err := w.repair(ctx)
	if rdb.Full(err) {
		w.relieve(ctx)
	}
	return err
}

// repair enqueues lost sync tasks if this worker is the leader.
func (w *Worker) repair(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, w.sweepLease())
	defer cancel()
	leading, err := w.cache.Lead(ctx, sweeper, w.id, w.sweepLease())
	w.lead(err == nil && leading)
	if err != nil || !leading {
		return err
	}
	orders, err := w.cache.Sweep(ctx, w.all)
	for _, o := range orders {
		w.metrics.swept.WithLabelValues(o.Entity.Name).Inc()
		w.order(ctx, o)
	}
	if len(orders) > 0 {
		w.log.Info("sweeper re-enqueued lost sync tasks", "orders", len(orders), "first", orders[0].TaskID())
	}
	return err
}

func (w *Worker) resign(ctx context.Context) {
	ctx, cancel := finish(ctx)
	defer cancel()
	if err := w.cache.Resign(ctx, sweeper, w.id); err != nil {
		w.log.Warn("sweeper's lease not released; it expires", "error", err)
	}
	w.lead(false)
}

// lead records whether this worker is the leader, for its other periodic tasks: they are harmless if two workers run
// them.
func (w *Worker) lead(leading bool) {
	w.leading.Store(leading)
	w.metrics.leading.Set(0)
	if leading {
		w.metrics.leading.Set(1)
	}
}

// relieve flushes one batch of every partition without a sync task. When Redis is full of records that must not be
// evicted, it has no room for a sync task, a flag or a lease, and no flush would ever happen again. An ack needs no
// room, and acked records can be evicted, so a few such batches make room for sync tasks.
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
