package cache

import (
	"context"
	"fmt"

	"github.com/afterwrite/afterwrite/internal/layout"
	"github.com/afterwrite/afterwrite/schema"
)

// Die moves refused records whose policy is exhausted from pending or held to dead, where
// the refused version is still the newest. Their dead letters must be in the database
// before. It returns the number of records that died. A repeat changes nothing.
func (c *Cache) Die(ctx context.Context, e *schema.Entity, partition int, refused []Refused) (int, error) {
	if len(refused) == 0 {
		return 0, nil
	}
	k := c.prefix.Keys(e, partition)
	keys := append(make([]string, 0, 7+len(refused)), k.Stats, k.Pending, k.Held, k.Dead, k.Why, k.Stream, k.Letters)
	args := append(make([]any, 0, 2+3*len(refused)), c.prefix.Channel(e.Name), layout.KeptEvents)
	for _, r := range refused {
		detail, err := r.why()
		if err != nil {
			return 0, fmt.Errorf("die %s of %s: %w", r.Change.ID, e.Name, err)
		}
		keys = append(keys, k.Record+r.Change.ID)
		args = append(args, r.Change.ID, int64(r.Change.Version), detail)
	}
	return c.redis.RunInt(ctx, dieScript, keys, args...)
}
