package worker

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/cache"
	"github.com/afterwrite/afterwrite/cache/pending"
	"github.com/afterwrite/afterwrite/internal/testkit"
	"github.com/afterwrite/afterwrite/schema"
)

// A worker's queue is in the Redis of the state: what is said of the one must hold of both.
func TestI2OverACluster(t *testing.T) {
	t.Parallel()
	e := testkit.Entity(t, "user") // of sixteen partitions: some on each node
	b := setupFor(t, testkit.SQLite(t), testkit.RedisCluster(t).URL(), e)
	b.run(b.worker(b.serving))
	for i := range 100 {
		b.put(id(i), "x")
	}
	testkit.Eventually(t, "all are persisted", func() bool { return b.stats().Pending == 0 })
	b.quiet(0)
	require.Len(t, b.names(), 100)
}

func TestI2OverASentinelsFailover(t *testing.T) {
	t.Parallel()
	s := testkit.RedisSentinel(t)
	b := setupFor(t, testkit.SQLite(t), s.URL(), testkit.Entity(t, "user"))
	b.run(b.worker(b.serving))
	b.put("before", "x")
	testkit.Eventually(t, "it is persisted", func() bool { return len(b.names()) == 1 })
	old, err := s.Master(t.Context())
	require.NoError(t, err)
	testkit.Eventually(t, "the failover begins", func() bool { return s.Failover(t.Context()) == nil })
	testkit.Eventually(t, "another is master", func() bool {
		now, err := s.Master(t.Context())
		return err == nil && now != old
	})
	values, err := b.e.Whole(schema.Fields{"name": "y", "email": "after@x"})
	require.NoError(t, err)
	w := cache.Write{Op: cache.OpPut, ID: "after", Values: values}
	testkit.Eventually(t, "a write is accepted by the new master, and persisted without anybody's help", func() bool {
		g := &cache.Group{Entity: b.e, Partition: b.e.Partition(w.ID), Writes: []cache.Write{w}}
		b.cache.Write(t.Context(), g)
		return b.names()["after"] == "y"
	})
	testkit.Eventually(t, "nothing is pending", func() bool {
		stats, err := b.backlog.Stats(t.Context(), b.e)
		return err == nil && pending.Total(stats).Pending == 0
	})
	b.quiet(0)
}

// The master that dies has the queue. The worker's client must find its replica, too.
func TestI2OverAClustersFailover(t *testing.T) {
	t.Parallel()
	c := testkit.RedisCluster(t)
	b := setupFor(t, testkit.SQLite(t), c.URL(), testkit.Entity(t, "user"))
	queue := c.Owner("asynq:{" + b.prefix + ":default}:pending")
	replica := c.Replicate(queue)
	b.run(b.worker(b.serving))
	b.put("before", "x")
	testkit.Eventually(t, "it is persisted", func() bool { return len(b.names()) == 1 })
	queue.Kill()
	admin := replica.Client(t)
	testkit.Eventually(t, "the replica is master", func() bool {
		return admin.Do(t.Context(), "ROLE").Val().([]any)[0] == "master"
	})
	values, err := b.e.Whole(schema.Fields{"name": "y", "email": "after@x"})
	require.NoError(t, err)
	w := cache.Write{Op: cache.OpPut, ID: "after", Values: values}
	testkit.Eventually(t, "a write is accepted, and persisted without anybody's help", func() bool {
		g := &cache.Group{Entity: b.e, Partition: b.e.Partition(w.ID), Writes: []cache.Write{w}}
		b.cache.Write(t.Context(), g)
		return b.names()["after"] == "y"
	})
	testkit.Eventually(t, "nothing is pending", func() bool {
		stats, err := b.backlog.Stats(t.Context(), b.e)
		return err == nil && pending.Total(stats).Pending == 0
	})
	b.quiet(0)
}
