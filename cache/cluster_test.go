package cache_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/cache"
	"github.com/afterwrite/afterwrite/internal/testkit"
	"github.com/afterwrite/afterwrite/internal/testkit/whole"
	"github.com/afterwrite/afterwrite/schema"
)

// Every script and every walk works on a Redis Cluster: the keys of a partition are of
// one slot, and nothing depends on two of them being together.
func TestRedisCluster(t *testing.T) {
	t.Parallel()
	b := &bundle{whole.Bundle{Table: &whole.Table{Rows: map[string]schema.Values{}}, Under: "aw"}}
	b.E = &schema.Entity{Name: "user", Partitions: 8, Fields: []schema.Field{
		{Name: "name", Type: schema.String}, {Name: "age", Type: schema.Int}, {Name: "count", Type: schema.Int},
	}}
	require.NoError(t, b.E.Init())
	c, err := cache.New(cache.Config{URL: testkit.RedisCluster(t).URL(), Loader: b.Table, Log: testkit.Logger(t)})
	require.NoError(t, err)
	b.Redis = whole.Of(c)
	t.Cleanup(func() { require.NoError(t, b.Close()) })
	require.NoError(t, b.Adopt(t.Context(), b.E))

	var groups []*cache.Group
	for partition := range b.E.Partitions {
		groups = append(groups, &cache.Group{Entity: b.E, Partition: partition})
	}
	for i := range 200 {
		g := groups[b.E.Partition(fmt.Sprint(i))]
		g.Writes = append(g.Writes, cache.Write{Op: cache.OpPut, ID: fmt.Sprint(i), Values: whole.Row("x", "1", "1")})
	}
	b.Write(t.Context(), groups...) // one pipeline over all nodes
	for _, g := range groups {
		for _, r := range g.Results {
			require.NoError(t, r.Err)
		}
	}
	b.Flush(t)
	b.Put(t, "7", "pending")
	assert.EqualValues(t, 201, b.Total(t).Accepted)
	reads, err := b.GetMany(t.Context(), b.E, []string{"1", "2", "3", "nobody"})
	require.NoError(t, err)
	assert.Equal(t, cache.Hit, reads[2].Source)
	assert.True(t, reads[3].Deleted)

	found := 0
	require.NoError(t, b.Walk(t.Context(), b.E, 64, func(schema.Cached) error { found++; return nil }))
	assert.GreaterOrEqual(t, found, 200)
	dropped, err := b.InvalidateMatch(t.Context(), b.E, "*", nil)
	require.NoError(t, err)
	assert.Equal(t, 200, dropped, "all but the pending record, and the absence")
	assert.Equal(t, cache.Filled, b.Got(t, "8").Source)

	sub, err := b.Subscribe(t.Context(), b.E)
	require.NoError(t, err)
	defer sub.Close()
	testkit.Eventually(t, "events cross the nodes", func() bool {
		b.HoldAll(t, 0) // a cluster's bus may drop a message
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
	events, _ := b.Kept(t, time.Now().Add(-time.Hour))
	assert.GreaterOrEqual(t, len(events), 201)
	state, err := b.Status(t.Context(), b.E, "7")
	require.NoError(t, err)
	assert.Equal(t, schema.Held, state.Record.Status)
	b.Flush(t)
	assert.EqualValues(t, 201, b.Total(t).Persisted)
}

// one is a bundle on a cluster, of one partition and so of one slot.
func one(t *testing.T, c *testkit.Cluster) (b *bundle, slot string) {
	t.Helper()
	b = on(t, c.URL())
	b.E.Partitions = 1
	require.NoError(t, b.E.Init())
	return b, "aw:{user/0}:stats"
}

// While a slot is moved a node has some of its keys, and would run a script up to the
// first that it lacks: the list of pending records, which is not there while none is.
func TestI1AMovingSlotAppliesNoWriteByHalves(t *testing.T) {
	t.Parallel()
	c := testkit.RedisCluster(t)
	b, slot := one(t, c)
	b.Put(t, "a", "Ann")
	b.Flush(t)
	before := b.Got(t, "a")
	_, finish := c.Move(slot)
	for _, w := range []cache.Write{
		{Op: cache.OpPut, ID: "a", Values: whole.Row("Bob", "1", "1")},
		{Op: cache.OpIncrement, ID: "a", Deltas: []cache.Delta{{Field: 2, By: 1}}},
		{Op: cache.OpDelete, ID: "a"},
		{Op: cache.OpPut, ID: "new", Values: whole.Row("Bob", "1", "1")},
	} {
		got, _ := b.Send(t, w)
		require.ErrorIs(t, got.Err, schema.ErrUnavailable)
		require.NotErrorIs(t, got.Err, schema.ErrOutcomeUnknown)
		after := b.Got(t, "a")
		assert.Equal(t, before.Version, after.Version, "nothing was written")
		assert.Equal(t, schema.Persisted, after.Status)
	}
	finish()
	b.Put(t, "a", "Bob")
	assert.Equal(t, schema.Pending, b.Got(t, "a").Status)
	b.Flush(t)
	b.Total(t)
}

// A write follows a slot that was moved at once: the node that had it says where it is.
func TestAWriteFollowsItsSlot(t *testing.T) {
	t.Parallel()
	c := testkit.RedisCluster(t)
	b, slot := one(t, c)
	for i := range 3 {
		b.Put(t, "a", fmt.Sprint(i))
		to, finish := c.Move(slot)
		finish()
		require.Equal(t, to, c.Owner(slot))
	}
	b.Put(t, "a", "Ann")
	b.Flush(t)
	b.Total(t)
}

// A master that dies names no other. What it had is written and read again as soon as its
// replica has taken over.
func TestClusterFailover(t *testing.T) {
	t.Parallel()
	c := testkit.RedisCluster(t)
	b, slot := one(t, c)
	owner := c.Owner(slot)
	replica := c.Replicate(owner)
	b.Put(t, "a", "Ann")
	admin := replica.Client(t)
	testkit.Eventually(t, "the replica has it", func() bool { return admin.DBSize(t.Context()).Val() > 0 })
	stop := b.keepWriting(t, "other")
	owner.Kill()
	testkit.Eventually(t, "the replica is master", func() bool {
		return admin.Do(t.Context(), "ROLE").Val().([]any)[0] == "master"
	})
	testkit.Eventually(t, "writes are accepted, and read", func() bool {
		got, _ := b.Send(t, cache.Write{Op: cache.OpPut, ID: "b", Values: whole.Row("Bob", "1", "1")})
		if got.Err != nil {
			return false
		}
		read, err := b.Get(t.Context(), b.E, "b")
		return err == nil && read.Version == got.Version && read.Source == cache.Hit
	})
	stop()
	assert.Equal(t, schema.Pending, b.Got(t, "a").Status, "what was replicated is there")
	b.Flush(t)
	b.Total(t)
}
