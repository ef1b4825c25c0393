package worker

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/afterwrite/afterwrite/schema"
	"github.com/afterwrite/afterwrite/store/ledger"
)

// policyEvery is the time between reads of the active policies. A process that changes one publishes a hint through
// Redis, so that workers usually follow immediately. If a hint is missed, reading the policy and moving the held
// records (move.go) still take less than two seconds.
const policyEvery = 500 * time.Millisecond

// policyTimeout bounds one read.
const policyTimeout = 5 * time.Second

// policies are the active retry policies by entity: those of the configuration until
// the live ones have been read. Each is swapped whole, so that one decision is made by one
// policy. They are safe for concurrent use.
type policies struct {
	by    map[string]*atomic.Pointer[policy]
	known atomic.Bool // read from the database once; until then no record may die
}

// policy is an active policy, and when this process first read it.
type policy struct {
	ledger.Policy
	since time.Time
}

func newPolicies(entities []*schema.Entity) *policies {
	p := &policies{by: make(map[string]*atomic.Pointer[policy], len(entities))}
	for _, e := range entities {
		p.by[e.Name] = &atomic.Pointer[policy]{}
		p.by[e.Name].Store(&policy{ledger.Policy{Entity: e.Name, Policy: e.Retry}, time.Now()})
	}
	return p
}

func (p *policies) of(e *schema.Entity) *policy { return p.by[e.Name].Load() }

func (p *policies) retry(e *schema.Entity) schema.RetryPolicy { return p.of(e).Policy.Policy }

// exhausted reports whether a record that was refused that often becomes a dead letter. Until the active policies are
// read no record does: the configuration's may be stricter.
func (p *policies) exhausted(e *schema.Entity, k schema.Kind, attempts int) bool {
	return p.known.Load() && attempts >= p.retry(e).For(k).MaxAttempts
}

// delay draws a random delay from [schema.RetryPolicy.Range].
func delay(p schema.RetryPolicy, k schema.Kind, attempt int) time.Duration {
	low, high := p.Range(k, attempt)
	if high <= low {
		return high
	}
	return low + time.Duration(rand.Int64N(int64(high-low))) + 1
}

// follow reads the active policies. If they cannot be read, the previous ones stay.
func (w *Worker) follow(ctx context.Context) error {
	if err := w.checkPairing(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, policyTimeout)
	defer cancel()
	current, err := w.store.CurrentPolicies(ctx)
	if err != nil {
		return fmt.Errorf("follow the retry policies: %w", err)
	}
	for _, e := range w.all {
		live, ok := current[e.Name]
		if !ok || live.Version == w.policies.of(e).Version {
			continue
		}
		if err := live.Policy.Check(); err != nil {
			return fmt.Errorf("retry policy %d of %s: %w", live.Version, e.Name, err)
		}
		w.policies.by[e.Name].Store(&policy{live, time.Now()})
		w.metrics.policy.WithLabelValues(e.Name).Set(float64(live.Version))
		w.toMove()
		w.log.Info("retry policy changed", "entity", e.Name, "version", live.Version, "author", live.Author)
	}
	w.policies.known.Store(true)
	return nil
}

// maxPatience bounds the time of one batch, whatever the entity's policy says: the queue lets a task run for two
// minutes, and the last batch together with an isolated record after it can take three times maxPatience.
const maxPatience = 35 * time.Second

// patience returns the longest that one batch of the entity can take in the database.
func (w *Worker) patience(e *schema.Entity) time.Duration {
	return min(w.policies.retry(e).Timeout, maxPatience)
}
