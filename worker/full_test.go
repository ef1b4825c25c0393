package worker

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/cache"
	"github.com/afterwrite/afterwrite/internal/testkit"
)

// Redis is full of pending records: no order, flag or lease finds room. They are flushed
// all the same.
func TestI2AFullRedisIsFlushed(t *testing.T) {
	t.Parallel()
	testkit.Databases(t, func(t *testing.T, url string) {
		t.Parallel()
		server := testkit.Redis(t)
		b := setupOn(t, url, server)
		b.e.Partitions = 4
		for i := range 100 {
			b.put(id(i), "x")
		}
		limit := func(bytes string) {
			require.NoError(t, server.Client(t).ConfigSet(t.Context(), "maxmemory", bytes).Err())
		}
		limit("1")
		_, err := b.cache.Lead(t.Context(), sweeper, "nobody", flagLife)
		require.True(t, cache.Full(err), err)
		stop := b.run(b.worker(b.serving))
		testkit.Eventually(t, "all is flushed", func() bool { return b.stats().Pending == 0 })
		limit("0")
		b.put("after", "x")
		testkit.Eventually(t, "writes and orders go on", func() bool { return b.stats().Pending == 0 })
		stop()
		b.quiet(0)
		require.Len(t, b.names(), 101)
	})
}
