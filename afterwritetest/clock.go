package afterwritetest

import (
	"context"
	"testing"
	"time"

	"github.com/afterwrite/afterwrite"
)

// Time is the clock of one DB: of its times, of Redis and of every TTL and delay in it.
type Time struct{ of *fixture }

// Clock returns the clock of a DB. It runs; [Time.Advance] moves it on.
func Clock(t testing.TB, db *afterwrite.DB) Time { return Time{of(t, db)} }

// Now returns the time as the DB sees it.
func (c Time) Now() time.Time { return c.of.now() }

// Advance moves the clock on: what expires or falls due until then does.
func (c Time) Advance(d time.Duration) {
	c.of.offset.Add(int64(d))
	c.of.moved.Store(true)
	c.of.redis.SetTime(c.of.now())
	c.of.redis.FastForward(d)
}

func (f *fixture) now() time.Time { return time.Now().Add(time.Duration(f.offset.Load())) }

// tick lets keys expire, which the Redis in this process does not do by itself.
func (f *fixture) tick(ctx context.Context) {
	const step = 20 * time.Millisecond
	every := time.NewTicker(step)
	defer every.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-every.C:
			f.redis.FastForward(step)
			if f.moved.Load() {
				f.redis.SetTime(f.now())
			}
		}
	}
}
