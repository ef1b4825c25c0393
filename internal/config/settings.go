package config

import (
	"math"
	"slices"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"

	"github.com/afterwrite/afterwrite/schema"
)

// setting is one setting. Exactly one of text, list, pairs and node is set.
type setting struct {
	path  string // from the top of the file or of the entity, such as "flush.batch"
	kind  kind
	text  form                   // a scalar
	list  func([]string) error   // a sequence of strings; separated by commas in the environment
	pairs func([]string) error   // a mapping of scalars, each as "key:value"
	node  func(n ast.Node) error // any other value; not for the environment
}

const long = 24 * time.Hour

// settings returns all settings outside entities.
func (c *Config) settings() []setting {
	d, a, w := &c.Database, &c.API, &c.Worker
	return []setting{
		{path: "redis.url", text: words(&c.Redis.URL, redisURL)},
		{path: "redis.prefix", text: words(&c.Redis.Prefix, keyPrefix)},
		{path: "redis.timeout", text: duration(&c.Redis.Timeout, 10*time.Millisecond, time.Minute), kind: amount},
		{path: "redis.retries", text: whole(&c.Redis.Retries, 0, 10), kind: number},
		{path: "redis.pool_size", text: whole(&c.Redis.PoolSize, 0, 10_000), kind: number},

		{path: "queue.redis_url", text: words(&c.Queue.RedisURL, optional(redisURL))},

		{path: "database.url", text: words(&d.URL, scheme("sqlite", "postgres", "postgresql", "mysql"))},
		{path: "database.max_open", text: whole(&d.MaxOpen, 2, 10_000), kind: number},
		{path: "database.max_idle", text: whole(&d.MaxIdle, 0, 10_000), kind: number},
		{path: "database.conn_lifetime", text: duration(&d.ConnLifetime, 0, 7*long), kind: amount},
		{path: "database.lock_timeout", text: duration(&d.LockTimeout, 10*time.Millisecond, 5*time.Second),
			kind: amount},
		{path: "database.statement_timeout", text: duration(&d.StatementTimeout, 10*time.Millisecond, time.Hour),
			kind: amount},
		{path: "database.idle_in_transaction", text: duration(&d.IdleInTransaction, 100*time.Millisecond, time.Hour),
			kind: amount},
		{path: "database.busy_timeout", text: duration(&d.BusyTimeout, 0, time.Minute), kind: amount},
		{path: "database.batch", text: whole(&d.Batch, 0, schema.MaxFlushBatch), kind: number},

		{path: "api.addr", text: words(&a.Addr, address)},
		{path: "api.max_body", text: size(&a.MaxBody, 1<<10, 1<<30), kind: amount},
		{path: "api.max_batch_body", text: size(&a.MaxBatchBody, 1<<10, 4<<30), kind: amount},
		{path: "api.cors", list: origins(&a.CORS)},
		{path: "api.insecure", text: boolean(&a.Insecure), kind: truth},
		{path: "api.require_tokens", text: boolean(&a.RequireTokens), kind: truth},
		{path: "api.rate_limit.limit", text: whole(&a.RateLimit.Limit, 0, math.MaxInt), kind: number},
		{path: "api.rate_limit.window", text: duration(&a.RateLimit.Window, time.Second, long), kind: amount},
		{path: "api.rate_limit.fail_closed", text: boolean(&a.RateLimit.FailClosed), kind: truth},
		{path: "api.trusted_proxies", list: networks(&a.TrustedProxies)},
		{path: "api.hosts", list: hosts(&a.Hosts)},
		{path: "api.keys.keep", text: duration(&a.KeepKeys, time.Minute, 7*long), kind: amount},
		{path: "api.keys.max", text: whole(&a.MaxKeys, 100, 10_000_000), kind: number},
		{path: "api.max_wait", text: duration(&a.MaxWait, time.Second, 150*time.Second), kind: amount},
		{path: "api.drain", text: duration(&a.Drain, 0, 10*time.Minute), kind: amount},
		{path: "api.shutdown_timeout", text: duration(&a.ShutdownTimeout, 0, time.Hour), kind: amount},
		{path: "api.pprof", text: boolean(&a.PProf), kind: truth},
		{path: "api.metrics_addr", text: words(&a.MetricsAddr, optional(address))},
		{path: "api.ids_in_path", text: boolean(&a.IDsInPath), kind: truth},

		{path: "worker.addr", text: words(&w.Addr, address)},
		{path: "worker.concurrency", text: whole(&w.Concurrency, 1, 1024), kind: number},
		{path: "worker.poll_interval", text: duration(&w.PollInterval, 5*time.Millisecond, time.Minute), kind: amount},
		{path: "worker.queues", pairs: weights(&w.Queues)},
		{path: "worker.sweep_interval", text: duration(&w.SweepInterval, 50*time.Millisecond, 10*time.Minute),
			kind: amount},
		{path: "worker.shutdown_timeout", text: duration(&w.ShutdownTimeout, time.Second, time.Hour), kind: amount},
		{path: "worker.pprof", text: boolean(&w.PProf), kind: truth},
		{path: "worker.hosts", list: hosts(&w.Hosts)},

		{path: "dashboard.addr", text: words(&c.Dashboard.Addr, address)},
		{path: "dashboard.metrics_addr", text: words(&c.Dashboard.MetricsAddr, optional(address))},
		{path: "dashboard.environment", text: words(&c.Dashboard.Environment, badge)},
		{path: "dashboard.https", text: boolean(&c.Dashboard.HTTPS), kind: truth},
		{path: "dashboard.proxy_header", text: words(&c.Dashboard.ProxyHeader, optional(headerName))},
		{path: "dashboard.proxy_role", text: oneOf(&c.Dashboard.ProxyRole, append([]string{""}, roles...)...)},
		{path: "dashboard.trusted_proxies", list: networks(&c.Dashboard.TrustedProxies)},
		{path: "dashboard.drain", text: duration(&c.Dashboard.Drain, 0, 10*time.Minute), kind: amount},
		{path: "dashboard.hosts", list: hosts(&c.Dashboard.Hosts)},

		{path: "dead_letters.keep", text: duration(&c.DeadLetters.Keep, time.Hour, 100*365*long), kind: amount},

		{path: "audit.keep", text: duration(&c.Audit.Keep, 0, 100*365*long), kind: amount},
	}
}

// entitySettings returns all settings of one entity except its fields', which have settings of their own.
func entitySettings(e *schema.Entity, ttl func(*time.Duration) form, fields, on,
	adaptive func(ast.Node) error) []setting {
	const year = maxTTL
	r := &e.Retry
	return []setting{
		{path: "table", text: words(&e.Table, identifier)},
		{path: "id.column", text: words(&e.ID.Column, columnName)},
		{path: "id.columns", list: columnNames(&e.ID.Columns)},
		{path: "id.type", text: oneOf(&e.ID.Type, schema.String, schema.Int, schema.UUID)},
		{path: "id.made", text: oneOf(&e.ID.Made, schema.MadeSequence)},
		{path: "id.max", text: whole(&e.ID.Max, 1, schema.MaxIDBytes), kind: number},
		{path: "fields", node: fields},
		{path: "write", text: oneOf(&e.Write, schema.WriteBehind, schema.WriteThrough, schema.WriteAround)},
		{path: "partitions", text: whole(&e.Partitions, 1, schema.MaxPartitions), kind: number},
		{path: "flush.batch", text: whole(&e.Flush.Batch, 1, schema.MaxFlushBatch), kind: number},
		{path: "flush.delay", text: duration(&e.Flush.Delay, 0, time.Hour), kind: amount},
		{path: "flush.max_pending", text: whole(&e.Flush.MaxPending, 1, 1<<40), kind: number},
		{path: "flush.queue", text: words(&e.Flush.Queue, queueName)},
		{path: "cache.ttl", text: ttl(&e.Cache.TTL), kind: amount},
		{path: "cache.jitter", text: percentage(&e.Cache.Jitter)},
		{path: "cache.adaptive", node: adaptive},
		{path: "cache.changed_by", text: words(&e.Cache.ChangedBy, nil)},
		{path: "cache.l1.bytes", text: size(&e.Cache.L1.Bytes, 0, 1<<40), kind: amount},
		{path: "cache.l1.age", text: duration(&e.Cache.L1.Age, 0, schema.MaxL1Age), kind: amount},
		{path: "cache.negative_ttl", text: duration(&e.Cache.NegativeTTL, time.Millisecond, year), kind: amount},
		{path: "retry.max_attempts", text: whole(&r.MaxAttempts, 1, schema.MaxRetryAttempts), kind: number},
		{path: "retry.base", text: duration(&r.Base, schema.MinRetryBase, schema.MaxRetryCap), kind: amount},
		{path: "retry.factor", text: ratio(&r.Factor), kind: number},
		{path: "retry.cap", text: duration(&r.Cap, schema.MinRetryBase, schema.MaxRetryCap), kind: amount},
		{path: "retry.jitter", text: oneOf(&r.Jitter, schema.JitterFull, schema.JitterEqual, schema.JitterNone)},
		{path: "retry.timeout", text: duration(&r.Timeout, 10*time.Millisecond, schema.MaxRetryTimeout), kind: amount},
		{path: "retry.on", node: on},
		{path: "rank.by", text: words(&e.RankBy, nil)},
	}
}

// overrideSettings returns the settings of a retry policy for one kind of refusal.
func overrideSettings(o *schema.RetryOverride) []setting {
	return []setting{
		{path: "max_attempts", kind: number, text: lasting(&o.MaxAttempts, func(at *int) form {
			return whole(at, 1, schema.MaxRetryAttempts)
		})},
		{path: "base", kind: amount, text: lasting(&o.Base, retryDelay)},
		{path: "factor", kind: number, text: lasting(&o.Factor, ratio)},
		{path: "cap", kind: amount, text: lasting(&o.Cap, retryDelay)},
		{path: "jitter", text: lasting(&o.Jitter, func(at *schema.Jitter) form {
			return oneOf(at, schema.JitterFull, schema.JitterEqual, schema.JitterNone)
		})},
	}
}

func retryDelay(at *time.Duration) form {
	return duration(at, schema.MinRetryBase, schema.MaxRetryCap)
}

// lasting returns a form for an optional setting: it allocates the value.
func lasting[T any](at **T, of func(*T) form) form {
	return func(text string) error {
		value := new(T)
		if err := of(value)(text); err != nil {
			return err
		}
		*at = value
		return nil
	}
}

// under returns the settings below a path, with their paths relative to it.
func under(settings []setting, path string) []setting {
	var below []setting
	for _, s := range settings {
		if rest, ok := strings.CutPrefix(s.path, path+"."); ok {
			s.path = rest
			below = append(below, s)
		}
	}
	return below
}

// names returns the keys that a mapping can have at the top of the settings.
func names(settings []setting) []string {
	var list []string
	for _, s := range settings {
		first, _, _ := strings.Cut(s.path, ".")
		if !slices.Contains(list, first) {
			list = append(list, first)
		}
	}
	return list
}
