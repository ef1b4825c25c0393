package cache

import (
	"cmp"
	"context"
	"crypto/tls"
	"embed"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"

	"github.com/afterwrite/afterwrite/cache/events"
	"github.com/afterwrite/afterwrite/cache/internal/flight"
	"github.com/afterwrite/afterwrite/cache/internal/shared"
	"github.com/afterwrite/afterwrite/cache/internal/tags"
	"github.com/afterwrite/afterwrite/internal/layout"
	"github.com/afterwrite/afterwrite/internal/rdb"
	"github.com/afterwrite/afterwrite/schema"
)

//go:embed lua/*.lua
var sources embed.FS

// Defaults of [Config].
const (
	DefaultPrefix  = layout.DefaultPrefix
	DefaultLease   = 3 * time.Second
	DefaultTimeout = rdb.DefaultTimeout
	DefaultRetries = rdb.DefaultRetries
	// DefaultFlagMargin is how long the scheduled flag outlives the planned start of a
	// sync task.
	DefaultFlagMargin = layout.DefaultFlagMargin
	// DefaultKeptOps and DefaultOpAge bound the operation ids that are kept per partition.
	DefaultKeptOps = layout.DefaultKeptOps
	DefaultOpAge   = layout.DefaultOpAge
	// DefaultKeptTags bounds the tags whose last invalidation is remembered; the documentation of package values says
	// what forgetting one costs.
	DefaultKeptTags = tags.DefaultKept
)

// Config configures a [Cache]. URL or Redis is required.
type Config struct {
	URL string // redis://, rediss://, redis-sentinel:// or redis-cluster://
	// Redis is the caller's client, used instead of URL, Timeout, Retries and PoolSize, and never closed: a
	// *redis.Client, of one server or of sentinels, or a *redis.ClusterClient.
	Redis      redis.UniversalClient
	Prefix     string                // first part of every key; DefaultPrefix if empty
	Loader     Loader                // reads what is not cached; nil: a miss is an error
	Lease      time.Duration         // life of the right to fill one record; 0: DefaultLease
	Timeout    time.Duration         // bound on one command; 0: DefaultTimeout
	Retries    int                   // of repeatable commands after a network error; 0: DefaultRetries, -1: none
	FlagMargin time.Duration         // 0: DefaultFlagMargin
	KeptOps    int                   // operation ids kept per partition; 0: DefaultKeptOps
	OpAge      time.Duration         // their age; 0: DefaultOpAge
	KeptTags   int                   // invalidated tags that are remembered; 0: DefaultKeptTags
	PoolSize   int                   // connections per node; 0: the client library's default
	Log        *slog.Logger          // nil: slog.Default()
	OnTLS      func(*tls.Config)     // called with the TLS settings if TLS is used; can be nil
	Registerer prometheus.Registerer // nil: no metrics
	Hooks      []redis.Hook          // called for every command; tests inject faults with them
}

// Loader reads rows from the database for records that are not cached. It must read the primary. Missing ids are absent
// from the result; each other row has the canonical text of every field of the entity.
type Loader interface {
	Load(ctx context.Context, e *schema.Entity, ids []string) (map[string]schema.Values, error)
}

// Cache is the state of all entities in one Redis. It is safe for concurrent use.
type Cache struct {
	prefix     layout.Prefix
	lease      time.Duration
	flagMargin time.Duration
	keptOps    int
	opAge      time.Duration
	loader     Loader
	log        *slog.Logger
	scope      *rdb.Scope // of the metrics
	metrics    *metrics

	redis  *rdb.Client
	bus    *events.Bus
	endBus func()
	tags   *tags.Table   // of values that depend on records
	shared *shared.State // with the values

	loads flight.Group // one load a record in this process, see get.go

	words   sync.Map      // *schema.Entity to its *words, see words.go
	records *recordLocals // L1s of records, see l1.go
	looks   *looks        // reads that share round trips, see look.go
	asks    *looks        // the same, of those that take leases
}

// New returns a cache on the Redis of the configuration. It connects on first use, so a Redis that is down is not an
// error here.
func New(cfg Config) (*Cache, error) {
	prefix := cmp.Or(cfg.Prefix, DefaultPrefix)
	if strings.ContainsAny(prefix, "{}") {
		return nil, errors.New("redis prefix: braces are the hash tag's")
	}
	if cfg.Lease < 0 || cfg.Timeout < 0 || cfg.FlagMargin < 0 || cfg.OpAge < 0 || cfg.KeptOps < 0 || cfg.KeptTags < 0 ||
		cfg.PoolSize < 0 {
		return nil, errors.New("cache: a time or a number of the Config is negative; only Retries may be")
	}
	scope, log := rdb.NewScope(cfg.Registerer), cmp.Or(cfg.Log, slog.Default())
	dropped, records := shared.NewDropped(scope), newMetrics(scope)
	if err := scope.Err(); err != nil {
		return nil, fmt.Errorf("cache: %w", err)
	}
	client, err := rdb.Open(rdb.Config{
		URL: cfg.URL, Over: cfg.Redis, Timeout: cfg.Timeout, Retries: cfg.Retries, PoolSize: cfg.PoolSize,
		Log: log, OnTLS: cfg.OnTLS, Registerer: scope, Hooks: cfg.Hooks,
	})
	if err != nil {
		scope.Drop()
		return nil, err
	}
	if err := scope.Err(); err != nil {
		return nil, errors.Join(fmt.Errorf("cache: %w", err), client.Close())
	}
	c := &Cache{
		scope:      scope,
		redis:      client,
		prefix:     layout.Prefix(prefix),
		lease:      cmp.Or(cfg.Lease, DefaultLease),
		flagMargin: cmp.Or(cfg.FlagMargin, DefaultFlagMargin),
		keptOps:    cmp.Or(cfg.KeptOps, DefaultKeptOps),
		opAge:      cmp.Or(cfg.OpAge, DefaultOpAge),
		loader:     cfg.Loader,
		log:        log,
		metrics:    records,
	}
	c.bus, c.endBus = events.New(client, c.prefix, log)
	c.tags = tags.New(client, c.prefix, cmp.Or(cfg.KeptTags, DefaultKeptTags))
	c.shared = &shared.State{Redis: client, Prefix: c.prefix, Lease: c.lease, Log: log, Metrics: scope, Bus: c.bus,
		Tags: c.tags, Dropped: dropped}
	c.records = newRecordLocals(c)
	c.looks, c.asks = c.newLooks(c.look), c.newLooks(c.ask)
	return c, nil
}

// Redis returns the client of the cache, for other packages that keep state in the same Redis. Close closes it.
func (c *Cache) Redis() *rdb.Client { return c.redis }

// Shared returns what package values needs of the cache.
func (c *Cache) Shared() *shared.State { return c.shared }

// Prefix returns the first part of the names of the cache's keys.
func (c *Cache) Prefix() layout.Prefix { return c.prefix }

// Bus returns the bus of the records' events, which Close ends.
func (c *Cache) Bus() *events.Bus { return c.bus }

// Close ends the subscriptions and the connections. Calls in progress fail.
func (c *Cache) Close() error {
	c.endBus()
	c.scope.Drop()
	return c.redis.Close()
}

// Ping reports whether Redis responds.
func (c *Cache) Ping(ctx context.Context) error {
	if err := c.redis.Ping(ctx).Err(); err != nil {
		return rdb.Fault("ping", err)
	}
	return nil
}

type metrics struct {
	hits, misses, fills, bypasses *prometheus.CounterVec
}

func newMetrics(r prometheus.Registerer) *metrics {
	counter := func(name, help string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, []string{"entity"})
	}
	m := &metrics{
		hits:   counter("afterwrite_cache_hits_total", "Reads that found their record in Redis."),
		misses: counter("afterwrite_cache_misses_total", "Reads that did not find their record in Redis."),
		fills:  counter("afterwrite_cache_fills_total", "Rows put into Redis after a miss."),
		bypasses: counter("afterwrite_cache_bypasses_total",
			"Reads answered by the database because Redis did not answer."),
	}
	if r != nil {
		r.MustRegister(m.hits, m.misses, m.fills, m.bypasses)
	}
	return m
}

// declare creates the series of an entity before the first read: the rate of a series that begins with its first event
// misses that event.
func (m *metrics) declare(entity string) {
	for _, c := range []*prometheus.CounterVec{m.hits, m.misses, m.fills, m.bypasses} {
		c.WithLabelValues(entity)
	}
}
