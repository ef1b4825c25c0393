package pending

import (
	"context"
	"strconv"
	"time"

	"github.com/afterwrite/afterwrite/internal/layout"
	"github.com/afterwrite/afterwrite/internal/rdb"
	"github.com/afterwrite/afterwrite/schema"
)

// Begin says whether a sync task may work, and extends the partition's scheduled flag to
// life from now: only the live generation may. A wake-up takes the flag if it is free.
// The order returned carries the live generation; it is none where the task is stale.
// Begin renews as well.
func (b *Backlog) Begin(ctx context.Context, o schema.Order, life time.Duration) (schema.Order, error) {
	k := b.prefix.Keys(o.Entity, o.Partition)
	reply, err := b.redis.RunAny(ctx, beginScript, []string{k.Stats}, o.Generation, layout.MS(life))
	if err != nil {
		return schema.Order{}, err
	}
	generation := layout.Text(reply)
	if generation == "" {
		return schema.Order{}, nil
	}
	o.Generation, err = strconv.ParseInt(generation, 10, 64)
	return o, err
}

// Ending is what a sync task finds when it has flushed all it saw.
type Ending struct {
	Stale bool         // another generation is live: nothing is left to do for this one
	More  bool         // something is due now, and the flag is still this task's
	Next  schema.Order // to enqueue: the successor, or a wake-up for the first held record
}

// End frees the partition's flag if nothing is pending, in one step with the look at
// what is left: a write that comes later finds the flag free and orders its own task.
// With handOver set, what is due now goes to a successor instead of More.
func (b *Backlog) End(ctx context.Context, o schema.Order, handOver bool) (Ending, error) {
	k := b.prefix.Keys(o.Entity, o.Partition)
	over := ""
	if handOver {
		over = "1"
	}
	reply, err := b.redis.Run(ctx, endScript, []string{k.Stats, k.Pending, k.Held},
		o.Generation, layout.MS(b.flagMargin), layout.MS(o.Entity.Flush.Delay), over)
	if err != nil {
		return Ending{}, err
	}
	switch layout.Text(reply[0]) {
	case "stale":
		return Ending{Stale: true}, nil
	case "more":
		return Ending{More: true}, nil
	case "next":
		next, err := layout.Order(o.Entity, o.Partition, reply[1:])
		return Ending{Next: next}, err
	}
	next, err := wakeUp(o.Entity, o.Partition, reply[1:])
	return Ending{Next: next}, err
}

// WakeUp is the order that wakes a partition for held records at a time.
func WakeUp(e *schema.Entity, partition int, at time.Time) schema.Order {
	return schema.Order{Entity: e, Partition: partition, Delay: max(0, time.Until(at)), At: at.UnixMilli()}
}

// wakeUp reads {wait ms, time ms} of the first held record. Its time names the order, so
// that however many tasks end before it, one wake-up is enqueued.
func wakeUp(e *schema.Entity, partition int, reply []any) (schema.Order, error) {
	if len(reply) == 2 && layout.Text(reply[0]) == "" {
		return schema.Order{}, nil
	}
	o, err := layout.Order(e, partition, []any{"0", layout.Text(reply[0])})
	if err == nil && len(reply) == 2 {
		o.At, err = strconv.ParseInt(layout.Text(reply[1]), 10, 64)
	}
	return o, err
}

// longestPutOff is more than a worker ever puts a task off by, with the flag kept meanwhile.
const longestPutOff = time.Minute

// Sweep returns an order for each partition that has due work and no live flag, and sets
// its flag. It repairs every lost order, whatever lost it. Two sweeps at once are harmless.
func (b *Backlog) Sweep(ctx context.Context, entities []*schema.Entity) ([]schema.Order, error) {
	var orders []schema.Order
	for _, e := range entities {
		calls := make([]*rdb.Call, e.Partitions)
		for i := range calls {
			k := b.prefix.Keys(e, i)
			calls[i] = sweepScript.Call([]string{k.Stats, k.Pending, k.Held, k.Ops, k.OpsAt}, layout.MS(b.flagMargin),
				layout.MS(e.Flush.Delay), layout.MS(e.Flush.Delay+b.flagMargin+longestPutOff), layout.MS(b.opAge))
		}
		b.redis.Send(ctx, calls...)
		for i, one := range calls {
			reply, err := one.Slice()
			if err != nil {
				return orders, rdb.Fault("sweep", err)
			}
			if len(reply) == 0 {
				continue
			}
			o, err := layout.Order(e, i, reply)
			if err != nil {
				return orders, err
			}
			orders = append(orders, o)
		}
	}
	return orders, nil
}
