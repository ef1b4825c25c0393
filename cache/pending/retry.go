package pending

import (
	"context"
	"fmt"
	"strconv"

	"github.com/afterwrite/afterwrite/internal/layout"
	"github.com/afterwrite/afterwrite/schema"
)

// Retry puts held or dead records of one partition back to pending, with zero attempts, if they are still at that
// version. It returns for each whether it was put back, and the sync task to enqueue. A repeat changes nothing.
func (b *Backlog) Retry(ctx context.Context, e *schema.Entity, partition int, records []schema.Versioned) ([]bool,
	schema.Order, error) {
	if len(records) == 0 {
		return nil, schema.Order{}, nil
	}
	k := b.prefix.Keys(e, partition)
	keys := append(make([]string, 0, 5+len(records)), k.Lists()...)
	args := append(make([]any, 0, 2+2*len(records)), layout.MS(b.flagMargin), layout.MS(e.Flush.Delay))
	for _, r := range records {
		keys = append(keys, k.Record+r.ID)
		args = append(args, r.ID, int64(r.Version))
	}
	reply, err := b.redis.Run(ctx, retryScript, keys, args...)
	if err != nil {
		return nil, schema.Order{}, err
	}
	if len(reply) != len(records)+1 {
		return nil, schema.Order{}, fmt.Errorf("retry script: %d values", len(reply))
	}
	back := make([]bool, len(records))
	for i := range back {
		n, _ := reply[i+1].(int64)
		back[i] = n == 1
	}
	if layout.Text(reply[0]) == "" {
		return back, schema.Order{}, nil
	}
	o, err := layout.Order(e, partition, []any{reply[0], strconv.FormatInt(layout.MS(e.Flush.Delay), 10)})
	return back, o, err
}
