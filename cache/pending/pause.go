package pending

import (
	"context"

	"github.com/afterwrite/afterwrite/schema"
)

// Pause stops the flushing of an entity's partitions, of all where none is named, and
// returns the number of those that were not stopped before. Writes go on being accepted,
// until max_pending refuses them; a flush under way ends after its batch.
func (b *Backlog) Pause(ctx context.Context, e *schema.Entity, partitions ...int) (int, error) {
	return b.pause(ctx, e, "1", partitions)
}

// Resume starts the flushing again; the sweeper orders what is due within its tick.
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
