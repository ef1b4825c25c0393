package worker

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/internal/rdb"
	"github.com/afterwrite/afterwrite/internal/testkit"
)

// Redis is full of pending records: no order, flag or lease finds room. They are flushed all the same, and one that is
// refused is held, and dies.
func TestI2AFullRedisIsFlushed(t *testing.T) {
	t.Parallel()
	testkit.AllDatabases(t, func(t *testing.T, url string) {
		t.Parallel()
		server := testkit.Redis(t)
		b := setupOn(t, url, server)
		b.e.Partitions = 4
		b.mail("owner", "x", "taken@x")
		b.drain(b.worker())
		refused := 0 // in the partition that comes first
		for refused = 1000; b.e.Partition(id(refused)) != 0; refused++ {
		}
		b.mail(id(refused), "x", "taken@x")
		for i := range 100 {
			b.put(id(i), "x")
		}
		limit := func(bytes string) {
			require.NoError(t, server.Client(t).ConfigSet(t.Context(), "maxmemory", bytes).Err())
		}
		limit("1")
		_, err := b.redisOf().Lead(t.Context(), sweeper, "nobody", flagLife)
		require.True(t, rdb.Full(err), err)
		stop := b.run(b.worker(b.serving))
		testkit.Eventually(t, "all others are flushed, and the refused one is not pending any more", func() bool {
			s := b.stats()
			return s.Pending == 0 && s.Held+s.Dead == 1
		})
		limit("0")
		b.put("after", "x")
		testkit.Eventually(t, "writes and orders go on", func() bool { return b.stats().Pending == 0 })
		stop()
		s := b.stats()
		require.EqualValues(t, 1, s.Held+s.Dead, "the refused one")
		require.Zero(t, s.Imbalance(), "I7: %+v", s)
		require.Len(t, b.names(), 102)
	})
}
