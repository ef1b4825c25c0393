package operate

import (
	"context"
	"fmt"

	"github.com/afterwrite/afterwrite/schema"
	"github.com/afterwrite/afterwrite/store/ledger"
)

// ReplacePolicy applies a whole policy to an entity, as a new version; the rest is
// as with [Operator.SetPolicy].
func (m *Operator) ReplacePolicy(ctx context.Context, entity string, p schema.RetryPolicy, expected int64,
	by ledger.Actor, note string) (ledger.Policy, error) {
	current, err := m.Policy(ctx, entity)
	if err != nil {
		return ledger.Policy{}, err
	}
	if expected != current.Version {
		return ledger.Policy{}, fmt.Errorf("%w: version %d is active, not %d", ledger.ErrPolicyChanged,
			current.Version, expected)
	}
	return m.put(ctx, entity, expected, p, by, note)
}
