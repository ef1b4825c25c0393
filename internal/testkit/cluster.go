package testkit

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// clusterSlots is the number of hash slots of a Redis Cluster.
const clusterSlots = 16384

// RedisCluster starts a Redis Cluster of three masters for this test alone and returns
// the URL that names them.
func RedisCluster(t testing.TB) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	const masters = 3
	var addrs []string
	var clients []*redis.Client
	var ports, buses []int
	for i := range masters {
		bus, err := freePort()
		if err != nil {
			t.Fatal(err)
		}
		s := Redis(t, Set("cluster-enabled", "yes"), Set("cluster-port", strconv.Itoa(bus)), Set("cluster-node-timeout", "2000"))
		addrs, clients = append(addrs, s.Addr()), append(clients, s.Client(t))
		ports, buses = append(ports, s.port), append(buses, bus)
		if err := clients[i].ClusterAddSlotsRange(ctx, i*clusterSlots/masters, (i+1)*clusterSlots/masters-1).Err(); err != nil {
			t.Fatal(fmt.Errorf("give node %d its slots: %w", i, err))
		}
	}
	for i := 1; i < masters; i++ {
		if err := clients[0].Do(ctx, "CLUSTER", "MEET", "127.0.0.1", ports[i], buses[i]).Err(); err != nil {
			t.Fatal(fmt.Errorf("introduce node %d: %w", i, err))
		}
	}
	Eventually(t, "the cluster is whole", func() bool {
		for _, c := range clients {
			info, err := c.ClusterInfo(ctx).Result()
			if err != nil || !strings.Contains(info, "cluster_state:ok") || !strings.Contains(info, "cluster_known_nodes:3") {
				return false
			}
		}
		return true
	})
	return "redis-cluster://" + strings.Join(addrs, ",")
}
