package cache

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/afterwrite/afterwrite/cache/events"
	"github.com/afterwrite/afterwrite/schema"
)

// waitPoll is how often a waiter reads the state if no event arrives.
const waitPoll = time.Second

// Wait returns once a version of a record, or a newer one, is persisted or was refused. If the context ends first, it
// returns the current state and no error.
func (c *Cache) Wait(ctx context.Context, e *schema.Entity, id string, version schema.Version) (State, error) {
	sub, err := c.bus.SubscribeTo(ctx, e, id)
	if err != nil {
		return c.lastStatus(ctx, e, id)
	}
	defer sub.Close()
	poll := time.NewTicker(waitPoll)
	defer poll.Stop()
	for {
		state, err := c.waited(ctx, e, id)
		if ctx.Err() != nil {
			return c.lastStatus(ctx, e, id)
		}
		if err != nil || state.settled() {
			return state, cmp.Or(err, state.lost(version))
		}
		if err := awaitEvent(ctx, sub, poll.C); err != nil {
			return c.lastStatus(ctx, e, id)
		}
	}
}

// waited reads the state of a record for a caller that waits for it. One that is held for a worker that knows its
// fields, or for its table, was not refused: to the caller it is pending. The trouble of a table is told.
func (c *Cache) waited(ctx context.Context, e *schema.Entity, id string) (State, error) {
	s, err := c.Status(ctx, e, id)
	if err != nil || s.Record.Status != schema.Held {
		return s, err
	}
	switch s.Refusal.Kind {
	case schema.KindTable:
		s.Record.Status = schema.Pending
	case schema.KindUnknownField:
		s.Record.Status, s.Refusal, s.NextAttempt, s.History = schema.Pending, nil, time.Time{}, nil
	}
	return s, nil
}

// settled reports whether nothing more will happen to the record by itself soon.
func (s State) settled() bool { return s.Record.Status != schema.Pending }

// lost returns an error if Redis has come back without an accepted write, as it can after a power loss or a failover:
// the record is older than the awaited version.
func (s State) lost(version schema.Version) error {
	if s.Cached && s.Record.Version < version {
		return fmt.Errorf("wait: redis has lost version %d of the record: %w", version, schema.ErrOutcomeUnknown)
	}
	return nil
}

func awaitEvent(ctx context.Context, sub *events.Subscription, poll <-chan time.Time) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-sub.C():
	case <-sub.Lost():
	case <-poll:
	}
	return nil
}

// lastStatus reads the state for a caller whose context has ended.
func (c *Cache) lastStatus(ctx context.Context, e *schema.Entity, id string) (State, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	return c.waited(ctx, e, id)
}
