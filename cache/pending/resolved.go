package pending

import (
	"context"

	"github.com/afterwrite/afterwrite/internal/layout"
	"github.com/afterwrite/afterwrite/schema"
)

// Tell adds an event about records of one partition that no other script publishes: "resolved", for resolved dead
// letters. It is stored and published like the others.
func (b *Backlog) Tell(ctx context.Context, e *schema.Entity, partition int, what string,
	records []schema.Versioned) error {
	if len(records) == 0 {
		return nil
	}
	k := b.prefix.Keys(e, partition)
	args := append(make([]any, 0, 3+2*len(records)), b.prefix.Channel(e.Name), layout.KeptEvents, what)
	for _, r := range records {
		args = append(args, r.ID, r.Version.String())
	}
	_, err := b.redis.RunInt(ctx, tellScript, []string{k.Stats, k.Stream}, args...)
	return err
}
