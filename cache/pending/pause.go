package pending

import (
	"context"

	"github.com/afterwrite/afterwrite/schema"
)

// Pause stops flushing an entity's partitions, or all of them if none is named, and returns how many were not paused
// before. Writes are still accepted until max_pending rejects them; a flush in progress ends after its batch.
func (b *Backlog) Pause(ctx context.Context, e *schema.Entity, partitions ...int) (int, error) {
	return b.pause(ctx, e, "1", partitions)
}

// Resume starts flushing again; the sweeper enqueues due partitions with its next tick.
func (b *Backlog) Resume(ctx context.Context, e *schema.Entity, partitions ...int) (int, error) {
	return b.pause(ctx, e, "", partitions)
}

func (b *Backlog) pause(ctx context.Context, e *schema.Entity, stop string, partitions []int) (int, error) {
	if len(partitions) == 0 {
		for i := range e.Partitions {
			partitions = append(partitions, i)
		}
	}
	changed := 0
	for _, partition := range partitions {
		n, err := b.redis.RunInt(ctx, pauseScript, []string{b.prefix.Keys(e, partition).Stats}, stop)
		if err != nil {
			return changed, err
		}
		changed += n
	}
	return changed, nil
}
