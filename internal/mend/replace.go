package mend

import (
	"context"
	"fmt"

	"github.com/afterwrite/afterwrite/schema"
	"github.com/afterwrite/afterwrite/store"
)

// ReplacePolicy puts a whole policy in force of an entity, as a new version; the rest is
// as with [Mender.SetPolicy].
func (m *Mender) ReplacePolicy(ctx context.Context, entity string, p schema.RetryPolicy, expected int64, by store.Actor, note string) (store.Policy, error) {
	current, err := m.Policy(ctx, entity)
	if err != nil {
		return store.Policy{}, err
	}
	if expected != current.Version {
		return store.Policy{}, fmt.Errorf("%w: version %d is in force, not %d", store.ErrPolicyChanged, current.Version, expected)
	}
	return m.put(ctx, entity, expected, p, by, note)
}
