package worker

import (
	"context"
	"time"

	"github.com/afterwrite/afterwrite/cache/pending"
	"github.com/afterwrite/afterwrite/schema"
	"github.com/afterwrite/afterwrite/store"
)

// Some records keep their whole batch from being persisted: their statement hangs, or kills the connection. Once such a
// record is found it is isolated: it is held, never read into a batch again, and written alone.
//
// It is found in two ways. If statements can be bounded, the store gives up those that hang and reports which records
// are slow (store/hang.go). That does not count as an attempt, because no record had the full time; the slow records
// are due immediately, alone. Otherwise suspicion finds the one record (suspect.go), and its refusal is an attempt.
//
// An isolated record may hold its partition's fence for as long as the policy's timeout, while accepted writes wait. So
// only one is tried at a time, after everything else that is due. After an attempt that hung, the other isolated
// records pause, so that most of the partition's time is left for its other records however many are isolated.
//
// All of this is stored in Redis with the held record, so every worker sees it. A newer write ends the isolation,
// because its values may not hang.

// restFactor is how many times longer than the last attempt the other isolated records of the partition pause after it.
const restFactor = 4

// isolate holds records that were slow in a batch, to be written alone. It counts no attempt. If we crash before it
// they are pending as before.
func (w *Worker) isolate(ctx context.Context, f *flushing, slow []store.Refused) error {
	if len(slow) == 0 {
		return nil
	}
	o, now := f.order, f.now()
	held := make([]pending.Refused, len(slow))
	for i, one := range slow {
		due := f.due[one.ID]
		held[i] = pending.Refused{
			Change: one.Change, Refusal: one.Refusal, Attempts: due.Attempts, History: due.History,
			Since: due.PendingSince, Next: now, At: now, Isolated: true,
		}
	}
	n, err := w.cache.Hold(ctx, o.Entity, o.Partition, held)
	w.metrics.isolated.WithLabelValues(o.Entity.Name).Add(float64(n))
	w.log.WarnContext(ctx, "records isolated: their statement hangs, so each is written alone", "entity", o.Entity.Name,
		"partition", o.Partition, "records", n, "first", slow[0].ID, "error", slow[0].Refusal.Message)
	return wrap("isolate", o, len(slow), err)
}

// letRest postpones the other isolated records after an attempt that held the fence in vain: those that are due, and
// those that would become due during the pause. They become due a millisecond apart, in their order, and the record
// that was tried comes after them. So each has its turn.
func (w *Worker) letRest(ctx context.Context, f *flushing, refused []store.Refused) error {
	if !f.alone || len(refused) == 0 || !refused[0].Isolate {
		return nil
	}
	o := f.order
	to := f.now().Add(restFactor * time.Since(f.started))
	others, err := w.isolatedBefore(ctx, o, to)
	if err != nil {
		return wrap("postpone", o, 0, err)
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
	return wrap("postpone", o, len(moves), err)
}

// isolatedBefore lists the isolated records that are due before a time.
func (w *Worker) isolatedBefore(ctx context.Context, o schema.Order, before time.Time) (isolated []pending.Waiting,
	err error) {
	for skip := 0; ; skip += movePage {
		page, err := w.cache.Waiting(ctx, o.Entity, o.Partition, skip, movePage)
		if err != nil || len(page) == 0 {
			return isolated, err
		}
		for _, one := range page {
			if !one.Next.Before(before) {
				return isolated, nil
			}
			if one.Isolated {
				isolated = append(isolated, one)
			}
		}
	}
}
