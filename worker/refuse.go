package worker

import (
	"context"
	"errors"
	"fmt"

	"github.com/afterwrite/afterwrite/cache/pending"
	"github.com/afterwrite/afterwrite/schema"
	"github.com/afterwrite/afterwrite/store"
)

// setAside holds refused records until their next attempt, or makes them dead letters.
func (w *Worker) setAside(ctx context.Context, f *flushing, refused []store.Refused) error {
	if len(refused) == 0 {
		return nil
	}
	o := f.order
	held, dying, err := w.judge(ctx, f, refused)
	if err != nil {
		return err
	}
	_, holdErr := w.cache.Hold(ctx, o.Entity, o.Partition, held)
	return errors.Join(wrap("hold", o, len(held), holdErr), w.die(ctx, o, dying))
}

// judge splits refused records into those that are retried, at a time drawn from their policy, and those whose policy
// is exhausted.
func (w *Worker) judge(ctx context.Context, f *flushing, refused []store.Refused) (held, dying []pending.Refused,
	err error) {
	o := f.order
	waits, err := w.parents(ctx, o.Entity, refused)
	if err != nil {
		return nil, nil, fmt.Errorf("look for parents: %w", err)
	}
	for _, one := range refused {
		wait := waits[one.ID]
		wait.early = wait.early || wait.arrived && f.due[one.ID].Attempts == 0
		c := w.attempt(f, one, wait)
		w.metrics.refused.WithLabelValues(o.Entity.Name, string(one.Refusal.Kind)).Inc()
		if one.Unmapped {
			held = append(held, w.unmapped(f, one))
			continue
		}
		if !wait.early && !one.Blocked && w.policies.exhausted(o.Entity, one.Refusal.Kind, c.Attempts) {
			dying = append(dying, c)
		} else {
			held = append(held, c)
		}
	}
	return held, dying, nil
}

// attempt computes the result of a refusal: the record's attempts, its history and the time of the next attempt. An
// attempt that came too early, before the record's parent, does not count unless it is the first, and one that another
// transaction was in the way of does not count.
func (w *Worker) attempt(f *flushing, one store.Refused, wait waitForParent) pending.Refused {
	e, due, now := f.order.Entity, f.due[one.ID], f.now()
	refused := pending.Refused{
		Change: one.Change, Refusal: one.Refusal, Attempts: due.Attempts + 1, History: due.History,
		Since: due.PendingSince, At: now, Apart: one.Apart,
	}
	switch {
	case one.Blocked, wait.early && due.Attempts > 0:
		refused.Attempts = due.Attempts
	default:
		refused.History = append(refused.History, schema.Attempt{
			Number: refused.Attempts, At: now.UTC(), Kind: one.Refusal.Kind, Message: one.Refusal.Message, Worker: w.id,
		})
	}
	delay := w.policies.retry(e).Delay(one.Refusal.Kind, max(refused.Attempts, 1))
	if wait.early {
		delay = min(delay, wait.pause)
	}
	if refused.Next = now.Add(delay); refused.Next.Before(f.behind) {
		refused.Next = f.behind
	}
	return refused
}
