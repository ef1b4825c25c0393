package pending

import (
	"context"
	"strconv"
	"time"

	"github.com/afterwrite/afterwrite/internal/layout"
	"github.com/afterwrite/afterwrite/internal/rdb"
	"github.com/afterwrite/afterwrite/schema"
)

// Begin checks whether a sync task may work: only the live generation may. It extends the partition's scheduled flag to
// life from now. A wake-up takes the flag if it is free. The returned order has the live generation; it is none if the
// task's generation is stale. Begin also renews the flag.
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

// Ending is the result of [Backlog.End].
type Ending struct {
	Stale bool         // another generation is live: this task has nothing left to do
	More  bool         // something is due now, and the flag is still this task's
	Next  schema.Order // to enqueue: the successor, or a wake-up for the first held record
}

// End frees the partition's flag if nothing is pending, in one step with the check: a later write finds the flag free
// and enqueues its own task. With handOver, a successor gets the work that is due now, instead of More.
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

// WakeUp returns the order that wakes a partition for held records at a time.
func WakeUp(e *schema.Entity, partition int, at time.Time) schema.Order {
	return schema.Order{Entity: e, Partition: partition, Delay: max(0, time.Until(at)), At: at.UnixMilli()}
}

// wakeUp decodes {wait ms, time ms} of the first held record. The time is part of the task's id, so one wake-up is
// enqueued however many tasks end before it.
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

// longestPutOff is longer than a worker ever defers a task while keeping the flag.
const longestPutOff = time.Minute

// Sweep returns an order for each partition that has due work and no live flag, and sets its flag. It replaces every
// lost task, whatever the reason. Two concurrent sweeps are harmless.
func (b *Backlog) Sweep(ctx context.Context, entities []*schema.Entity) ([]schema.Order, error) {
	var orders []schema.Order
	for _, e := range entities {
		calls := make([]*rdb.Call, e.Partitions)
		for i := range calls {
			k := b.prefix.Keys(e, i)
			calls[i] = sweepScript.Call([]string{k.Stats, k.Pending, k.Held, k.Ops}, layout.MS(b.flagMargin),
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
