package dashboard

import (
	"context"
	"log/slog"
	"time"

	"github.com/alexedwards/scs/v2"
)

// sessions keeps log-ins in a store for all processes and, beside it, in this process's
// memory: who is logged in stays so while the store, Redis, does not answer, which is when
// the pages are needed most. While it answers it alone is believed.
type sessions struct {
	store scs.Store
	here  scs.Store // in memory
	log   *slog.Logger
}

var _ scs.CtxStore = sessions{}

// FindCtx asks the store. What it has no longer was ended somewhere, and is ended here.
func (s sessions) FindCtx(ctx context.Context, token string) ([]byte, bool, error) {
	var data []byte
	var found bool
	var err error
	if c, ok := s.store.(scs.CtxStore); ok {
		data, found, err = c.FindCtx(ctx, token)
	} else {
		data, found, err = s.store.Find(token)
	}
	switch {
	case err != nil && ctx.Err() == nil:
		s.log.DebugContext(ctx, "sessions are read from memory", "error", err)
		return s.here.Find(token)
	case err == nil && !found:
		_ = s.here.Delete(token) // it is a map
	}
	return data, found, err
}

// CommitCtx writes a session to both. One that the store does not take lives until it is
// looked for there.
func (s sessions) CommitCtx(ctx context.Context, token string, data []byte, expiry time.Time) error {
	_ = s.here.Commit(token, data, expiry)
	var err error
	if c, ok := s.store.(scs.CtxStore); ok {
		err = c.CommitCtx(ctx, token, data, expiry)
	} else {
		err = s.store.Commit(token, data, expiry)
	}
	if err != nil {
		s.log.DebugContext(ctx, "a session is kept in memory alone", "error", err)
	}
	return nil
}

// DeleteCtx ends a session in both. That it stands in the store is an error: it would be
// believed again.
func (s sessions) DeleteCtx(ctx context.Context, token string) error {
	_ = s.here.Delete(token)
	if c, ok := s.store.(scs.CtxStore); ok {
		return c.DeleteCtx(ctx, token)
	}
	return s.store.Delete(token)
}

// The methods without a context are those of an older interface.
func (s sessions) Find(token string) ([]byte, bool, error) {
	return s.FindCtx(context.Background(), token)
}
func (s sessions) Commit(token string, data []byte, expiry time.Time) error {
	return s.CommitCtx(context.Background(), token, data, expiry)
}
func (s sessions) Delete(token string) error { return s.DeleteCtx(context.Background(), token) }
