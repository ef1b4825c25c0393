package rdb

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
)

// Defaults of [Config].
const (
	DefaultTimeout = 3 * time.Second
	DefaultRetries = 3
)

// Config says how a [Client] connects to Redis. URL or Over is required.
type Config struct {
	URL        string                // see ParseURL
	Over       redis.UniversalClient // the caller's client, instead of URL, Timeout, Retries and PoolSize
	Timeout    time.Duration         // bound on one command; 0: DefaultTimeout
	Retries    int                   // of repeatable commands after a network error; 0: DefaultRetries, -1: none
	PoolSize   int                   // connections per node; 0: the client library's default
	Log        *slog.Logger          // nil: slog.Default()
	Registerer prometheus.Registerer // nil: no metrics
	OnTLS      func(*tls.Config)     // called with the TLS settings if TLS is used; can be nil
	Hooks      []redis.Hook          // called for every command; tests inject faults with them
}

// Client is a connection to one Redis. The embedded client repeats a command after a network error. A Client is safe
// for concurrent use.
type Client struct {
	redis.UniversalClient

	// Once never repeats a command: a command whose reply was lost may have run.
	Once redis.UniversalClient

	own     bool // the connections are the caller's
	maps    bool // connections may speak RESP3, which returns a hash as a map
	scripts *prometheus.HistogramVec
}

// Open returns a client that connects on first use, so a Redis that is down is not an error.
func Open(cfg Config) (*Client, error) {
	if cfg.Timeout < 0 || cfg.PoolSize < 0 {
		return nil, errors.New("redis: a time or a number of the Config is negative; only Retries may be")
	}
	scripts := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name:    "afterwrite_redis_script_duration_seconds",
		Help:    "Round trips of Redis scripts, a pipeline counting once.",
		Buckets: prometheus.ExponentialBuckets(0.0001, 2.5, 12),
	}, []string{"script"})
	c := &Client{own: cfg.Over != nil, maps: cfg.Over != nil, scripts: scripts}
	breakers := newStates()
	if cfg.Registerer != nil {
		cfg.Registerer.MustRegister(scripts, breakers.gauge, pools{c})
	}
	log := cmp.Or(cfg.Log, slog.Default())
	if c.own {
		var err error
		c.UniversalClient, c.Once, err = cfg.over(func(timeout time.Duration) redis.Hook {
			return newBreaker("", timeout, breakers, log)
		})
		return c, err
	}
	options, err := cfg.options()
	if err != nil {
		return nil, err
	}
	c.UniversalClient = connect(options, cmp.Or(cfg.Retries, DefaultRetries), maxRedirects, nil)
	eachNode(c.UniversalClient, func(node string) redis.Hook {
		return newBreaker(node, options.ReadTimeout, breakers, log)
	})
	for _, hook := range cfg.Hooks {
		c.UniversalClient.AddHook(hook)
	}
	c.Once = connect(options, -1, -1, cfg.Hooks)
	eachNode(c.Once, func(string) redis.Hook { return unsent{} })
	return c, nil
}

// eachNode gives a client a hook, or each node of a cluster a hook of its own.
func eachNode(client redis.UniversalClient, hook func(node string) redis.Hook) {
	cluster, ok := client.(*redis.ClusterClient)
	if !ok {
		client.AddHook(hook(""))
		return
	}
	cluster.OnNewNode(func(node *redis.Client) { node.AddHook(hook(node.Options().Addr)) })
}

// NodeOf returns the name of the node of a cluster that has the slot of a key, "" where there is one node, or where no
// node is known. Calls that are combined go to one node: a trip is as slow as the slowest node that it reaches.
func (c *Client) NodeOf(ctx context.Context, key string) string {
	cluster, ok := c.Once.(*redis.ClusterClient)
	if !ok {
		return ""
	}
	node, err := cluster.MasterForKey(ctx, key)
	if err != nil {
		return ""
	}
	return node.Options().Addr
}

// over makes both clients on the caller's connections. A client of one server is copied, so that the caller's hooks,
// retries and timeouts do not change; the copies also respect contexts. A cluster client is used directly, without the
// breaker: [once] prevents its retries.
func (cfg *Config) over(breaker func(timeout time.Duration) redis.Hook) (again, once redis.UniversalClient, err error) {
	switch given := cfg.Over.(type) {
	case *redis.ClusterClient:
		return given, given, nil
	case *redis.Client:
		timeout := given.Options().ReadTimeout
		first, second := given.WithTimeout(timeout), given.WithTimeout(timeout)
		first.Options().ContextTimeoutEnabled, second.Options().ContextTimeoutEnabled = true, true
		second.Options().MaxRetries = 0
		if timeout > 0 {
			first.AddHook(breaker(timeout))
		}
		for _, hook := range cfg.Hooks {
			first.AddHook(hook)
			second.AddHook(hook)
		}
		return first, second, nil
	}
	return nil, nil, fmt.Errorf("redis: a %T cannot be used: give a *redis.Client, of one server or of sentinels, or a *redis.ClusterClient", cfg.Over)
}

// options returns the options of both clients, without their retries.
func (cfg *Config) options() (*redis.UniversalOptions, error) {
	o, err := ParseURL(cfg.URL)
	if err != nil {
		return nil, err
	}
	timeout := cmp.Or(cfg.Timeout, DefaultTimeout)
	o.DialTimeout, o.ReadTimeout, o.WriteTimeout, o.PoolTimeout = timeout, timeout, timeout, timeout
	o.DialerRetries = 1
	o.PoolSize = cfg.PoolSize
	o.ContextTimeoutEnabled = true
	if cfg.OnTLS != nil && o.TLSConfig != nil {
		cfg.OnTLS(o.TLSConfig)
	}
	return o, nil
}

// maxRedirects bounds how often a call is forwarded to the cluster node that owns its slot: by the client itself, or
// for writes by [Client.redirect].
const maxRedirects = 3

// connect makes a client that repeats a command up to retries times after a network error and redirects times after a
// redirect; -1 is never.
func connect(o *redis.UniversalOptions, retries, redirects int, hooks []redis.Hook) redis.UniversalClient {
	own := *o
	own.MaxRetries, own.MaxRedirects = retries, redirects
	client := Connect(&own)
	for _, hook := range hooks {
		client.AddHook(hook)
	}
	return client
}

// Close closes the connections, unless they are the caller's. Calls in progress fail.
func (c *Client) Close() error {
	if c.own {
		return nil
	}
	return errors.Join(c.UniversalClient.Close(), c.Once.Close())
}

// HashCmd returns a command that reads a whole hash; [Pairs] reads its result.
func (c *Client) HashCmd(ctx context.Context, key string) redis.Cmder {
	if c.maps {
		return redis.NewMapStringStringCmd(ctx, "hgetall", key)
	}
	return redis.NewStringSliceCmd(ctx, "hgetall", key)
}

// Pairs returns the fields and values of a [Client.HashCmd], alternating.
func Pairs(cmd redis.Cmder) []string {
	switch cmd := cmd.(type) {
	case *redis.StringSliceCmd:
		return cmd.Val()
	case *redis.MapStringStringCmd:
		pairs := make([]string, 0, 2*len(cmd.Val()))
		for field, value := range cmd.Val() {
			pairs = append(pairs, field, value)
		}
		return pairs
	}
	return nil
}

// Clustered reports whether Redis is a cluster, where the keys of one call must be in one slot.
func (c *Client) Clustered() bool {
	_, cluster := c.Once.(*redis.ClusterClient)
	return cluster
}

// EachNode calls fn with every node that holds keys, one at a time.
func (c *Client) EachNode(ctx context.Context, fn func(ctx context.Context, node redis.Cmdable) error) error {
	cluster, ok := c.UniversalClient.(*redis.ClusterClient)
	if !ok {
		return fn(ctx, c.UniversalClient)
	}
	var mu sync.Mutex
	return cluster.ForEachMaster(ctx, func(ctx context.Context, node *redis.Client) error {
		mu.Lock()
		defer mu.Unlock()
		return fn(ctx, node)
	})
}

// ScanKeys calls fn with the keys that match a glob, a step of so many visited keys at a time, on every node. A key can
// come more than once.
func (c *Client) ScanKeys(ctx context.Context, match string, step int64, fn func(keys []string) error) error {
	return c.EachNode(ctx, func(ctx context.Context, node redis.Cmdable) error {
		for cursor := uint64(0); ; {
			keys, next, err := node.Scan(ctx, cursor, match, step).Result()
			if err != nil {
				return Fault("scan", err)
			}
			if err := fn(keys); err != nil {
				return err
			}
			if cursor = next; cursor == 0 {
				return nil
			}
		}
	})
}

// Sleep waits, or returns the error of an ended context.
func Sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
