package rdb

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"sync"

	"github.com/redis/go-redis/v9"
)

// Connect returns a client that connects on first use. A cluster client reloads the list of masters whenever a node
// fails it. By itself the client library reloads only once a minute and when a node redirects to another, which a dead
// node does not. A client of sentinels uses no former master, see [former].
func Connect(o *redis.UniversalOptions) redis.UniversalClient {
	own := *o
	// A cluster's client appends to its addresses: clients of one configuration must not share the memory behind them.
	own.Addrs = slices.Clip(slices.Clone(o.Addrs))
	client := redis.NewUniversalClient(&own)
	if cluster, ok := client.(*redis.ClusterClient); ok {
		client.AddHook(follow{cluster})
	} else if o.MasterName != "" {
		client.AddHook(former{cmp.Or(o.DialTimeout, DefaultTimeout)})
	}
	return client
}

// follow is the hook that reloads the masters. It sees the final outcome of a command, after its repeats.
type follow struct{ cluster *redis.ClusterClient }

// look requests a reload in the background, which the library does several times a second at most.
func (f follow) look(ctx context.Context, err error) {
	if err == nil || errors.Is(err, redis.Nil) || errors.Is(err, context.Canceled) {
		return
	}
	if !Answered(err) || redis.HasErrorPrefix(err, "MOVED") || redis.HasErrorPrefix(err, "CLUSTERDOWN") ||
		redis.HasErrorPrefix(err, "READONLY") {
		f.cluster.ReloadState(ctx)
	}
}

// DialHook leaves dialling unchanged.
func (f follow) DialHook(next redis.DialHook) redis.DialHook { return next }

// ProcessHook checks the outcome of one command.
func (f follow) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		err := next(ctx, cmd)
		f.look(ctx, err)
		return err
	}
}

// ProcessPipelineHook checks the outcomes of a pipeline, whose commands can go to several nodes.
func (f follow) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		err := next(ctx, cmds)
		for _, cmd := range cmds {
			f.look(ctx, cmd.Err())
		}
		return err
	}
}

// redirect sends calls again if another node of a cluster owns their slot: a node that answers MOVED has run nothing.
// They go to the node that the answer names, since other nodes may not know of the change yet.
func (c *Client) redirect(ctx context.Context, calls []*Call) {
	cluster, ok := c.Once.(*redis.ClusterClient)
	if !ok {
		return
	}
	for range maxRedirects {
		moved := map[string][]*Call{}
		for _, one := range calls {
			if addr := movedTo(one.Err()); addr != "" {
				moved[addr] = append(moved[addr], one)
			}
		}
		if len(moved) == 0 {
			return
		}
		nodes := nodesOf(ctx, cluster)
		for addr, again := range moved {
			if node, ok := nodes[addr]; ok {
				c.pipeline(ctx, node, again, false)
			}
		}
	}
}

// movedTo returns the node that a MOVED names, or "" for another error.
func movedTo(err error) string {
	if err == nil || !redis.HasErrorPrefix(err, "MOVED") {
		return ""
	}
	words := strings.Fields(err.Error()) // MOVED, slot, node
	return words[len(words)-1]
}

// nodesOf returns the clients of a cluster's nodes by address. It reads them each time: a replica may have become a
// master.
func nodesOf(ctx context.Context, cluster *redis.ClusterClient) map[string]*redis.Client {
	var mu sync.Mutex
	nodes := map[string]*redis.Client{}
	_ = cluster.ForEachShard(ctx, func(_ context.Context, node *redis.Client) error {
		mu.Lock()
		defer mu.Unlock()
		nodes[node.Options().Addr] = node
		return nil
	}) // on an error the calls keep their own
	return nodes
}
