package worker

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/time/rate"

	"github.com/afterwrite/afterwrite/cache/pending"
	"github.com/afterwrite/afterwrite/schema"
)

// Bounds of moving held records to new times.
const (
	moveEvery = 200 * time.Millisecond // between checks whether there is something to move
	movePage  = 500                    // records per round trip
	moveRate  = 100_000                // records per second
)

// passes are how long after a new policy was read the held records are walked: immediately, and again for records that
// another worker held by the old policy after they were passed. By the last pass every worker has read the new policy.
var passes = []time.Duration{0, time.Second, 4 * time.Second}

// moved counts how often each entity's held records were walked for the active policy.
// Only one goroutine uses it. It is forgotten with the sweeper's lease: the next leader
// walks them once at least, for the configuration may have changed, or the leader before
// it may have died in the middle.
type moved map[string]walked

type walked struct {
	policy *policy
	passes int
}

// toMove makes the mover check immediately.
func (w *Worker) toMove() {
	select {
	case w.moving <- struct{}{}:
	default:
	}
}

// move gives held records of entities whose policy has changed their new times, if this worker is the leader.
func (w *Worker) move(ctx context.Context) error {
	if err := w.checkPairing(); err != nil {
		return err
	}
	if !w.leading.Load() {
		clear(w.moved)
		return nil
	}
	if !w.policies.known.Load() {
		return nil
	}
	for _, e := range w.all {
		p := w.policies.of(e)
		done := w.moved[e.Name]
		if done.policy != p {
			done = walked{policy: p}
		}
		begun := time.Since(p.since)
		if done.passes == len(passes) || begun < passes[done.passes] {
			continue
		}
		n, err := w.moveAll(ctx, e, p)
		if n > 0 {
			w.metrics.moved.WithLabelValues(e.Name).Add(float64(n))
			w.log.Info("held records moved to the new retry policy", "entity", e.Name, "version", p.Version, "moved", n)
		}
		if err != nil {
			return fmt.Errorf("reschedule the held records of %s: %w", e.Name, err)
		}
		for done.passes < len(passes) && passes[done.passes] <= begun {
			done.passes++
		}
		w.moved[e.Name] = done
	}
	return nil
}

// moveAll walks an entity's held records once, at a bounded rate, and ends early if the policy changes again or the
// lease is lost.
func (w *Worker) moveAll(ctx context.Context, e *schema.Entity, p *policy) (n int, err error) {
	limiter := rate.NewLimiter(moveRate, movePage)
	for partition := range e.Partitions {
		done, err := w.movePartition(ctx, e, partition, p, limiter)
		n += done
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

// movePartition walks one partition and enqueues its wake-up for the earliest new time.
func (w *Worker) movePartition(ctx context.Context, e *schema.Entity, partition int, p *policy,
	limiter *rate.Limiter) (n int, err error) {
	var first time.Time
	defer func() {
		if !first.IsZero() {
			w.order(ctx, pending.WakeUp(e, partition, first))
		}
	}()
	for skip := 0; w.leading.Load() && w.policies.of(e) == p; {
		page, err := w.cache.Waiting(ctx, e, partition, skip, movePage)
		if err != nil || len(page) == 0 {
			return n, err
		}
		if err := limiter.WaitN(ctx, len(page)); err != nil {
			return n, err
		}
		some := moves(p.Policy.Policy, page)
		done, err := w.cache.Reschedule(ctx, e, partition, some)
		if err != nil {
			return n, err
		}
		for _, m := range some {
			if first.IsZero() || m.To.Before(first) {
				first = m.To
			}
		}
		n += done
		// Records that moved to a later time make room in the page for records that were not read yet; records that
		// moved to an earlier time are read again, and stay.
		skip += movePage - done
	}
	return n, nil
}

// moves returns new times for the records whose time the active policy could not have drawn: the last attempt plus a
// new delay, which is due immediately if it is past. Other records keep their time, so a repeated pass changes nothing.
func moves(p schema.RetryPolicy, page []pending.Waiting) []pending.Move {
	var moves []pending.Move
	for _, one := range page {
		if k := one.Refusal.Kind; k == schema.KindUnknownField || k == schema.KindTable {
			continue // no policy of a database's refusals, see unknown.go and trouble.go
		}
		low, high := p.Range(one.Refusal.Kind, max(one.Attempts, 1))
		if one.Refusal.Kind == schema.KindForeignKey {
			low = min(low, parentPause) // its parent may be pending, see parent.go
		}
		if d := one.Next.Sub(one.At); d < low-time.Millisecond || d > high+time.Millisecond {
			to := one.At.Add(delay(p, one.Refusal.Kind, max(one.Attempts, 1)))
			moves = append(moves, pending.Move{ID: one.ID, From: one.Next, To: to})
		}
	}
	return moves
}
