package rdb

import (
	"context"
	"errors"
	"strings"
	"sync"

	"github.com/redis/go-redis/v9"
)

// Connect makes a client that connects when it is used. That of a cluster looks for the
// masters anew whenever one fails it: the client library itself does so once a minute, and
// where a node names another, which one that has died does not.
func Connect(o *redis.UniversalOptions) redis.UniversalClient {
	client := redis.NewUniversalClient(o)
	if cluster, ok := client.(*redis.ClusterClient); ok {
		client.AddHook(follow{cluster})
	}
	return client
}

// follow is the hook that does it. It sees what a command came to after its repeats.
type follow struct{ cluster *redis.ClusterClient }

// look has the masters looked for beside the commands, several times a second at most.
func (f follow) look(ctx context.Context, err error) {
	if err == nil || errors.Is(err, redis.Nil) || errors.Is(err, context.Canceled) {
		return
	}
	if !Answered(err) || redis.HasErrorPrefix(err, "MOVED") || redis.HasErrorPrefix(err, "CLUSTERDOWN") || redis.HasErrorPrefix(err, "READONLY") {
		f.cluster.ReloadState(ctx)
	}
}

// DialHook leaves dialling alone.
func (f follow) DialHook(next redis.DialHook) redis.DialHook { return next }

// ProcessHook looks at the outcome of one command.
func (f follow) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		err := next(ctx, cmd)
		f.look(ctx, err)
		return err
	}
}

// ProcessPipelineHook looks at the outcomes of a pipeline, whose commands may be of
// several nodes.
func (f follow) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		err := next(ctx, cmds)
		for _, cmd := range cmds {
			f.look(ctx, cmd.Err())
		}
		return err
	}
}

// redirect sends calls again that another node of a cluster owns: a node that answers
// MOVED has run nothing. They go to the node that it names, since the others may not know
// of the change yet.
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

// movedTo is the node that a MOVED names, "" where the error is another.
func movedTo(err error) string {
	if err == nil || !redis.HasErrorPrefix(err, "MOVED") {
		return ""
	}
	words := strings.Fields(err.Error()) // MOVED, slot, node
	return words[len(words)-1]
}

// nodesOf are the clients of a cluster's nodes by their address, as they are now: a
// replica may have become a master.
func nodesOf(ctx context.Context, cluster *redis.ClusterClient) map[string]*redis.Client {
	var mu sync.Mutex
	nodes := map[string]*redis.Client{}
	_ = cluster.ForEachShard(ctx, func(_ context.Context, node *redis.Client) error {
		mu.Lock()
		defer mu.Unlock()
		nodes[node.Options().Addr] = node
		return nil
	}) // an error leaves the calls with theirs
	return nodes
}
