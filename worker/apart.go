package worker

import (
	"context"
	"time"

	"github.com/afterwrite/afterwrite/cache/pending"
	"github.com/afterwrite/afterwrite/schema"
	"github.com/afterwrite/afterwrite/store"
)

// Some records keep their whole batch from being persisted: their statement hangs, or
// costs the connection. Once that is known of a record it is set apart: it is held, never
// read into a batch again, and tried alone.
//
// It is known in two ways. Where statements can be bounded the store gives up those that
// hang and tells which records are slow (store/hang.go). That is no attempt, since none had
// all of its time; they are due alone at once. Else suspicion finds the one record
// (suspect.go), and its refusal is an attempt.
//
// A record that is tried alone may hold its partition's fence for as long as the policy's
// timeout, and what is accepted meanwhile waits. So there is one at a time, behind
// everything else that is due, and after one that hung the others rest, so that most of the
// partition's time is its neighbours' however many are set apart.
//
// All of this is in Redis, beside the held record, so whichever worker has the next task
// knows it. A newer write puts the record back among the others: it may be another story.

// restFactor is how much longer than the last attempt took the records of the partition
// that are set apart rest after it.
const restFactor = 4

// setApart holds records that were slow in a batch, to be tried alone. It counts no
// attempt. If we crash before it they are pending as before.
func (w *Worker) setApart(ctx context.Context, f *flushing, slow []store.Refused) error {
	if len(slow) == 0 {
		return nil
	}
	o, now := f.order, f.now()
	held := make([]pending.Refused, len(slow))
	for i, one := range slow {
		due := f.due[one.ID]
		held[i] = pending.Refused{
			Change: one.Change, Refusal: one.Refusal, Attempts: due.Attempts, History: due.History,
			Since: due.PendingSince, Next: now, At: now, Apart: true,
		}
	}
	n, err := w.cache.Hold(ctx, o.Entity, o.Partition, held)
	w.metrics.apart.WithLabelValues(o.Entity.Name).Add(float64(n))
	w.log.Warn("records set apart: a statement hangs for them, so each is tried alone", "entity", o.Entity.Name,
		"partition", o.Partition, "records", n, "first", slow[0].ID, "error", slow[0].Refusal.Message)
	return wrap("set apart", o, len(slow), err)
}

// letRest puts off the others that are set apart, after one that has kept the fence for
// nothing: those that are due and those that would be before the rest is over, a millisecond
// after one another in their order, and that one behind them. So each has its turn.
func (w *Worker) letRest(ctx context.Context, f *flushing, refused []store.Refused) error {
	if !f.alone || len(refused) == 0 || !refused[0].Apart {
		return nil
	}
	o := f.order
	to := f.now().Add(restFactor * time.Since(f.started))
	others, err := w.apartBefore(ctx, o, to)
	if err != nil {
		return wrap("put off", o, 0, err)
	}
	var moves []pending.Move
	for _, one := range others {
		if one.ID != refused[0].ID {
			moves = append(moves, pending.Move{ID: one.ID, From: one.Next, To: to})
			to = to.Add(time.Millisecond)
		}
	}
	f.behind = to
	_, err = w.cache.Reschedule(ctx, o.Entity, o.Partition, moves)
	return wrap("put off", o, len(moves), err)
}

// apartBefore lists the records that are set apart and due before that time.
func (w *Worker) apartBefore(ctx context.Context, o schema.Order, before time.Time) (apart []pending.Waiting, err error) {
	for skip := 0; ; skip += movePage {
		page, err := w.cache.Waiting(ctx, o.Entity, o.Partition, skip, movePage)
		if err != nil || len(page) == 0 {
			return apart, err
		}
		for _, one := range page {
			if !one.Next.Before(before) {
				return apart, nil
			}
			if one.Apart {
				apart = append(apart, one)
			}
		}
	}
}
