package afterwrite

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/afterwrite/afterwrite/cache"
	"github.com/afterwrite/afterwrite/schema"
)

// Written is a write that was accepted: every later read sees it.
type Written struct {
	ID       string // in canonical text
	Version  Version
	Status   Status // Pending, or Persisted where the write went to the database first
	Repeated bool   // it had been accepted before, under its IdempotencyKey

	db     *DB
	entity *schema.Entity
}

// Wait is nil once this or a newer version is in the database, [*HeldError] or [*DeadError]
// where it refused that; another error: it is pending.
func (w Written) Wait(ctx context.Context) error {
	if w.Status == Persisted {
		return nil
	}
	if w.db == nil {
		return fmt.Errorf("%w: the zero Written", ErrNotFound)
	}
	state, err := w.db.parts.Cache.Wait(ctx, w.entity, w.ID, w.Version)
	if err != nil {
		return err
	}
	return w.fate(ctx, state)
}

func (w Written) fate(ctx context.Context, s cache.State) error {
	var refusal schema.Refusal
	if s.Refusal != nil {
		refusal = *s.Refusal
	}
	switch version := s.Record.Version; s.Record.Status {
	case Held:
		return &HeldError{w.entity.Name, w.ID, version, refusal, s.Attempts, s.NextAttempt}
	case Dead:
		return &DeadError{w.entity.Name, w.ID, version, refusal, s.Attempts, s.DiedAt}
	case Pending:
		err := ctx.Err()
		if err == nil { // the process has no place for another waiter, or ends
			err = fmt.Errorf("%w: the wait for %s %s ended while it is pending", ErrUnavailable, w.entity.Name, w.ID)
		}
		if s.Refusal != nil { // the table's trouble, not the record's
			err = errors.Join(err, refusal)
		}
		return err
	}
	return nil
}

// HeldError is a record that the database refused, and that will be retried.
type HeldError struct {
	Entity, ID string
	Version    Version        // newest accepted
	Refusal    schema.Refusal // its kind, and the database's message
	Attempts   int
	Next       time.Time // of the next attempt
}

func (e *HeldError) Error() string {
	return fmt.Sprintf("%s %s: refused %d times, next attempt at %s: %s", e.Entity, e.ID, e.Attempts,
		e.Next.Format(time.RFC3339), e.Refusal.Error())
}

func (e *HeldError) Unwrap() error { return e.Refusal }

// DeadError is a dead letter: an operator retries, edits or discards it.
type DeadError struct {
	Entity, ID string
	Version    Version
	Refusal    schema.Refusal
	Attempts   int
	Died       time.Time
}

func (e *DeadError) Error() string {
	return fmt.Sprintf("%s %s: a dead letter after %d attempts: %s", e.Entity, e.ID, e.Attempts, e.Refusal.Error())
}

func (e *DeadError) Unwrap() error { return e.Refusal }
