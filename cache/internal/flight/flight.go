// Package flight is how records and values are loaded once for all callers: those of this process share a load, and
// those of other processes wait for the one that has the lease.
package flight

import (
	"context"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/afterwrite/afterwrite/internal/rdb"
)

// Group shares the loads of concurrent callers of one process. It is safe for concurrent use.
type Group struct{ group singleflight.Group }

// Do runs load, or waits for a load of the key that another caller began. A load outlives the caller that began it,
// because others may wait for it: its context ends after life, and not with the caller's. mine reports whether this
// caller began it. If ctx ends first, Do returns its error.
func (g *Group) Do(ctx context.Context, key string, life time.Duration,
	load func(ctx context.Context) (any, error)) (result any, mine bool, err error) {
	flight := g.group.DoChan(key, func() (any, error) {
		mine = true
		detached, cancel := context.WithTimeout(context.WithoutCancel(ctx), life)
		defer cancel()
		return load(detached)
	})
	select {
	case <-ctx.Done():
		return nil, false, ctx.Err()
	case r := <-flight:
		return r.Val, mine, r.Err
	}
}

// Forget keeps later callers from joining the present load of a key.
func (g *Group) Forget(key string) { g.group.Forget(key) }

// Detach runs do so that a caller that goes does not end it: others may wait for what it loads. Its context ends after
// life.
func Detach(ctx context.Context, life time.Duration, do func(ctx context.Context) error) error {
	done := make(chan error, 1)
	go func() {
		detached, cancel := context.WithTimeout(context.WithoutCancel(ctx), life)
		defer cancel()
		done <- do(detached)
	}()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Outcome is what became of one turn of a load.
type Outcome int

// The outcomes of a turn.
const (
	Done  Outcome = iota // everything was found or loaded
	Wait                 // another load has a lease
	Again                // what was found cannot be used
)

// Run takes turns until everything is found or loaded. A turn asks for the leases, and loads what it was granted. After
// a turn that met another load's lease it waits, longer each time. A turn that is late has waited long enough, and
// loads without a lease.
func Run(ctx context.Context, wait time.Duration, turn func(ctx context.Context, late bool) (Outcome, error)) error {
	until := time.Now().Add(wait)
	for pause := time.Millisecond; ; {
		outcome, err := turn(ctx, time.Now().After(until))
		if err != nil || outcome == Done {
			return err
		}
		if outcome == Wait {
			if err := rdb.Sleep(ctx, pause); err != nil {
				return err
			}
			pause = min(2*pause, 50*time.Millisecond)
		}
	}
}
