package cache_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite"
	"github.com/afterwrite/afterwrite/cache"
	"github.com/afterwrite/afterwrite/internal/testkit"
)

// Every script and every walk works on a Redis Cluster: the keys of a partition are of
// one slot, and nothing depends on two of them being together.
func TestRedisCluster(t *testing.T) {
	t.Parallel()
	b := &bundle{table: &table{rows: map[string]afterwrite.Values{}}, prefix: "aw"}
	b.e = &afterwrite.Entity{Name: "user", Partitions: 8, Fields: []afterwrite.Field{
		{Name: "name", Type: afterwrite.String}, {Name: "age", Type: afterwrite.Int}, {Name: "count", Type: afterwrite.Int},
	}}
	require.NoError(t, b.e.Init())
	var err error
	b.Cache, err = cache.New(cache.Config{URL: testkit.RedisCluster(t), Loader: b.table, Log: testkit.Logger(t)})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, b.Close()) })
	require.NoError(t, b.Adopt(t.Context(), b.e))

	var groups []*cache.Group
	for partition := range b.e.Partitions {
		groups = append(groups, &cache.Group{Entity: b.e, Partition: partition})
	}
	for i := range 200 {
		g := groups[b.e.Partition(fmt.Sprint(i))]
		g.Writes = append(g.Writes, cache.Write{Op: cache.OpPut, ID: fmt.Sprint(i), Values: values("x", "1", "1")})
	}
	b.Write(t.Context(), groups...) // one pipeline over all nodes
	for _, g := range groups {
		for _, r := range g.Results {
			require.NoError(t, r.Err)
		}
	}
	b.flush(t)
	b.put(t, "7", "pending")
	assert.EqualValues(t, 201, b.total(t).Accepted)
	reads, err := b.GetMany(t.Context(), b.e, []string{"1", "2", "3", "nobody"})
	require.NoError(t, err)
	assert.Equal(t, cache.Hit, reads[2].Source)
	assert.True(t, reads[3].Deleted)

	found := 0
	require.NoError(t, b.Walk(t.Context(), b.e, func(cache.Cached) error { found++; return nil }))
	assert.GreaterOrEqual(t, found, 200)
	dropped, err := b.InvalidateMatch(t.Context(), b.e, "*", nil)
	require.NoError(t, err)
	assert.Equal(t, 200, dropped, "all but the pending record, and the absence")
	assert.Equal(t, cache.Filled, b.get(t, "8").Source)

	sub, err := b.Subscribe(t.Context(), b.e)
	require.NoError(t, err)
	defer sub.Close()
	testkit.Eventually(t, "events cross the nodes", func() bool {
		b.holdAll(t, 0) // a cluster's bus may drop a message
		for {
			select {
			case events := <-sub.C():
				if events[0].Type == "held" && events[0].ID == "7" {
					return true
				}
			default:
				return false
			}
		}
	})
	events, _ := b.kept(t, time.Now().Add(-time.Hour))
	assert.GreaterOrEqual(t, len(events), 201)
	state, err := b.Status(t.Context(), b.e, "7")
	require.NoError(t, err)
	assert.Equal(t, afterwrite.Held, state.Record.Status)
	b.flush(t)
	assert.EqualValues(t, 201, b.total(t).Persisted)
}
