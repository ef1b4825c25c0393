package cache

import (
	"context"
	"time"

	"github.com/afterwrite/afterwrite/internal/rdb"
)

// hintTopic is the channel of a hint; entities' names never begin so.
func hintTopic(what string) topic { return topic{name: "~" + what, raw: true} }

// Hint tells every process that waits for it to look at once at what it looks at from
// time to time. Like every event it may be missed.
func (c *Cache) Hint(ctx context.Context, what string) error {
	if err := c.redis.Publish(ctx, c.prefix.Channel(hintTopic(what).name), "[]").Err(); err != nil {
		return rdb.Fault("hint", err)
	}
	return nil
}

// Hinted gives a value soon after each hint, and where some may have been missed, until
// ctx ends or the cache is closed. Hints that come while one waits are one.
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
