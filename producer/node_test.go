package producer_test

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/cache"
	"github.com/afterwrite/afterwrite/internal/testkit"
	"github.com/afterwrite/afterwrite/producer"
	"github.com/afterwrite/afterwrite/schema"
)

// One primary of a cluster is frozen. Writes of its own records wait for it; those of the other nodes' are accepted and
// read meanwhile, however many wait, by every operation and by batches.
func TestWritesDoNotWaitForANodeThatHangs(t *testing.T) {
	t.Parallel()
	cluster := testkit.RedisCluster(t)
	for _, node := range cluster.Masters {
		require.NoError(t, node.Client(t).ConfigSet(t.Context(), "cluster-require-full-coverage", "no").Err())
	}
	e := testkit.Entity(t, "user")
	e.Partitions = 64
	rows := &table{rows: map[string]schema.Values{}}
	c, err := cache.New(cache.Config{URL: cluster.URL(), Prefix: "aw", Timeout: 20 * time.Second, Loader: rows,
		Log: testkit.Logger(t)})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, c.Close()) })
	p, err := producer.New(producer.Config{Entities: []*schema.Entity{e}, Cache: c, Queue: &queue{}, Loader: rows,
		Log: testkit.Logger(t)})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, p.Close()) })
	owner := func(id string) *testkit.RedisServer {
		return cluster.Owner(fmt.Sprintf("aw:{user/%d}:stats", e.Partition(id)))
	}
	sick := owner("0")
	var ill, well []string
	for i := range 60 {
		id := fmt.Sprint(i)
		if owner(id) == sick {
			ill = append(ill, id)
		} else {
			well = append(well, id)
		}
		_, err := p.Put(t.Context(), "user", id, schema.Fields{"name": "before"})
		require.NoError(t, err)
		// Reads have a client of their own, whose first command asks a node at random for the map of the cluster.
		_, err = c.Get(t.Context(), e, id)
		require.NoError(t, err)
	}
	sick.Pause()
	t.Cleanup(sick.Resume)

	var waiting sync.WaitGroup
	var back atomic.Int64
	for i := range 50 {
		waiting.Go(func() {
			_, _ = p.Put(t.Context(), "user", ill[i%len(ill)], schema.Fields{"name": "later"})
			back.Add(1)
		})
	}
	for i := range 200 {
		id := well[i%len(well)]
		_, err := p.Put(t.Context(), "user", id, schema.Fields{"name": fmt.Sprint(i)})
		require.NoError(t, err)
		_, err = p.Patch(t.Context(), "user", id, schema.Fields{"age": i % 100})
		require.NoError(t, err)
		done, err := p.Increment(t.Context(), "user", id, schema.Fields{"login_count": 1})
		require.NoError(t, err)
		read, err := c.Get(t.Context(), e, id)
		require.NoError(t, err)
		require.Equal(t, cache.Hit, read.Source)
		require.Equal(t, done.Version, read.Version, "a writer reads its own write")
	}
	require.Zero(t, back.Load(), "they wait still")
	sick.Resume()
	waiting.Wait()
}
