package worker

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/afterwrite/afterwrite/cache/pending"
	"github.com/afterwrite/afterwrite/schema"
	"github.com/afterwrite/afterwrite/store"
	"github.com/afterwrite/afterwrite/store/ledger"
)

// refuse records in Redis what becomes of refused records, as settle does for the others of a batch.
func (w *Worker) refuse(ctx context.Context, f *flushing, refused []store.Refused) error {
	ctx, cancel := finish(ctx)
	defer cancel()
	return errors.Join(w.letRest(ctx, f, refused), w.setAside(ctx, f, refused))
}

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
		Since: due.PendingSince, At: now, Isolated: one.Isolate,
	}
	switch {
	case one.Blocked, wait.early && due.Attempts > 0:
		refused.Attempts = due.Attempts
	default:
		refused.History = append(refused.History, schema.Attempt{
			Number: refused.Attempts, At: now.UTC(), Kind: one.Refusal.Kind, Message: one.Refusal.Message, Worker: w.id,
		})
	}
	after := delay(w.policies.retry(e), one.Refusal.Kind, max(refused.Attempts, 1))
	if wait.early {
		after = min(after, wait.pause)
	}
	if refused.Next = now.Add(after); refused.Next.Before(f.behind) {
		refused.Next = f.behind
	}
	return refused
}

// die makes dead letters of refused records whose policy is exhausted, and then has the
// records die. A letter that cannot be inserted leaves its record as it was, due for its
// next flush.
func (w *Worker) die(ctx context.Context, o schema.Order, dying []pending.Refused) error {
	if len(dying) == 0 {
		return nil
	}
	dying, err := w.remembered(ctx, o, dying)
	if err != nil || len(dying) == 0 {
		return err
	}
	letters := make([]ledger.Letter, len(dying))
	for i, one := range dying {
		letters[i] = Letter(o.Entity, one)
	}
	if err := w.store.InsertDead(ctx, letters); err != nil {
		return err
	}
	// If we crash here the letters are in the database and their records still pending or held. The next refusal
	// repeats both steps and leaves the letters unchanged; if a record is persisted or rewritten instead, the sweeper
	// resolves its letter.
	died, err := w.cache.Die(ctx, o.Entity, o.Partition, dying)
	if err != nil {
		return wrap("die", o, len(dying), err)
	}
	for _, one := range dying {
		w.metrics.dead.WithLabelValues(o.Entity.Name, string(one.Refusal.Kind)).Inc()
		w.metrics.attempts.WithLabelValues(o.Entity.Name).Observe(float64(one.Attempts))
	}
	w.log.WarnContext(ctx, "refused records became dead letters", "entity", o.Entity.Name, "partition", o.Partition,
		"letters", len(dying), "died", died, "first", dying[0].Refusal.Kind)
	return nil
}

// remembered records the letters in Redis before they are inserted, because the sweeper resolves only letters recorded
// there. It leaves out records that a newer write has replaced meanwhile.
func (w *Worker) remembered(ctx context.Context, o schema.Order, dying []pending.Refused) ([]pending.Refused, error) {
	versions := make([]schema.Versioned, len(dying))
	for i, one := range dying {
		versions[i] = schema.Versioned{ID: one.Change.ID, Version: one.Change.Version}
	}
	noted, err := w.cache.Remember(ctx, o.Entity, o.Partition, versions)
	if err != nil {
		return nil, wrap("remember", o, len(dying), err)
	}
	var left []pending.Refused
	for i, one := range dying {
		if noted[i] {
			left = append(left, one)
		}
	}
	return left, nil
}

// Letter returns the dead letter of a refused record.
func Letter(e *schema.Entity, one pending.Refused) ledger.Letter {
	l := ledger.Letter{
		Entity: e.Name, ID: one.Change.ID, Version: one.Change.Version, Deleted: one.Change.Deleted,
		Refusal: one.Refusal, Attempts: one.Attempts, AcceptedAt: one.Since, DiedAt: one.At,
	}
	if l.AcceptedAt.IsZero() {
		l.AcceptedAt = one.At
	}
	if !l.Deleted {
		l.Payload = string(e.AppendFields(nil, one.Change.Values))
		if one.Change.Only != nil {
			l.Changed = make([]string, len(one.Change.Only))
		}
		for n, i := range one.Change.Only {
			l.Changed[n] = e.Fields[i].Name
		}
	}
	l.History = slices.Clone(one.History)
	if last, o := len(l.History)-1, one.Change.Origin; last >= 0 && o != nil {
		l.History[last].TraceID, l.History[last].RequestID = o.Trace(), o.Request
	}
	return l
}
