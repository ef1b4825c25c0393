package events

import (
	"context"
	"time"

	"github.com/afterwrite/afterwrite/internal/rdb"
)

// hintTopic is the channel of a hint; no entity's name begins with "~".
func hintTopic(what string) topic { return topic{name: "~" + what, raw: true} }

// Hint tells every process that subscribes to it to read now what it otherwise reads at intervals. Like every event it
// can be missed.
func (b *Bus) Hint(ctx context.Context, what string) error {
	if err := b.redis.Publish(ctx, b.prefix.Channel(hintTopic(what).name), "[]").Err(); err != nil {
		return rdb.Fault("hint", err)
	}
	return nil
}

// Hinted sends a value soon after each hint, and whenever hints may have been missed, until ctx or the bus ends. Hints
// that arrive while a value waits are merged.
func (b *Bus) Hinted(ctx context.Context, what string) <-chan struct{} {
	hints := make(chan struct{}, 1)
	hint := func() {
		select {
		case hints <- struct{}{}:
		default:
		}
	}
	b.Go(func(closed context.Context) {
		for ctx.Err() == nil && closed.Err() == nil {
			sub, err := b.subscribe(ctx, hintTopic(what), "")
			if err != nil {
				_ = rdb.Sleep(ctx, time.Second)
				continue
			}
			hint()
			passOn(ctx, closed, sub, hint)
			sub.Close()
		}
	})
	return hints
}

func passOn(ctx, closed context.Context, sub *Subscription, hint func()) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-closed.Done():
			return
		case <-sub.C():
		case <-sub.Lost():
		}
		hint()
	}
}
