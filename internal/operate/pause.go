package operate

import (
	"context"

	"github.com/afterwrite/afterwrite/schema"
	"github.com/afterwrite/afterwrite/store/ledger"
)

// Pause stops the flushing of an entity's partitions, of all of them where none is named,
// and returns how many were flushing. Writes go on being accepted. It is audited.
func (m *Operator) Pause(ctx context.Context, entity string, partitions []int, by ledger.Actor) (int, error) {
	return m.setFlushing(ctx, entity, partitions, by, "flush.pause", m.records.Pause)
}

// Resume starts the flushing again, and returns how many partitions were paused.
func (m *Operator) Resume(ctx context.Context, entity string, partitions []int, by ledger.Actor) (int, error) {
	return m.setFlushing(ctx, entity, partitions, by, "flush.resume", m.records.Resume)
}

func (m *Operator) setFlushing(ctx context.Context, entity string, partitions []int, by ledger.Actor, action string,
	set func(context.Context, *schema.Entity, ...int) (int, error),
) (int, error) {
	e, err := m.entity(entity)
	if err != nil {
		return 0, err
	}
	for _, p := range partitions {
		if p < 0 || p >= e.Partitions {
			return 0, schema.Invalid("partitions", "must be from 0 to %d", e.Partitions-1)
		}
	}
	changed, err := set(ctx, e, partitions...)
	if err != nil {
		return 0, err
	}
	ctx, cancel := finish(ctx)
	defer cancel()
	return changed, m.Note(ctx, ledger.AuditEntry{
		Actor: by, Action: action, Entity: e.Name, Detail: map[string]any{"partitions": partitions, "changed": changed},
	})
}
