package session

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/afterwrite/afterwrite/cache"
)

// Session is one session of a user.
type Session struct {
	ID      string // see [ID]
	Created time.Time
	Used    time.Time // when it was last read or committed
	Expires time.Time // if it is not used before then

	user, data string
}

// List returns the sessions of a user, the last used first. An id stays on the user's list until its session would have
// expired, idle or not: a session that is not in Redis may be about to be written, see CommitCtx.
func (s *Store) List(ctx context.Context, user string) ([]Session, error) {
	ids, err := s.ids(ctx, user, "read")
	if err != nil {
		return nil, fmt.Errorf("list sessions: %w", err)
	}
	calls := make([]*cache.Call, len(ids))
	for i, id := range ids {
		calls[i] = &cache.Call{Keys: s.key(id), Args: []any{""}}
	}
	s.cache.EvalMany(ctx, findScript, calls...)
	var list []Session
	for i, one := range calls {
		if one.Err != nil {
			return nil, fmt.Errorf("list sessions: %w", one.Err)
		}
		if found, ok := read(ids[i], one.Reply); ok && found.user == user {
			list = append(list, found)
		}
	}
	slices.SortFunc(list, func(a, b Session) int { return b.Used.Compare(a.Used) })
	return list, nil
}

// Revoke ends one session of a user, and reports whether it existed.
func (s *Store) Revoke(ctx context.Context, user, id string) (bool, error) {
	n, err := s.revoke(ctx, user, []string{id})
	return n == 1, err
}

// RevokeAll ends all sessions of a user except those of the tokens in keep, and returns how many it ended. Whatever the
// user commits after that is a new session.
func (s *Store) RevokeAll(ctx context.Context, user string, keep ...string) (int, error) {
	ids, err := s.ids(ctx, user, "read")
	if err != nil {
		return 0, fmt.Errorf("revoke sessions: %w", err)
	}
	for _, token := range keep {
		if i := slices.Index(ids, ID(token)); i >= 0 {
			ids = slices.Delete(ids, i, i+1)
		}
	}
	return s.revoke(ctx, user, ids)
}

func (s *Store) revoke(ctx context.Context, user string, ids []string) (int, error) {
	if len(ids) == 0 {
		return 0, nil
	}
	calls := make([]*cache.Call, len(ids))
	remove := []any{"remove"}
	for i, id := range ids {
		calls[i] = &cache.Call{Keys: s.key(id), Args: []any{TombstoneLife.Milliseconds(), "1", user}}
		remove = append(remove, id)
	}
	s.cache.EvalMany(ctx, revokeScript, calls...)
	ended := 0
	for _, one := range calls {
		if one.Err != nil {
			return ended, fmt.Errorf("revoke sessions: %w", one.Err) // a repeated call continues
		}
		if n, _ := one.Reply.(int64); n == 1 {
			ended++
		}
	}
	if _, err := s.cache.Eval(ctx, indexScript, s.index(user), remove...); err != nil {
		return ended, fmt.Errorf("revoke sessions: %w", err)
	}
	return ended, nil
}

func (s *Store) ids(ctx context.Context, user string, args ...any) ([]string, error) {
	reply, err := s.cache.Eval(ctx, indexScript, s.index(user), args...)
	if err != nil {
		return nil, err
	}
	list, _ := reply.([]any)
	ids := make([]string, 0, len(list))
	for _, id := range list {
		if text, ok := id.(string); ok {
			ids = append(ids, text)
		}
	}
	return ids, nil
}

// read decodes the reply of the find script.
func read(id string, reply any) (Session, bool) {
	list, _ := reply.([]any)
	if len(list) != 5 {
		return Session{}, false
	}
	text := func(i int) string { v, _ := list[i].(string); return v }
	at := func(i int) time.Time { n, _ := strconv.ParseInt(text(i), 10, 64); return time.UnixMilli(n) }
	left, _ := list[4].(int64)
	return Session{
		ID: id, Created: at(2), Used: at(3),
		Expires: time.Now().Add(time.Duration(left) * time.Millisecond).Truncate(time.Second),
		data:    text(0), user: text(1),
	}, true
}
