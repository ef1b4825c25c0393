package producer

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/afterwrite/afterwrite/cache"
	"github.com/afterwrite/afterwrite/schema"
)

// database writes records of entities whose writes go to the database first: the store.
type Database interface {
	Through(ctx context.Context, e *schema.Entity, id string, decide func(ctx context.Context, row schema.Row,
		before, turn string) (schema.Change, error),
		beside func(context.Context, []schema.Beside) error) (written *schema.Change, err error)
}

// barriers keep a record out of the cache while it is written to the database first: the cache implements them.
type barriers interface {
	Bar(ctx context.Context, e *schema.Entity, id string, match schema.Version, life time.Duration,
		turn cache.Turn) (cache.Barrier, error)
	Unbar(ctx context.Context, b cache.Barrier, committed *schema.Change, keep bool) error
	BarAll(ctx context.Context, e *schema.Entity, ids []string, life time.Duration) (token string, err error)
	UnbarAll(ctx context.Context, e *schema.Entity, ids []string, token string) error
	InvalidateMatch(ctx context.Context, e *schema.Entity, pattern string, progress func(dropped int)) (int, error)
	Wait(ctx context.Context, e *schema.Entity, id string, version schema.Version) (cache.State, error)
}

// RefusedError is the database's refusal of a write that goes to it first. If Version is zero, nothing was written.
// Otherwise the record was already pending, so the write was accepted as write-behind, and is held or dead.
type RefusedError struct {
	Entity  *schema.Entity
	Refusal schema.Refusal
	Version schema.Version
	Status  schema.Status
}

func (e *RefusedError) Error() string { return "refused by the database: " + e.Refusal.Error() }

// Unwrap returns the refusal.
func (e *RefusedError) Unwrap() error { return e.Refusal }

// errNoKey rejects an Idempotency-Key on a write that goes to the database first: its outcome could not be stored in
// the same step.
var errNoKey = schema.Invalid("Idempotency-Key", "is not kept for entities with write: through or around")

// through writes a record to the database first. The fence orders the write among all writes of its partition, so the
// cache is filled in the order of the commits:
//
//	lock the fence → bar the cache → read the row → write it → COMMIT → unbar
//
// If we crash before COMMIT nothing was written, and the barrier expires; after COMMIT the barrier expires too, and the
// next read loads the new row. The newest state of a record that is pending, held or dead (the entity's mode was
// changed, or an operator edited a dead letter) is only in Redis: it is written behind, and through waits until it is
// persisted.
func (p *Producer) through(ctx context.Context, e *schema.Entity, w cache.Write) (cache.Written, schema.Status, error) {
	if w.Key != "" {
		return cache.Written{}, "", errNoKey
	}
	ctx, cancel := context.WithTimeout(ctx, p.timeout)
	defer cancel()
	var change schema.Change
	var barrier cache.Barrier
	var others []barred
	written, err := p.database.Through(ctx, e, w.ID, func(ctx context.Context, row schema.Row, before,
		turn string) (schema.Change, error) {
		var err error
		// The barrier outlives the transaction, which ends with the context.
		noted := cache.Turn{Before: before, Turn: turn}
		if barrier, err = p.cache.Bar(ctx, e, w.ID, w.IfMatch, 3*p.timeout, noted); err != nil {
			return change, err
		}
		change, err = w.Apply(e, row)
		change.Version = barrier.Version
		return change, err
	}, func(ctx context.Context, beside []schema.Beside) (err error) {
		others, err = p.barAll(ctx, beside)
		return err
	})
	if written == nil || err == nil {
		p.unbarAll(ctx, others)
	}
	switch {
	case errors.Is(err, cache.ErrBehind):
		return p.behindAndWait(ctx, e, w)
	case err == nil:
		keep := e.Write == schema.WriteThrough
		if written.Row != nil { // the database has the last word
			keep, written.Values = keep && len(written.Row) > 0, written.Row
		}
		p.unbar(ctx, barrier, written, keep)
		return cache.Written{Version: barrier.Version, Values: w.Added(e, change.Values)}, schema.Persisted, nil
	case written != nil:
		// The reply to COMMIT was lost. The barrier stays until it expires: until then a reader can see the row change.
		return cache.Written{}, "", fmt.Errorf("%w: %w", schema.ErrOutcomeUnknown, err)
	}
	if barrier.Version > 0 {
		p.unbar(ctx, barrier, nil, false)
	}
	if refusal, ok := errors.AsType[schema.Refusal](err); ok {
		err = &RefusedError{Entity: e, Refusal: refusal}
	}
	return cache.Written{}, "", err
}

// unbar ends a barrier even if the caller has gone. If it fails, the barrier expires by itself, and the counters miss a
// write that was both accepted and persisted.
func (p *Producer) unbar(ctx context.Context, b cache.Barrier, committed *schema.Change, keep bool) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), p.timeout)
	defer cancel()
	if err := p.cache.Unbar(ctx, b, committed, keep); err != nil {
		p.orders.log.WarnContext(ctx, "cache not updated after a write through; the next read fills it", "error", err)
	}
}

// barred are records that the database changes beside the one that is written.
type barred struct {
	schema.Beside
	token string
}

func (p *Producer) barAll(ctx context.Context, beside []schema.Beside) (all []barred, err error) {
	for _, b := range beside {
		token := ""
		if !b.All {
			token, err = p.cache.BarAll(ctx, b.Entity, b.IDs, 3*p.timeout)
		}
		if all = append(all, barred{b, token}); err != nil {
			return all, err
		}
	}
	return all, nil
}

// unbarAll ends barriers. Of too many records to be listed the whole entity is dropped.
func (p *Producer) unbarAll(ctx context.Context, all []barred) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), p.timeout)
	defer cancel()
	for _, b := range all {
		var err error
		if b.All {
			_, err = p.cache.InvalidateMatch(ctx, b.Entity, "*", nil)
		} else {
			err = p.cache.UnbarAll(ctx, b.Entity, b.IDs, b.token)
		}
		if err != nil {
			p.orders.log.WarnContext(ctx, "barriers not ended after a write through; they end by themselves",
				"entity", b.Entity.Name, "error", err)
		}
	}
}

func (p *Producer) behindAndWait(ctx context.Context, e *schema.Entity, w cache.Write) (cache.Written, schema.Status,
	error) {
	written, err := p.submitOne(ctx, e, w)
	if err != nil {
		return written, "", err
	}
	state, err := p.cache.Wait(ctx, e, w.ID, written.Version)
	if err != nil {
		return written, schema.Pending, nil // the write is accepted; only its new status is unknown
	}
	if state.Refusal != nil && state.Record.Status != schema.Pending {
		return written, state.Record.Status, &RefusedError{e, *state.Refusal, written.Version, state.Record.Status}
	}
	return written, state.Record.Status, nil
}
