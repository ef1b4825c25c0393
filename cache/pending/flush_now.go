package pending

import (
	"context"
	"fmt"

	"github.com/afterwrite/afterwrite/internal/layout"
	"github.com/afterwrite/afterwrite/schema"
)

// nowStep is the number of held records of a partition that one step makes due.
const nowStep = 2000

// Now counts what [Backlog.FlushNow] has made due.
type Now struct {
	Pending int64
	Held    int64          // records whose next attempt was later
	Paused  int            // partitions that were skipped
	Orders  []schema.Order // to enqueue
}

// FlushNow makes every pending and held record due immediately, whatever the flush delay or the retry policy. It
// returns an order for each partition that has any; paused partitions stay paused. Repeating it is harmless.
func (b *Backlog) FlushNow(ctx context.Context, e *schema.Entity) (Now, error) {
	var all Now
	stats, err := b.Stats(ctx, e)
	if err != nil {
		return all, err
	}
	for _, s := range stats {
		switch {
		case s.Paused:
			all.Paused++
		case s.Pending+s.Held > 0:
			if err := b.flushNow(ctx, e, s.Partition, &all); err != nil {
				return all, err
			}
		}
	}
	return all, nil
}

func (b *Backlog) flushNow(ctx context.Context, e *schema.Entity, partition int, all *Now) error {
	k := b.prefix.Keys(e, partition)
	var last schema.Order
	for first := true; ; first = false {
		reply, err := b.redis.Run(ctx, nowScript, []string{k.Stats, k.Pending, k.Held}, layout.MS(b.flagMargin),
			nowStep)
		if err != nil {
			return err
		}
		if len(reply) == 0 {
			break // flushed meanwhile
		}
		if len(reply) != 3 {
			return fmt.Errorf("now script: %d values", len(reply))
		}
		if last, err = layout.Order(e, partition, []any{reply[0], "0"}); err != nil {
			return err
		}
		pending, _ := reply[1].(int64)
		moved, _ := reply[2].(int64)
		if all.Held += moved; first {
			all.Pending += pending
		}
		if moved < nowStep {
			break
		}
	}
	if !last.None() {
		all.Orders = append(all.Orders, last)
	}
	return nil
}
