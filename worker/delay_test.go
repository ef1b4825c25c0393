package worker

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/cache/pending"
	"github.com/afterwrite/afterwrite/internal/queue"
	"github.com/afterwrite/afterwrite/internal/testkit"
)

// unswept runs a worker whose sweeper never comes: only orders make it work.
func (b *bench) unswept() *Worker {
	w := b.worker(b.serving, func(c *Config) { c.SweepInterval = time.Hour })
	b.run(w)
	testkit.Eventually(b.t, "its first sweep is over", func() bool {
		led, err := b.redisOf().Lead(b.t.Context(), sweeper, w.id, time.Hour)
		return err == nil && led
	})
	return w
}

// order gives the bench's orders to the worker's queue.
func (b *bench) order(w *Worker) {
	b.t.Helper()
	for _, o := range b.orders.take() {
		require.NoError(b.t, w.queue.Enqueue(b.t.Context(), o))
	}
}

func TestAHeldRecordIsTriedAgainWhenItIsDue(t *testing.T) {
	onEach(t, func(t *testing.T, b *bench) {
		b.e.Retry.Base, b.e.Retry.Cap = time.Second, time.Second
		w := b.unswept()
		b.mail("owner", "x", "taken@x")
		b.mail("bad", "x", "taken@x")
		b.order(w)
		testkit.Eventually(t, "it was tried again", func() bool {
			state, err := b.cache.Status(t.Context(), b.e, "bad")
			require.NoError(t, err)
			return state.Attempts >= 2
		})
		b.mail("owner", "x", "other@x")
		b.order(w)
		testkit.Eventually(t, "it is persisted", func() bool { return b.stats().Held+b.stats().Pending == 0 })
		b.quiet(0)
	})
}

// However often a partition is flushed, a held record has one wake-up in the queue.
func TestAHeldRecordHasOneWakeUp(t *testing.T) {
	t.Parallel()
	b := setup(t, testkit.SQLite(t))
	b.e.Retry.Base, b.e.Retry.Cap = time.Hour, time.Hour
	w := b.unswept()
	b.mail("owner", "x", "taken@x")
	b.mail("bad", "x", "taken@x")
	for range 20 {
		b.put("a", "x")
		b.order(w)
		testkit.Eventually(t, "flushed", func() bool { return b.stats().Pending == 0 && b.flagged().IsZero() })
	}
	inspector, err := queue.Inspect(b.url, b.prefix)
	require.NoError(t, err)
	t.Cleanup(func() { _ = inspector.Close() })
	tasks, err := inspector.Tasks("default", "scheduled", 100)
	require.NoError(t, err)
	require.Len(t, tasks, 1)
}

func TestFlushDelayIsKept(t *testing.T) {
	t.Parallel()
	b := setup(t, testkit.SQLite(t))
	b.e.Flush.Delay = 500 * time.Millisecond
	w := b.unswept()
	start := time.Now()
	b.put("a", "1")
	b.order(w)
	testkit.Eventually(t, "it is persisted", func() bool { return b.stats().Pending == 0 })
	require.GreaterOrEqual(t, time.Since(start), b.e.Flush.Delay)
	b.quiet(0)
}

// A record that is held is tried again at its time, though the next flush is ordered for
// later: writes may wait for others to join them, refused ones have waited.
func TestHeldRecordsDoNotWaitForADelayedFlush(t *testing.T) {
	onEach(t, func(t *testing.T, b *bench) {
		b.e.Retry.MaxAttempts, b.e.Retry.Base, b.e.Retry.Cap = 1000, 50*time.Millisecond, 50*time.Millisecond
		w := b.strict()
		b.mail("owner", "x", "taken@x")
		b.drain(w)
		b.mail("bad", "x", "taken@x")
		b.flush(w)
		delaying := *b.e
		delaying.Flush.Delay = time.Hour
		b.all[slices.Index(b.all, b.e)] = &delaying
		b.e = &delaying
		w = b.strict()
		b.put("slow", "x")
		delayed := b.orders.take()
		require.Len(t, delayed, 1)
		require.Greater(t, delayed[0].Delay, time.Minute)

		before := b.status("bad").Attempts
		testkit.Eventually(t, "its time has come",
			func() bool { return b.status("bad").NextAttempt.Before(time.Now()) })
		require.NoError(t, w.sync(t.Context(), task(pending.WakeUp(b.e, 0, time.Now()))))
		require.Greater(t, b.status("bad").Attempts, before, "the wake-up does not wait for the flush")
		next := b.orders.take()
		require.Len(t, next, 1)
		require.Less(t, next[0].Delay, time.Minute, "nor does what comes after it")
		require.EqualValues(t, 1, b.stats().Pending, "which still waits for others")
		require.NoError(t, w.sync(t.Context(), task(delayed[0])), "and whose first order is stale")
	})
}
