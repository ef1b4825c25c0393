package fsck

import (
	"context"
	"fmt"

	"github.com/afterwrite/afterwrite/cache/pending"
)

// sum checks the counters of each partition. The scripts change counters and data together, and the counters are read
// in one step, so the sum holds at any moment.
func (k *check) sum(ctx context.Context) error {
	stats, err := k.pending.Stats(ctx, k.entity)
	if err != nil {
		return fmt.Errorf("read the counters: %w", err)
	}
	for _, s := range stats {
		part := sumOf(s)
		k.found.Sum.add(part)
		if n := part.Missing(); n != 0 {
			k.differ(Difference{
				Entity: k.entity.Name, Partition: s.Partition, Reason: SumBroken,
				Detail: fmt.Sprintf("%d accepted, %d accounted for", part.Accepted, part.Accepted-n),
			})
		}
		if part.Lost != 0 {
			k.differ(Difference{
				Entity: k.entity.Name, Partition: s.Partition, Reason: WritesLost,
				Detail: fmt.Sprintf("%d accepted writes were lost before they reached the database", part.Lost),
			})
		}
	}
	return nil
}

func sumOf(s pending.Stats) Sum {
	return Sum{
		Accepted: s.Accepted, Persisted: s.Persisted, Superseded: s.Superseded, Discarded: s.Discarded,
		Pending: s.Pending, Held: s.Held, Dead: s.Dead, Lost: s.Lost,
	}
}

func (s *Sum) add(o Sum) {
	s.Accepted += o.Accepted
	s.Persisted += o.Persisted
	s.Superseded += o.Superseded
	s.Discarded += o.Discarded
	s.Pending += o.Pending
	s.Held += o.Held
	s.Dead += o.Dead
	s.Lost += o.Lost
}
