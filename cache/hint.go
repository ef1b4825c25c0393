package cache

import (
	"context"
	"time"

	"github.com/afterwrite/afterwrite/internal/rdb"
)

// hintTopic is the channel of a hint; no entity's name begins with "~".
func hintTopic(what string) topic { return topic{name: "~" + what, raw: true} }

// Hint tells every process that subscribes to it to read now what it otherwise reads at intervals. Like every event it
// can be missed.
func (c *Cache) Hint(ctx context.Context, what string) error {
	if err := c.redis.Publish(ctx, c.prefix.Channel(hintTopic(what).name), "[]").Err(); err != nil {
		return rdb.Fault("hint", err)
	}
	return nil
}

// Hinted sends a value soon after each hint, and whenever hints may have been missed, until ctx ends or the cache is
// closed. Hints that arrive while a value waits are merged.
func (c *Cache) Hinted(ctx context.Context, what string) <-chan struct{} {
	hints := make(chan struct{}, 1)
	hint := func() {
		select {
		case hints <- struct{}{}:
		default:
		}
	}
	c.hub.run(func() {
		for ctx.Err() == nil && c.hub.ctx.Err() == nil {
			sub, err := c.hub.subscribe(ctx, hintTopic(what), "")
			if err != nil {
				_ = sleep(ctx, time.Second)
				continue
			}
			hint()
			c.passOn(ctx, sub, hint)
			sub.Close()
		}
	})
	return hints
}

func (c *Cache) passOn(ctx context.Context, sub *Subscription, hint func()) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-c.hub.ctx.Done():
			return
		case <-sub.C():
		case <-sub.Lost():
		}
		hint()
	}
}
