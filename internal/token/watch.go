package token

import (
	"context"
	"sync/atomic"
	"time"
)

// Run reads the tokens and records which were used, until ctx ends. It returns nil.
func (g *Guard) Run(ctx context.Context) error {
	tick := time.NewTicker(g.refresh)
	defer tick.Stop()
	for first := true; ; first = false {
		g.look(ctx)
		if first {
			close(g.asked)
		}
		if time.Since(g.noted) >= g.noting {
			g.note(ctx)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			g.note(context.WithoutCancel(ctx))
			return nil
		}
	}
}

// look reads the tokens. After an error the tokens that were read last stay valid.
func (g *Guard) look(ctx context.Context) {
	within, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	began := time.Now() // a token revoked after this may still be among them
	tokens, err := g.book.LivingTokens(within)
	if ctx.Err() != nil {
		return
	}
	if err != nil {
		if !g.failed {
			g.log.Warn("tokens not read; known tokens stay valid for a limited time", "error", err, "for", g.grace)
		}
		g.failed = true
		return
	}
	if g.failed {
		g.log.Info("tokens are read again")
	}
	if len(tokens) == 0 && g.required && g.current.Load() == nil {
		g.log.Warn("every request needs a token, and no token exists yet",
			"hint", "afterwrite token new NAME --scope '*:read,write'")
	}
	g.failed = false
	g.current.Store(g.arrange(tokens, began))
}

// arrange makes a ring of the tokens, and keeps the marks of tokens that still live.
func (g *Guard) arrange(tokens []Token, at time.Time) *ring {
	r := &ring{readAt: at, keys: make(map[uint64][]key, len(tokens)), size: len(tokens)}
	marks := make(map[int64]*atomic.Bool, len(tokens))
	for _, t := range tokens {
		mark := g.marks[t.Number]
		if mark == nil {
			mark = new(atomic.Bool)
		}
		marks[t.Number] = mark
		place := t.Hash.place()
		r.keys[place] = append(r.keys[place], key{
			hash: t.Hash, expires: t.ExpiresAt, used: mark,
			who: Identity{Number: t.Number, Name: t.Name, Scopes: t.Scopes},
		})
	}
	g.marks = marks
	return r
}

// note records which tokens were used since the last note. After an error they are recorded the next time.
func (g *Guard) note(ctx context.Context) {
	var used []int64
	for number, mark := range g.marks {
		if mark.Swap(false) {
			used = append(used, number)
		}
	}
	now := time.Now()
	g.noted = now
	if len(used) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	if err := g.book.TokensUsed(ctx, used, now); err != nil {
		g.log.Debug("last use of tokens not recorded; will retry", "error", err)
		for _, number := range used {
			g.marks[number].Store(true)
		}
	}
}
