package cache

import (
	"context"
	"fmt"
	"strconv"

	"github.com/afterwrite/afterwrite/internal/layout"
	"github.com/afterwrite/afterwrite/schema"
)

// Versioned names a record at a version.
type Versioned struct {
	ID      string
	Version schema.Version
}

// Retry puts held or dead records of one partition back to pending, attempts anew, where
// they are still at that version. It tells for each whether it was put back, and returns
// the sync task to enqueue. A repeat changes nothing.
func (c *Cache) Retry(ctx context.Context, e *schema.Entity, partition int, records []Versioned) ([]bool, Order, error) {
	if len(records) == 0 {
		return nil, Order{}, nil
	}
	k := c.prefix.Keys(e, partition)
	keys := append(make([]string, 0, 5+len(records)), k.Lists()...)
	args := append(make([]any, 0, 2+2*len(records)), layout.MS(c.flagMargin), layout.MS(e.Flush.Delay))
	for _, r := range records {
		keys = append(keys, k.Record+r.ID)
		args = append(args, r.ID, int64(r.Version))
	}
	reply, err := c.redis.Run(ctx, retryScript, keys, args...)
	if err != nil {
		return nil, Order{}, err
	}
	if len(reply) != len(records)+1 {
		return nil, Order{}, fmt.Errorf("retry script: %d values", len(reply))
	}
	back := make([]bool, len(records))
	for i := range back {
		n, _ := reply[i+1].(int64)
		back[i] = n == 1
	}
	if layout.Text(reply[0]) == "" {
		return back, Order{}, nil
	}
	o, err := order(e, partition, []any{reply[0], strconv.FormatInt(layout.MS(e.Flush.Delay), 10)})
	return back, o, err
}
