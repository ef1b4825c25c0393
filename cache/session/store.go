package session

import (
	"cmp"
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/alexedwards/scs/v2"

	"github.com/afterwrite/afterwrite/cache"
)

// Defaults of [Config].
const (
	DefaultMaxSize = 64 << 10 // bytes
	// TombstoneLife is how long a revoked session cannot be committed again. It is longer than any request can be in
	// progress.
	TombstoneLife = 10 * time.Minute
)

// ErrTooLarge reports a session larger than Config.MaxSize. Nothing was written.
var ErrTooLarge = errors.New("session is too large")

//go:embed find.lua
var findSource string

//go:embed commit.lua
var commitSource string

//go:embed revoke.lua
var revokeSource string

//go:embed index.lua
var indexSource string

// All four scripts are idempotent.
var (
	findScript   = cache.NewScript("session_find", findSource)
	commitScript = cache.NewScript("session_commit", commitSource)
	revokeScript = cache.NewScript("session_revoke", revokeSource)
	indexScript  = cache.NewScript("session_index", indexSource)
)

// Config configures a [Store]. Only Cache is required.
type Config struct {
	Cache   *cache.Cache
	UserKey string        // the session value, a string, that names its user; "": sessions have no user
	Codec   scs.Codec     // the codec of the scs.SessionManager, to read the user; nil: scs.GobCodec
	Idle    time.Duration // how long a session may be idle; 0: until it expires
	MaxSize int           // bytes of one session; 0: DefaultMaxSize
}

// Store is an scs.CtxStore. It is safe for concurrent use, and needs no Close.
type Store struct {
	cache   *cache.Cache
	userKey string
	codec   scs.Codec
	idle    time.Duration
	maxSize int
}

var _ scs.CtxStore = (*Store)(nil)

// New returns a store, or an error that names the invalid field of cfg.
func New(cfg Config) (*Store, error) {
	switch {
	case cfg.Cache == nil:
		return nil, errors.New("session: Cache is required")
	case cfg.Idle < 0 || (cfg.Idle > 0 && cfg.Idle < time.Millisecond):
		return nil, errors.New("session: Idle must be 0 or at least 1ms")
	}
	s := &Store{cache: cfg.Cache, userKey: cfg.UserKey, codec: cfg.Codec, idle: cfg.Idle,
		maxSize: cmp.Or(cfg.MaxSize, DefaultMaxSize)}
	if s.codec == nil {
		s.codec = scs.GobCodec{}
	}
	return s, nil
}

// ID returns the name under which the session of a token is listed. It reveals nothing about the token.
func ID(token string) string {
	sum := sha256.Sum256([]byte(token))
	return hex.EncodeToString(sum[:])
}

func (s *Store) key(id string) []string { return []string{s.cache.Key("session", id, "s")} }

func (s *Store) index(user string) []string {
	return []string{s.cache.Key("sessions", ID(user), "ids")}
}

// FindCtx returns the data of a session, and extends its life if Config.Idle is set.
func (s *Store) FindCtx(ctx context.Context, token string) ([]byte, bool, error) {
	reply, err := s.cache.Eval(ctx, findScript, s.key(ID(token)), s.idle.Milliseconds())
	if err != nil {
		return nil, false, fmt.Errorf("find session: %w", err)
	}
	found, ok := read("", reply)
	return []byte(found.data), ok, nil
}

// CommitCtx writes a session that ends at expiry. A revoked session stays revoked.
func (s *Store) CommitCtx(ctx context.Context, token string, data []byte, expiry time.Time) error {
	life := time.Until(expiry).Milliseconds()
	if life <= 0 {
		return s.DeleteCtx(ctx, token)
	}
	if len(data) > s.maxSize {
		return fmt.Errorf("commit session of %d bytes, at most %d: %w", len(data), s.maxSize, ErrTooLarge)
	}
	id, user := ID(token), s.user(data)
	if user != "" {
		// If we crash here the list contains a session that does not exist; reading the list drops it.
		if _, err := s.cache.Eval(ctx, indexScript, s.index(user), "add", life, id); err != nil {
			return fmt.Errorf("list session: %w", err)
		}
	}
	if _, err := s.cache.Eval(ctx, commitScript, s.key(id), data, user, life, s.idle.Milliseconds()); err != nil {
		return fmt.Errorf("commit session: %w", err)
	}
	return nil
}

// user returns the user of a session's data, "" if it has none.
func (s *Store) user(data []byte) string {
	if s.userKey == "" {
		return ""
	}
	_, values, err := s.codec.Decode(data)
	if err != nil {
		return "" // the data has another codec: the session can be found, but not listed
	}
	user, _ := values[s.userKey].(string)
	return user
}

// DeleteCtx ends a session. Ending a session that does not exist is not an error.
func (s *Store) DeleteCtx(ctx context.Context, token string) error {
	if _, err := s.cache.Eval(ctx, revokeScript, s.key(ID(token)), TombstoneLife.Milliseconds(), "", ""); err != nil {
		return fmt.Errorf("delete session: %w", err)
	}
	return nil
}

// Find is FindCtx without a context.
func (s *Store) Find(token string) ([]byte, bool, error) {
	return s.FindCtx(context.Background(), token)
}

// Commit is CommitCtx without a context.
func (s *Store) Commit(token string, data []byte, expiry time.Time) error {
	return s.CommitCtx(context.Background(), token, data, expiry)
}

// Delete is DeleteCtx without a context.
func (s *Store) Delete(token string) error { return s.DeleteCtx(context.Background(), token) }
