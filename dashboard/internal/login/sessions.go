package login

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/alexedwards/scs/v2"
)

// Bounds of what sessions ask of the database.
const (
	fallbackTimeout = 2 * time.Second  // longest wait for it
	fallbackPause   = 3 * time.Second  // after an error, in which it is not asked
	fallbackEvery   = 10 * time.Minute // between two writes of a session that is only used
	fallbackFinds   = 4                // at once: anybody can send a cookie that is in no store
)

// errPaused reports a database that has just failed.
var errPaused = errors.New("the database failed a moment ago")

// Sessions keeps log-ins in a store for all processes, which is Redis, in the database, and in
// this process's memory, so that operators get in when the pages are needed most. What Redis
// does not have, because it is full, was emptied or does not answer, the database may have; where
// neither answers, the memory has what was begun here.
type Sessions struct {
	store    scs.CtxStore
	fallback scs.CtxStore // the database; nil: there is none
	here     scs.Store    // in memory; with what the database was last given, see [noteKey]
	log      *slog.Logger

	finds  chan struct{} // has fallbackFinds places
	failed atomic.Int64  // when the database last failed, ns
}

var _ scs.CtxStore = (*Sessions)(nil)

// NewSessions returns sessions that are kept in store, in fallback, where that is not nil, and here, in memory.
func NewSessions(store, fallback, here scs.Store, log *slog.Logger) *Sessions {
	s := &Sessions{store: withContext(store), here: here, log: log, finds: make(chan struct{}, fallbackFinds)}
	if fallback != nil {
		s.fallback = withContext(fallback)
	}
	return s
}

// FindCtx returns the session of the first store that has it. One that neither Redis nor the
// database has was ended somewhere, and is ended here.
func (s *Sessions) FindCtx(ctx context.Context, token string) ([]byte, bool, error) {
	data, found, err := s.store.FindCtx(ctx, token)
	if err == nil && found {
		return data, true, nil
	}
	if s.fallback != nil {
		if err != nil {
			s.log.DebugContext(ctx, "a session is looked for in the database", "error", err)
		}
		data, found, err = s.findInDatabase(ctx, token)
	}
	switch {
	case ctx.Err() != nil:
		return nil, false, ctx.Err()
	case err != nil:
		s.log.DebugContext(ctx, "a session is looked for in memory", "error", err)
		return s.here.Find(token)
	case !found:
		s.forget(token)
	}
	return data, found, nil
}

func (s *Sessions) findInDatabase(ctx context.Context, token string) (data []byte, found bool, err error) {
	err = s.ask(ctx, func(ctx context.Context) error {
		select {
		case s.finds <- struct{}{}:
			defer func() { <-s.finds }()
		case <-ctx.Done():
			return ctx.Err()
		}
		data, found, err = s.fallback.FindCtx(ctx, token)
		return err
	})
	return data, found, err
}

// CommitCtx writes a session to all stores. One that neither Redis nor the database takes lives in
// memory until it is looked for in one that answers.
func (s *Sessions) CommitCtx(ctx context.Context, token string, data []byte, expiry time.Time) error {
	_ = s.here.Commit(token, data, expiry)
	if err := s.store.CommitCtx(ctx, token, data, expiry); err != nil {
		s.log.DebugContext(ctx, "Redis has not taken a session", "error", err)
	}
	if s.fallback == nil {
		return nil
	}
	// Every request extends a session, so the database is given most of them only now and then.
	note := expiry.Truncate(fallbackEvery).UTC().String() + string(data)
	if noted, _, _ := s.here.Find(noteKey(token)); string(noted) == note {
		return nil
	}
	err := s.ask(ctx, func(ctx context.Context) error { return s.fallback.CommitCtx(ctx, token, data, expiry) })
	if err != nil {
		s.log.DebugContext(ctx, "the database has not taken a session", "error", err)
		return nil
	}
	_ = s.here.Commit(noteKey(token), []byte(note), expiry)
	return nil
}

// DeleteCtx ends a session in all stores. It fails where one still has it: it would be found again.
func (s *Sessions) DeleteCtx(ctx context.Context, token string) error {
	s.forget(token)
	err := s.store.DeleteCtx(ctx, token)
	if s.fallback == nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, fallbackTimeout)
	defer cancel()
	return errors.Join(err, s.fallback.DeleteCtx(ctx, token))
}

// ask calls the database, for a short time only, and not while it has just failed.
func (s *Sessions) ask(ctx context.Context, do func(ctx context.Context) error) error {
	if time.Since(time.Unix(0, s.failed.Load())) < fallbackPause {
		return errPaused
	}
	bounded, cancel := context.WithTimeout(ctx, fallbackTimeout)
	defer cancel()
	err := do(bounded)
	if err != nil && ctx.Err() == nil {
		s.failed.Store(time.Now().UnixNano())
	}
	return err
}

func (s *Sessions) forget(token string) {
	_ = s.here.Delete(token) // it is a map
	_ = s.here.Delete(noteKey(token))
}

// noteKey is where the memory has what the database was last given of a session. No token has a space.
func noteKey(token string) string { return "noted " + token }

// The methods without a context are those of an older interface.

func (s *Sessions) Find(token string) ([]byte, bool, error) {
	return s.FindCtx(context.Background(), token)
}

func (s *Sessions) Commit(token string, data []byte, expiry time.Time) error {
	return s.CommitCtx(context.Background(), token, data, expiry)
}

func (s *Sessions) Delete(token string) error { return s.DeleteCtx(context.Background(), token) }

// withContext is a store as one that takes contexts.
func withContext(store scs.Store) scs.CtxStore {
	if c, ok := store.(scs.CtxStore); ok {
		return c
	}
	return ignorant{store}
}

// ignorant is a store that takes no contexts.
type ignorant struct{ scs.Store }

func (i ignorant) FindCtx(_ context.Context, token string) ([]byte, bool, error) {
	return i.Find(token)
}

func (i ignorant) CommitCtx(_ context.Context, token string, data []byte, expiry time.Time) error {
	return i.Commit(token, data, expiry)
}

func (i ignorant) DeleteCtx(_ context.Context, token string) error { return i.Delete(token) }
