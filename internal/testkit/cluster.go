package testkit

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// clusterSlots is the number of hash slots of a Redis Cluster.
const clusterSlots = 16384

// Cluster is a Redis Cluster of a test. Its methods fail the test that it was made for.
type Cluster struct {
	Masters []*RedisServer // as it began

	t       testing.TB
	clients map[string]*redis.Client // of every node, by its address
}

// RedisCluster starts a cluster of three masters for this test alone.
func RedisCluster(t testing.TB) *Cluster {
	t.Helper()
	const masters = 3
	c := &Cluster{t: t, clients: map[string]*redis.Client{}}
	for i := range masters {
		s := c.node()
		c.Masters = append(c.Masters, s)
		if err := c.clients[s.Addr()].ClusterAddSlotsRange(t.Context(), i*clusterSlots/masters,
			(i+1)*clusterSlots/masters-1).Err(); err != nil {
			t.Fatal(fmt.Errorf("give node %d its slots: %w", i, err))
		}
	}
	for _, s := range c.Masters[1:] {
		c.meet(s)
	}
	c.whole()
	return c
}

func (c *Cluster) node() *RedisServer {
	c.t.Helper()
	bus, err := freePort()
	if err != nil {
		c.t.Fatal(err)
	}
	s := Redis(c.t, Set("cluster-enabled", "yes"), Set("cluster-port", strconv.Itoa(bus)),
		Set("cluster-node-timeout", "2000"),
		Set("repl-diskless-sync-delay", "0"))
	c.clients[s.Addr()] = s.Client(c.t)
	return s
}

// meet introduces a node to the first.
func (c *Cluster) meet(s *RedisServer) {
	c.t.Helper()
	set, err := c.clients[s.Addr()].ConfigGet(c.t.Context(), "cluster-port").Result()
	if err == nil {
		err = c.clients[c.Masters[0].Addr()].Do(c.t.Context(), "CLUSTER", "MEET", "127.0.0.1", s.port,
			set["cluster-port"]).Err()
	}
	if err != nil {
		c.t.Fatal(fmt.Errorf("introduce %s: %w", s.Addr(), err))
	}
}

// whole waits until every node knows every other, and an owner of each slot.
func (c *Cluster) whole() {
	c.t.Helper()
	known := fmt.Sprintf("cluster_known_nodes:%d\r\n", len(c.clients))
	Eventually(c.t, "the cluster is whole", func() bool {
		for _, client := range c.clients {
			info, err := client.ClusterInfo(c.t.Context()).Result()
			if err != nil || !strings.Contains(info, "cluster_state:ok") || !strings.Contains(info, known) {
				return false
			}
		}
		return true
	})
}

// URL names the masters with which it began.
func (c *Cluster) URL() string {
	addrs := make([]string, len(c.Masters))
	for i, s := range c.Masters {
		addrs[i] = s.Addr()
	}
	return "redis-cluster://" + strings.Join(addrs, ",")
}

// Replicate gives a master a replica, and waits until that has all it has.
func (c *Cluster) Replicate(master *RedisServer) *RedisServer {
	c.t.Helper()
	s := c.node()
	c.meet(s)
	c.whole()
	if err := c.clients[s.Addr()].ClusterReplicate(c.t.Context(), c.id(master)).Err(); err != nil {
		c.t.Fatal(fmt.Errorf("make a replica: %w", err))
	}
	Eventually(c.t, "the replica follows, and all know it", func() bool {
		for _, client := range c.clients {
			if !strings.Contains(client.ClusterNodes(c.t.Context()).Val(), "slave "+c.id(master)) {
				return false
			}
		}
		return strings.Contains(c.clients[s.Addr()].Info(c.t.Context(), "replication").Val(), "master_link_status:up")
	})
	return s
}

func (c *Cluster) id(s *RedisServer) string {
	c.t.Helper()
	id, err := c.clients[s.Addr()].ClusterMyID(c.t.Context()).Result()
	if err != nil {
		c.t.Fatal(err)
	}
	return id
}

// Owner is the master, of those with which it began, that has the slot of a key.
func (c *Cluster) Owner(key string) *RedisServer {
	c.t.Helper()
	for _, s := range c.Masters {
		if err := c.clients[s.Addr()].Exists(c.t.Context(), key).Err(); err == nil {
			return s
		}
	}
	c.t.Fatalf("no master has the slot of %s", key)
	return nil
}

// Move begins to move the slot of a key to another master, which it names, and returns
// what takes the keys there and gives it the slot. Until then both refuse what names a key
// that they lack.
func (c *Cluster) Move(key string) (to *RedisServer, finish func()) {
	c.t.Helper()
	ctx := c.t.Context()
	from := c.Owner(key)
	for _, s := range c.Masters {
		if s != from {
			to = s
		}
	}
	do := func(s *RedisServer, words ...any) {
		c.t.Helper()
		if err := c.clients[s.Addr()].Do(ctx, words...).Err(); err != nil {
			c.t.Fatal(fmt.Errorf("move a slot: %v: %w", words, err))
		}
	}
	slot := c.clients[from.Addr()].ClusterKeySlot(ctx, key).Val()
	do(to, "CLUSTER", "SETSLOT", slot, "IMPORTING", c.id(from))
	do(from, "CLUSTER", "SETSLOT", slot, "MIGRATING", c.id(to))
	return to, func() {
		c.t.Helper()
		for {
			keys := c.clients[from.Addr()].ClusterGetKeysInSlot(ctx, int(slot), 100).Val()
			if len(keys) == 0 {
				break
			}
			for _, k := range keys {
				do(from, "MIGRATE", "127.0.0.1", to.port, k, 0, (10 * time.Second).Milliseconds())
			}
		}
		for _, s := range append([]*RedisServer{to}, c.Masters...) {
			do(s, "CLUSTER", "SETSLOT", slot, "NODE", c.id(to))
		}
	}
}
