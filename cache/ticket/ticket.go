// Package ticket keeps tickets in Redis: a ticket stands for its owner for a short time, where the owner's own
// credentials cannot be sent. Redis has only its digest.
package ticket

import (
	"context"
	_ "embed"
	"fmt"
	"time"

	"github.com/afterwrite/afterwrite/cache"
)

// Bounds of the tickets.
const (
	Life = time.Minute // of a ticket
	Most = 100         // living tickets of one owner
)

//go:embed ticket.lua
var source string

// The script is idempotent but for the life that a repeat extends.
var script = cache.NewScript("ticket", source)

// Keeper keeps tickets for all processes that share a Redis. It is safe for concurrent use, and needs no Close.
type Keeper struct{ cache *cache.Cache }

// New returns a keeper of tickets.
func New(c *cache.Cache) *Keeper { return &Keeper{c} }

// Keep keeps the digest of a ticket for [Life], and reports whether it did: an owner has [Most] tickets at most.
func (k *Keeper) Keep(ctx context.Context, owner, digest string) (bool, error) {
	return k.run(ctx, "keep", owner, digest, Life.Milliseconds(), Most)
}

// Has reports whether a ticket is kept.
func (k *Keeper) Has(ctx context.Context, owner, digest string) (bool, error) {
	return k.run(ctx, "look for", owner, digest, "", "")
}

func (k *Keeper) run(ctx context.Context, what, owner, digest string, args ...any) (bool, error) {
	reply, err := k.cache.Eval(ctx, script, []string{k.cache.Key("ticket", owner, "t")},
		append([]any{digest}, args...)...)
	if err != nil {
		return false, fmt.Errorf("%s a ticket: %w", what, err)
	}
	return reply == int64(1), nil
}
