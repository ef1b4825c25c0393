// Package logs bounds what repeats in a log. While a dependency is away, every request fails with the same message: at
// 20,000 requests per second a log grows by megabytes per second, and the disk is full before anybody reads it.
package logs

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"
)

// Bounds of [Bounded].
const (
	Burst  = 10               // lines of one kind within a window
	Window = 10 * time.Second // after its first line
	kinds  = 1000             // that are counted at once; lines of others pass
)

// kindAttrs are the attributes that distinguish warnings of one message: few values each, and none a caller chooses.
var kindAttrs = []string{"problem", "entity", "task", "queue"}

// Bounded returns a handler that passes on, of warnings and errors of one kind, the first [Burst] within a [Window].
// The rest is counted; one line at the end of the window is the last of them, with the count as the attribute repeated.
// A kind is the level, the message and its problem, entity, task or queue.
func Bounded(h slog.Handler) slog.Handler {
	return bounded{h, &counts{window: Window, of: map[kind]*count{}}, nil}
}

type bounded struct {
	slog.Handler
	counts *counts
	with   []slog.Attr // attributes of the logger that distinguish kinds
}

type kind struct {
	level   slog.Level
	message string
	of      string
}

type count struct {
	lines int
	last  slog.Record // the last that was not passed on
	to    slog.Handler
}

type counts struct {
	window time.Duration
	mu     sync.Mutex // guards of
	of     map[kind]*count
}

// WithAttrs implements [slog.Handler].
func (b bounded) WithAttrs(attrs []slog.Attr) slog.Handler {
	with := slices.Clone(b.with)
	for _, a := range attrs {
		if slices.Contains(kindAttrs, a.Key) {
			with = append(with, a)
		}
	}
	return bounded{b.Handler.WithAttrs(attrs), b.counts, with}
}

// WithGroup implements [slog.Handler].
func (b bounded) WithGroup(name string) slog.Handler {
	return bounded{b.Handler.WithGroup(name), b.counts, b.with}
}

// Handle implements [slog.Handler].
func (b bounded) Handle(ctx context.Context, r slog.Record) error {
	if r.Level < slog.LevelWarn || !b.counts.take(b.kind(r), r, b.Handler) {
		return b.Handler.Handle(ctx, r)
	}
	return nil
}

func (b bounded) kind(r slog.Record) kind {
	k := kind{level: r.Level, message: r.Message}
	for _, a := range b.with {
		k.of += a.Key + "=" + a.Value.String() + " "
	}
	r.Attrs(func(a slog.Attr) bool {
		if slices.Contains(kindAttrs, a.Key) {
			k.of += a.Key + "=" + a.Value.String() + " "
		}
		return true
	})
	return k
}

// take counts a line and reports whether it is kept back.
func (c *counts) take(k kind, r slog.Record, to slog.Handler) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := c.of[k]
	if n == nil {
		if len(c.of) >= kinds {
			return false
		}
		n = &count{}
		c.of[k] = n
		time.AfterFunc(c.window, func() { c.end(k) })
	}
	if n.lines++; n.lines <= Burst {
		return false
	}
	n.last, n.to = r.Clone(), to
	return true
}

// end closes the window of a kind and logs how many lines were kept back.
func (c *counts) end(k kind) {
	c.mu.Lock()
	n := c.of[k]
	delete(c.of, k)
	c.mu.Unlock()
	if n.lines > Burst {
		n.last.AddAttrs(slog.Int("repeated", n.lines-Burst))
		_ = n.to.Handle(context.Background(), n.last) // a log that cannot be written has no other log
	}
}
