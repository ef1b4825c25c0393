package operate

import (
	"context"

	"github.com/afterwrite/afterwrite/cache/pending"
	"github.com/afterwrite/afterwrite/store/ledger"
)

// FlushNow orders the flush of all of an entity that waits for the database, held records
// included: none waits for its flush delay or its next attempt. A refusal counts as an
// attempt like any other. Partitions that are paused are left alone.
func (m *Operator) FlushNow(ctx context.Context, entity string, by ledger.Actor) (pending.Now, error) {
	e, err := m.entity(entity)
	if err != nil {
		return pending.Now{}, err
	}
	now, err := m.records.FlushNow(ctx, e)
	ctx, cancel := finish(ctx)
	defer cancel()
	for _, o := range now.Orders {
		m.enqueue(ctx, o)
	}
	if err != nil && len(now.Orders) == 0 {
		return now, err
	}
	noted := m.Note(ctx, ledger.AuditEntry{Actor: by, Action: "flush.now", Entity: entity,
		Detail: map[string]any{
			"pending": now.Pending, "held": now.Held, "partitions": len(now.Orders), "paused": now.Paused,
		}})
	if err != nil {
		return now, err
	}
	return now, noted
}
