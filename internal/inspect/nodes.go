package inspect

import (
	"context"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/afterwrite/afterwrite/internal/rdb"
)

// Node is what one Redis server tells of its memory and of the safety of accepted writes.
type Node struct {
	Addr   string
	Health Health
	Unsafe map[string]bool // settings with which accepted writes can be lost, each with whether Redis has it
}

// Nodes asks every master that holds keys, in one round trip each. A server that does not
// tell of itself has no reasons.
func (i *Inspector) Nodes(ctx context.Context) ([]Node, error) {
	var nodes []Node
	err := i.redis.EachNode(ctx, func(ctx context.Context, node redis.Cmdable) error {
		p := node.Pipeline()
		info, fsync := p.Info(ctx), p.ConfigGet(ctx, "appendfsync")
		if _, err := p.Exec(ctx); err != nil && !rdb.Answered(err) {
			return rdb.Fault("nodes", err)
		}
		values := parseInfo(info.Val())
		if values["loading"] == "1" {
			return rdb.Fault("nodes", errLoading)
		}
		n := Node{Addr: "redis"}
		if c, ok := node.(*redis.Client); ok {
			n.Addr = c.Options().Addr
		}
		n.Health.read(values)
		n.Health.Fsync = fsync.Val()["appendfsync"]
		if n.Health.Told {
			n.Unsafe = map[string]bool{
				"eviction_policy":     strings.HasPrefix(n.Health.Policy, "allkeys-"),
				"no_append_only_file": !n.Health.AOF,
				"no_fsync":            n.Health.AOF && n.Health.Fsync == "no",
			}
		}
		nodes = append(nodes, n)
		return nil
	})
	return nodes, err
}
