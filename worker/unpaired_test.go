package worker

import (
	"context"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/internal/testkit"
	"github.com/afterwrite/afterwrite/schema"
	"github.com/afterwrite/afterwrite/store/ledger"
)

// TestNothingCrossesBetweenTwoDeployments: while Redis and the database do not belong
// together, policies of the one move no record of the other and no dead letter is closed.
func TestNothingCrossesBetweenTwoDeployments(t *testing.T) {
	t.Parallel()
	b := setup(t, testkit.SQLite(t))
	unpaired := fmt.Errorf("%w: the database is another one", schema.ErrUnpaired)
	w := b.worker(func(c *Config) { c.Unpaired = func() error { return unpaired } })
	w.leading.Store(true)
	tasks := map[string]func(context.Context) error{"follow": w.follow, "move": w.move, "tidy": w.tidy}
	for name, do := range tasks {
		require.ErrorIs(t, do(t.Context()), schema.ErrUnpaired, name)
	}
	require.False(t, w.policies.known.Load())
	unpaired = nil
	for name, do := range tasks {
		require.NoError(t, do(t.Context()), name)
	}
}

// anew has the turns of the fences begin anew, as after a process has repaired an emptied Redis.
func (b *bench) anew() {
	b.t.Helper()
	err := b.store.Pair(b.t.Context(), "", func(_ context.Context, stored schema.Pairing) (ledger.Pairs, error) {
		return ledger.Pairs{With: stored, Anew: true}, nil
	})
	require.NoError(b.t, err)
}

// A flush writes nothing of a Redis that does not know the flush before, and says so; it goes
// on when that is repaired. On SQLite a backlog is read ahead of the lock.
func TestI3NothingOfAnOlderRedisIsFlushed(t *testing.T) {
	onEach(t, func(t *testing.T, b *bench) {
		told := 0
		w := b.worker(func(c *Config) { c.Older = func() { told++ } })
		b.put("a", "one")
		b.drain(w)
		redis, stats := testkit.SharedRedis(t).Client(t), b.prefix+":{"+b.e.Name+"/0}:stats"
		before, err := redis.HGet(t.Context(), stats, "y").Result()
		require.NoError(t, err)
		require.NoError(t, redis.HSet(t.Context(), stats, "y", "0.older").Err())
		b.put("a", "two")
		for i := range 2 {
			if i == 1 {
				w.backlogs.Store(place{b.e.Name, 0}, true)
			}
			b.flush(w)
			require.Equal(t, "one", b.names()["a"])
			require.EqualValues(t, 1, b.stats().Pending)
			require.Equal(t, i+1, told)
			require.NoError(t, redis.HSet(t.Context(), stats, "u", "0").Err()) // the delay is over
			require.NoError(t, w.sweepOnce(t.Context()))
		}
		w.backlogs.Clear()
		require.NoError(t, redis.HSet(t.Context(), stats, "y", before).Err())
		b.drain(w)
		require.Equal(t, "two", b.names()["a"])
	})
}
