package worker

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/internal/queue"
	"github.com/afterwrite/afterwrite/internal/testkit"
)

// unswept runs a worker whose sweeper never comes: only orders make it work.
func (b *bench) unswept() *Worker {
	w := b.worker(b.serving, func(c *Config) { c.SweepInterval = time.Hour })
	b.run(w)
	testkit.Eventually(b.t, "its first sweep is over", func() bool {
		led, err := b.cache.Lead(b.t.Context(), sweeper, w.id, time.Hour)
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
