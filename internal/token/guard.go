package token

import (
	"cmp"
	"context"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Times and bounds.
const (
	RefreshInterval = 2 * time.Second // between two reads of the tokens
	RevokedWithin   = 5 * time.Second // a read may itself take readTimeout
	Grace           = time.Hour       // how long tokens stay valid while the database is down
	UsedInterval    = time.Minute     // between two writes of the times at which tokens were last used
	MaxTokens       = 1000            // living tokens of a deployment

	readTimeout = 2 * time.Second
)

// Errors of a request's token.
var (
	// ErrNone reports a request without a token where a token is required.
	ErrNone = errors.New("this needs a token")
	// ErrScheme reports an Authorization header that is not "Bearer" followed by a token.
	ErrScheme = errors.New("the Authorization header must be: Bearer " + Prefix + "…")
	// ErrRepeated reports several Authorization headers.
	ErrRepeated = errors.New("there are several Authorization headers")
	// ErrUnknown reports a token that was revoked or never created.
	ErrUnknown = errors.New("there is no such token: it was revoked or never made")
	// ErrExpired reports an expired token.
	ErrExpired = errors.New("the token has expired")
	// ErrTicket reports a ticket that was never made, has ended, or is for other entities.
	ErrTicket = errors.New("the ticket was never made, has ended, or was made for other entities: make another")
	// ErrUnread reports that no token can be checked: the database has not responded since the process started, or for
	// longer than [Grace].
	ErrUnread = errors.New("the tokens could not be read from the database")
)

// Errors of changing the tokens.
var (
	// ErrNameTaken reports that a living token has the name.
	ErrNameTaken = errors.New("a living token has this name")
	// ErrNoSuchName reports that no living token has the name.
	ErrNoSuchName = errors.New("no living token has this name")
	// ErrTooMany reports that there are already MaxTokens living tokens.
	ErrTooMany = errors.New("there are too many tokens: revoke some")
)

// Token is a token as stored.
type Token struct {
	Number    int64 // given by the database
	Name      string
	Hash      Hash
	Scopes    Scopes
	CreatedAt time.Time
	CreatedBy string
	ExpiresAt time.Time // zero: never
	UsedAt    time.Time // to the minute; zero: never
	RevokedAt time.Time // zero: not revoked
	RevokedBy string
}

// book stores the tokens: the store implements it.
type book interface {
	// LivingTokens returns the tokens that are not revoked; some may have expired.
	LivingTokens(ctx context.Context) ([]Token, error)
	// TokensUsed records that tokens were used at a time.
	TokensUsed(ctx context.Context, numbers []int64, at time.Time) error
}

// Config configures a [Guard]. Book is required.
type Config struct {
	Book       book
	Required   bool                  // rejects requests without a token
	Log        *slog.Logger          // nil: slog.Default()
	Registerer prometheus.Registerer // nil: no metrics

	// For tests; 0: the constants of the same names.
	RefreshInterval, Grace, UsedInterval time.Duration
}

// Guard identifies requests. It is safe for concurrent use. Until Run has read the tokens it rejects every token.
type Guard struct {
	book     book
	required bool
	log      *slog.Logger
	refresh  time.Duration
	grace    time.Duration
	noting   time.Duration

	current atomic.Pointer[ring] // nil until the tokens were read
	asked   chan struct{}        // closed after the first read

	// Used by Run only.
	marks  map[int64]*atomic.Bool // used since the last write, by number
	noted  time.Time
	failed bool // whether the last read failed
}

// ring is the tokens at one moment. It does not change except for the marks.
type ring struct {
	readAt time.Time
	keys   map[uint64][]key // by the first bytes of the hash
	size   int
}

type key struct {
	hash    Hash
	expires time.Time
	who     Identity
	used    *atomic.Bool
}

// NewGuard returns a guard, or an error where its metrics are registered already.
func NewGuard(cfg Config) (*Guard, error) {
	g := &Guard{
		book: cfg.Book, required: cfg.Required, log: cmp.Or(cfg.Log, slog.Default()),
		refresh: cmp.Or(cfg.RefreshInterval, RefreshInterval), grace: cmp.Or(cfg.Grace, Grace),
		noting: cmp.Or(cfg.UsedInterval, UsedInterval), marks: map[int64]*atomic.Bool{}, asked: make(chan struct{}),
	}
	if cfg.Registerer == nil {
		return g, nil
	}
	return g, errors.Join(
		cfg.Registerer.Register(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "afterwrite_tokens", Help: "Living API tokens that this process knows.",
		}, func() float64 { return float64(g.ring().size) })),
		cfg.Registerer.Register(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "afterwrite_tokens_read_timestamp_seconds",
			Help: "When the API tokens were last read from the database; 0: never.",
		}, func() float64 {
			if at := g.ring().readAt; !at.IsZero() {
				return float64(at.UnixMilli()) / 1000
			}
			return 0
		})),
		cfg.Registerer.Register(expiry{g}),
	)
}

// Read waits until the first read of the tokens has succeeded or failed, and reports whether ctx is still active.
func (g *Guard) Read(ctx context.Context) bool {
	select {
	case <-g.asked:
		return true
	case <-ctx.Done():
		return false
	}
}

// Required reports whether requests without a token are rejected.
func (g *Guard) Required() bool { return g.required }

func (g *Guard) ring() *ring {
	if r := g.current.Load(); r != nil {
		return r
	}
	return &ring{}
}

// Identify returns the identity of a request with these headers: [Anybody] if it has no token and none is required. If
// no token is required, credentials that are not one of our tokens are meant for a proxy in front and are ignored; one
// of our tokens is always checked.
func (g *Guard) Identify(h http.Header) (Identity, error) {
	given := h["Authorization"]
	switch {
	case len(given) == 0 && !g.required:
		return Anybody, nil
	case len(given) == 0:
		return Identity{}, ErrNone
	case len(given) > 1 && g.required:
		return Identity{}, ErrRepeated
	}
	text, ok := bearer(given[0])
	switch {
	case ok:
		return g.check(text)
	case g.required:
		return Identity{}, ErrScheme
	}
	return Anybody, nil
}

// bearer returns the token of an Authorization header, if it has one of ours.
func bearer(header string) (string, bool) {
	scheme, text, _ := strings.Cut(header, " ")
	text = strings.Trim(text, " ")
	return text, strings.EqualFold(scheme, "Bearer") && strings.HasPrefix(text, Prefix)
}

func (g *Guard) check(text string) (Identity, error) {
	hash, err := Parse(text)
	if err != nil {
		return Identity{}, err
	}
	return g.valid(func(r *ring) (key, bool) { return r.find(hash) })
}

// Of returns the identity of the token with that number, as long as the token is accepted.
func (g *Guard) Of(number int64) (Identity, error) {
	return g.valid(func(r *ring) (key, bool) { return r.numbered(number) })
}

func (g *Guard) valid(find func(*ring) (key, bool)) (Identity, error) {
	now := time.Now()
	r := g.ring()
	if r.readAt.IsZero() || now.Sub(r.readAt) > g.grace {
		return Identity{}, ErrUnread
	}
	k, ok := find(r)
	switch {
	case !ok && now.Sub(r.readAt) > RevokedWithin:
		return Identity{}, ErrUnread // it may have been created since
	case !ok:
		return Identity{}, ErrUnknown
	case !k.expires.IsZero() && !now.Before(k.expires):
		return Identity{}, ErrExpired
	}
	if !k.used.Load() { // a plain load first: all processors share the mark
		k.used.Store(true)
	}
	return k.who, nil
}

// find looks a token up by the first bytes of its hash and compares the rest in constant time. The time of the lookup
// can reveal bytes of a hash, which do not lead to the secret.
func (r *ring) find(h Hash) (key, bool) {
	for _, k := range r.keys[h.place()] {
		if subtle.ConstantTimeCompare(k.hash[:], h[:]) == 1 {
			return k, true
		}
	}
	return key{}, false
}

// numbered looks a token up by its number, among at most [MaxTokens].
func (r *ring) numbered(number int64) (key, bool) {
	for _, keys := range r.keys {
		for _, k := range keys {
			if k.who.Number == number {
				return k, true
			}
		}
	}
	return key{}, false
}

func (h Hash) place() uint64 { return binary.LittleEndian.Uint64(h[:]) }
