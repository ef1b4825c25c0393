package inspect

import (
	"context"
	"slices"
	"strings"
	"sync"

	"github.com/redis/go-redis/v9"

	"github.com/afterwrite/afterwrite/internal/rdb"
)

// ClusterTroubles tells of each master of a cluster that does not answer, finds the cluster
// incomplete or has a slot half moved, in one sentence each; nothing where Redis is no
// cluster, this user may not ask or no node answers.
func (i *Inspector) ClusterTroubles(ctx context.Context) []string {
	cluster, ok := i.redis.UniversalClient.(*redis.ClusterClient)
	if !ok {
		return nil
	}
	var mu sync.Mutex
	var troubles []string
	_ = cluster.ForEachMaster(ctx, func(ctx context.Context, node *redis.Client) error {
		trouble := clusterTrouble(ctx, node)
		mu.Lock()
		defer mu.Unlock()
		if trouble != "" {
			troubles = append(troubles, node.Options().Addr+" "+trouble)
		}
		return nil
	})
	slices.Sort(troubles)
	return troubles
}

func clusterTrouble(ctx context.Context, node *redis.Client) string {
	nodes, err := node.ClusterNodes(ctx).Result()
	switch {
	case err != nil && rdb.Answered(err):
		return "" // many hosted servers bar it
	case err != nil:
		return "does not answer: " + err.Error()
	}
	for line := range strings.Lines(nodes) {
		if _, slots, open := strings.Cut(line, " ["); open && strings.Contains(line, "myself") {
			return "moves a slot, of whose partition no write is accepted meanwhile: [" + strings.TrimSpace(slots)
		}
	}
	info, err := node.ClusterInfo(ctx).Result()
	if err == nil && !strings.Contains(info, "cluster_state:ok") {
		return "says that the cluster is down: some slots have no owner"
	}
	return ""
}
