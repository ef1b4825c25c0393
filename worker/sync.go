package worker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/afterwrite/afterwrite/internal/queue"
	"github.com/afterwrite/afterwrite/schema"
)

// Reasons to defer a task: the error that the queue's tools show, and a metric label.
var (
	errStopping = errors.New("the worker is stopping")
	errClosed   = errors.New("the database did not answer other flushes")
	errNumber   = errors.New("this worker runs with another number of partitions than the others: restart it with their configuration")
)

// redisPause is how long a task is deferred after an error of Redis.
const redisPause = time.Second

// sync runs one sync task: it flushes the partition until nothing is due or the task's time slice is used up. A task
// whose generation is stale returns before it uses the database. The error is a [queue.Later] if the task should run
// again.
func (w *Worker) sync(ctx context.Context, t queue.Task) error {
	w.tasks.Add(1)
	defer w.tasks.Done()
	w.busy.Add(1)
	defer w.busy.Add(-1)

	e, ok := w.entities[t.Entity]
	if !ok || t.Partition < 0 || t.Partition >= e.Partitions {
		return w.nowhere(ctx, e, t)
	}
	o := schema.Order{Entity: e, Partition: t.Partition, Generation: t.Generation}
	live, err := w.cache.Begin(ctx, o, w.flagTTL)
	if err != nil {
		return w.later("redis", fmt.Errorf("begin %s: %w", o.TaskID(), err), redisPause)
	}
	if live.None() {
		w.metrics.stale.Inc()
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, w.slice+4*w.patience(e)+finishTimeout)
	defer cancel()
	err = w.work(ctx, live)
	var later queue.Later
	if !errors.As(err, &later) {
		return err
	}
	return w.putOff(ctx, t, live, later)
}

// nowhere drops a task of a partition that does not exist, unless this worker may be the one that is wrong: the number
// of partitions was changed, and another worker can run the task.
func (w *Worker) nowhere(ctx context.Context, e *schema.Entity, t queue.Task) error {
	if e != nil {
		if agrees, err := w.cache.Agrees(ctx, e); err != nil || !agrees {
			w.log.Error("sync task left to others", "entity", t.Entity, "partition", t.Partition, "error",
				errors.Join(errNumber, err))
			return w.later("partitions", errNumber, redisPause)
		}
	}
	w.log.Warn("sync task dropped: no such partition", "entity", t.Entity, "partition", t.Partition)
	return nil
}

// work flushes batch after batch while the flag is kept, and ends the task.
func (w *Worker) work(ctx context.Context, live schema.Order) error {
	flag := w.keep(ctx, live)
	defer flag.release()
	until := time.Now().Add(w.slice)
	for {
		if w.ending() {
			return w.later("stopping", errStopping, 0)
		}
		began := time.Now()
		more, err := w.flush(ctx, live)
		if err != nil {
			return err
		}
		took := time.Since(began)
		over := w.ending() || flag.lost() || time.Now().After(until)
		if more && !over {
			continue
		}
		done, err := w.end(ctx, live, over)
		if err != nil || done {
			return err
		}
		w.lull(ctx, gathering(took))
	}
}

// gathering is how long a task whose batch was not full lets the next batch grow while writes keep coming, after a
// flush that took as long as it says. A flush of a few records costs nearly as much as a flush of many, so a partition
// flushes for two fifths of the time at most; but no record waits longer for that than 50 ms.
func gathering(took time.Duration) time.Duration {
	return min(max(took+took/2, 10*time.Millisecond), 50*time.Millisecond)
}

func (w *Worker) lull(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-w.stopping:
	case <-time.After(d):
	}
}

// end frees the partition's flag or enqueues a successor; done is false if something became due meanwhile and the task
// should continue.
func (w *Worker) end(ctx context.Context, live schema.Order, handOver bool) (done bool, err error) {
	ctx, cancel := finish(ctx)
	defer cancel()
	ending, err := w.cache.End(ctx, live, handOver)
	if err != nil {
		return false, w.later("redis", fmt.Errorf("end %s: %w", live.TaskID(), err), redisPause)
	}
	if ending.More {
		return false, nil
	}
	w.order(ctx, ending.Next)
	return true, nil
}

// order enqueues a sync task. If that fails the sweeper enqueues another, so the task itself does not fail.
func (w *Worker) order(ctx context.Context, o schema.Order) {
	if o.None() {
		return
	}
	if err := w.queue.Enqueue(ctx, o); err != nil {
		w.log.Warn("sync task not enqueued; the sweeper will enqueue it", "task", o.TaskID(), "error", err)
	}
}

// putOff extends the flag until the task runs again, so that the sweeper enqueues no other meanwhile. If the extension
// shows that the task's generation is stale, the task ends. A wake-up does not run again itself: its payload lacks the
// generation that it took, so a task with that generation replaces it.
func (w *Worker) putOff(ctx context.Context, t queue.Task, live schema.Order, later queue.Later) error {
	ctx, cancel := finish(ctx)
	defer cancel()
	still, err := w.cache.Begin(ctx, live, later.After+w.flagTTL)
	if err == nil && still.None() {
		w.metrics.stale.Inc()
		return nil
	}
	if err == nil && t.Generation == 0 {
		live.Delay = later.After
		w.order(ctx, live)
		return nil
	}
	return later
}

// later returns the error that defers a task, and counts it by reason.
func (w *Worker) later(reason string, err error, after time.Duration) error {
	w.metrics.putOff.WithLabelValues(reason).Inc()
	return queue.Later{Err: err, After: after}
}
