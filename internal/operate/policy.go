package operate

import (
	"context"
	"fmt"
	"time"

	"github.com/afterwrite/afterwrite/internal/fleet"
	"github.com/afterwrite/afterwrite/schema"
	"github.com/afterwrite/afterwrite/store"
	"github.com/afterwrite/afterwrite/store/ledger"
)

// Policy returns the active retry policy of an entity: the newest live one, or at
// version 0 that of the configuration.
func (m *Operator) Policy(ctx context.Context, entity string) (ledger.Policy, error) {
	e, err := m.entity(entity)
	if err != nil {
		return ledger.Policy{}, err
	}
	all, err := m.Policies(ctx, e)
	if err != nil {
		return ledger.Policy{}, err
	}
	return all[0], nil
}

// Policies is [Operator.Policy] for several entities, in one read.
func (m *Operator) Policies(ctx context.Context, entities ...*schema.Entity) ([]ledger.Policy, error) {
	current, err := m.letters.CurrentPolicies(ctx)
	if err != nil {
		return nil, err
	}
	all := make([]ledger.Policy, len(entities))
	for i, e := range entities {
		p, ok := current[e.Name]
		if !ok {
			p = ledger.Policy{Entity: e.Name, Policy: e.Retry, Note: "from the configuration"}
		}
		all[i] = p
	}
	return all, nil
}

// PolicyHistory returns the versions of an entity's policy, the newest first, the
// configuration's own as version 0 last.
func (m *Operator) PolicyHistory(ctx context.Context, entity string, max int) ([]ledger.Policy, error) {
	e, err := m.entity(entity)
	if err != nil {
		return nil, err
	}
	history, err := m.letters.PolicyHistory(ctx, entity, max)
	if err != nil {
		return nil, err
	}
	return append(history, ledger.Policy{Entity: entity, Policy: e.Retry, Note: "from the configuration"}), nil
}

// SetPolicy changes the named settings of an entity's live policy, as a new version.
// expected is the version that the caller has seen; below 0 it is whatever is active.
// Errors: ledger.ErrPolicyChanged where another is active, an InvalidError on bounds.
// Workers follow within two seconds, also for what waits already.
func (m *Operator) SetPolicy(ctx context.Context, entity string, change PolicyChange, expected int64, by ledger.Actor,
	note string) (ledger.Policy, error) {
	current, err := m.Policy(ctx, entity)
	if err != nil {
		return ledger.Policy{}, err
	}
	if expected >= 0 && expected != current.Version {
		return ledger.Policy{}, fmt.Errorf("%w: version %d is active, not %d", ledger.ErrPolicyChanged,
			current.Version, expected)
	}
	changed, err := change.Apply(current.Policy)
	if err != nil {
		return ledger.Policy{}, err
	}
	return m.put(ctx, entity, current.Version, changed, by, note)
}

// put makes a policy the active one and tells the workers, who would see it a little
// later by themselves.
func (m *Operator) put(ctx context.Context, entity string, expected int64, p schema.RetryPolicy, by ledger.Actor,
	note string) (ledger.Policy, error) {
	set, err := m.letters.SetPolicy(ctx, entity, expected, p, by, note)
	if err != nil {
		return set, err
	}
	if err := m.records.Hint(ctx, fleet.PolicyHint); err != nil {
		m.log.WarnContext(ctx, "workers not told of the retry policy; they look for it themselves", "entity", entity,
			"error", err)
	}
	return set, nil
}

// Rollback applies an earlier version of the policy again, as a new version; 0 is
// the configuration's own. expected and errors are as with [Operator.SetPolicy].
func (m *Operator) Rollback(ctx context.Context, entity string, to, expected int64, by ledger.Actor) (ledger.Policy,
	error) {
	history, err := m.PolicyHistory(ctx, entity, store.MaxListLimit)
	if err != nil {
		return ledger.Policy{}, err
	}
	if now := history[0].Version; expected >= 0 && expected != now {
		return ledger.Policy{}, fmt.Errorf("%w: version %d is active, not %d", ledger.ErrPolicyChanged, now, expected)
	}
	for _, p := range history {
		if p.Version == to {
			return m.put(ctx, entity, history[0].Version, p.Policy, by, fmt.Sprintf("back to version %d", to))
		}
	}
	return ledger.Policy{}, schema.Invalid("version", "%d was never active for %s", to, entity)
}

// Effect is what another policy would do to the records that wait now.
type Effect struct {
	Waiting int       // held records looked at, at most EffectLimit
	Sooner  int       // whose next attempt would come earlier
	Later   int       // whose next attempt would come later
	Die     int       // whose next refusal would be their last
	First   time.Time // of the new next attempts, as far as drawn delays tell; zero if none
	Last    time.Time
}

// EffectLimit bounds the held records that [Operator.Effect] looks at.
const EffectLimit = 100_000

// Effect computes what a policy would do to an entity's held records. Delays with jitter
// are taken at the middle of their range.
func (m *Operator) Effect(ctx context.Context, entity string, p schema.RetryPolicy) (Effect, error) {
	e, err := m.entity(entity)
	if err != nil {
		return Effect{}, err
	}
	var effect Effect
	for partition := range e.Partitions {
		for skip := 0; effect.Waiting < EffectLimit; skip += page {
			waiting, err := m.records.Waiting(ctx, e, partition, skip, page)
			if err != nil {
				return effect, err
			}
			for _, w := range waiting {
				low, high := p.Range(w.Refusal.Kind, w.Attempts)
				effect.add(w.Next, w.At.Add((low+high)/2), w.Attempts+1 >= p.For(w.Refusal.Kind).MaxAttempts)
			}
			if len(waiting) == 0 {
				break
			}
		}
	}
	return effect, nil
}

func (f *Effect) add(now, then time.Time, die bool) {
	f.Waiting++
	switch {
	case then.Before(now):
		f.Sooner++
	case then.After(now):
		f.Later++
	}
	if die {
		f.Die++
	}
	if f.First.IsZero() || then.Before(f.First) {
		f.First = then
	}
	if then.After(f.Last) {
		f.Last = then
	}
}
