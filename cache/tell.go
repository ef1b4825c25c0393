package cache

import (
	"context"

	"github.com/afterwrite/afterwrite/internal/layout"
	"github.com/afterwrite/afterwrite/schema"
)

// tellScript is lua/tell.lua.
var tellScript = layout.Load(sources, "tell")

// Tell adds an event about records of one partition that no script of the state tells:
// "resolved", when their dead letters are. It is kept and published like the others.
func (c *Cache) Tell(ctx context.Context, e *schema.Entity, partition int, what string, records []Versioned) error {
	if len(records) == 0 {
		return nil
	}
	k := c.prefix.Keys(e, partition)
	args := append(make([]any, 0, 3+2*len(records)), c.prefix.Channel(e.Name), layout.KeptEvents, what)
	for _, r := range records {
		args = append(args, r.ID, r.Version.String())
	}
	_, err := c.redis.RunInt(ctx, tellScript, []string{k.Stats, k.Stream}, args...)
	return err
}
