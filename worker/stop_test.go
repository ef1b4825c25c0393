package worker

import (
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/internal/testkit"
	"github.com/afterwrite/afterwrite/internal/testkit/whole"
)

// A worker that is told to stop finishes its batch, hands the rest over, and leaves.
func TestStoppingFinishesTheBatchAndHandsOver(t *testing.T) {
	onEach(t, func(t *testing.T, b *bench) {
		b.e.Flush.Batch = 10
		for i := range 35 {
			b.put(id(i), "x")
		}
		commit := b.sql.Inject(testkit.Hold, testkit.Commit)
		first := b.worker(b.serving, func(c *Config) { c.ID = "first" })
		stop := b.run(first)
		<-commit.Hit()
		var stopped sync.WaitGroup
		stopped.Go(stop)
		testkit.Eventually(t, "it has begun to stop", first.ending)
		commit.Release()
		stopped.Wait()
		s := b.stats()
		require.EqualValues(t, 10, s.Persisted, "the batch is in the database and acked")
		require.EqualValues(t, 25, s.Pending)
		led, err := b.redisOf().Lead(t.Context(), sweeper, "another", time.Minute)
		require.NoError(t, err)
		require.True(t, led, "the sweeper's lease was given back")

		stop = b.run(b.worker(b.serving, func(c *Config) { c.ID = "second" }))
		testkit.Eventually(t, "the successor task does the rest", func() bool { return b.stats().Pending == 0 })
		stop()
		b.quiet(0)
		require.Len(t, b.names(), 35)
	})
}

// A worker dies with the partition's flag set; another sweeps and takes over.
func TestI2ADeadWorkersPartitionIsTakenOver(t *testing.T) {
	onEach(t, func(t *testing.T, b *bench) {
		dead := b.worker()
		b.put("a", "1")
		order := b.orders.take()[0]
		live, err := dead.cache.Begin(t.Context(), order, dead.flagTTL)
		require.NoError(t, err)
		require.False(t, live.None())
		led, err := dead.cache.Lead(t.Context(), sweeper, dead.id, dead.sweepLease())
		require.NoError(t, err)
		require.True(t, led)

		stop := b.run(b.worker(b.serving))
		testkit.Within(t, 15*time.Second, "another worker has taken over",
			func() bool { return b.stats().Pending == 0 })
		stop()
		b.quiet(0)
	})
}

func TestTwoSweepersDoNoHarm(t *testing.T) {
	t.Parallel()
	b := setup(t, testkit.SQLite(t))
	b.e.Partitions = 8
	for i := range 200 {
		b.put(id(i), "x")
	}
	b.orders.take() // lost
	testkit.Eventually(t, "the flags expire", func() bool { return b.flagged().Before(time.Now()) })
	backlog := whole.Of(b.cache).Backlog // its flags outlive a pause of this process
	var sweeps sync.WaitGroup
	for range 4 {
		sweeps.Go(func() {
			found, err := backlog.Sweep(t.Context(), b.worker().all)
			if err != nil {
				t.Error(err)
			}
			for _, o := range found {
				_ = b.orders.Enqueue(t.Context(), o)
			}
		})
	}
	sweeps.Wait()
	require.Len(t, b.orders.given, 8, "each partition is ordered once")
	b.flush(b.worker())
	b.quiet(0)
}

// A task that works for longer than its flag lives keeps its partition.
func TestTheFlagIsRenewedWhileATaskWorks(t *testing.T) {
	t.Parallel()
	b := setup(t, testkit.SQLite(t))
	w := b.worker(func(c *Config) { c.FlagTTL = 5 * flagLife }) // the sweep below comes within two thirds of it
	b.put("a", "1")
	order := b.orders.take()[0]
	commit := b.sql.Inject(testkit.Hold, testkit.Commit)
	begins := b.redis.Inject(testkit.Hold, testkit.Script(t, "begin"), testkit.After(4))
	var done sync.WaitGroup
	done.Go(func() { require.NoError(t, w.sync(t.Context(), task(order))) })
	<-commit.Hit()
	<-begins.Hit() // renewed three times: as long as the flag lives
	begins.Release()
	found, err := b.backlog.Sweep(t.Context(), w.all)
	require.NoError(t, err)
	require.Empty(t, found)
	commit.Release()
	done.Wait()
	b.quiet(0)
	require.Zero(t, b.flagged(), "and frees it at its end")
}
