package process

import (
	"cmp"
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/redis/go-redis/v9"

	"github.com/afterwrite/afterwrite/cache"
	"github.com/afterwrite/afterwrite/cache/events"
	"github.com/afterwrite/afterwrite/cache/pending"
	"github.com/afterwrite/afterwrite/cache/rank"
	"github.com/afterwrite/afterwrite/internal/certs"
	"github.com/afterwrite/afterwrite/internal/config"
	"github.com/afterwrite/afterwrite/internal/fleet"
	"github.com/afterwrite/afterwrite/internal/health"
	"github.com/afterwrite/afterwrite/internal/inspect"
	"github.com/afterwrite/afterwrite/internal/operate"
	"github.com/afterwrite/afterwrite/internal/queue"
	"github.com/afterwrite/afterwrite/internal/token"
	"github.com/afterwrite/afterwrite/producer"
	"github.com/afterwrite/afterwrite/schema"
	"github.com/afterwrite/afterwrite/store"
	"github.com/afterwrite/afterwrite/store/ledger"
	"github.com/afterwrite/afterwrite/worker"
)

// Parts are the pieces of one process, joined here and nowhere else. None of them has
// connected yet when they are made.
type Parts struct {
	Config  *config.Config
	Log     *slog.Logger
	Metrics *prometheus.Registry
	Store   *ledger.Ledger
	Cache   *cache.Cache
	Pending *pending.Backlog // what the database has not seen, on the cache's Redis

	Fleet   *fleet.Fleet       // on the cache's Redis
	Inspect *inspect.Inspector // of it

	over Over

	version string       // of the build, as metrics and pages show it
	guard   *token.Guard // of the API, nil before NewAPI
	making  sync.Mutex   // guards writes
	writes  *producer.Producer

	makingJobs sync.Mutex                   // admits one that makes jobs
	jobs       atomic.Pointer[operate.Jobs] // nil before Jobs

	mu      sync.Mutex     // guards closers
	closers []func() error // what Close ends, last one first

	// Forgetful says that Redis keeps nothing when it ends, as the one within `afterwrite
	// dev`: that it is empty at the start is no loss. Set it before the start checks.
	Forgetful bool

	metrics  metrics
	seen     atomic.Bool           // this process has seen Redis and the database paired
	unpaired atomic.Pointer[error] // why Redis and the database do not belong together
	held     schema.Pairing        // Redis's, when the two were compared last; of Watch alone
	markLife string                // of Redis, when its mark was right last
	lostLife string                // of a Redis that went back
	older    []*schema.Entity      // Redis went back, and what is cached of them is not dropped yet
	flushed  chan struct{}         // a flush found that Redis is older than the one before
}

// ErrConfig marks a configuration that cannot be used.
var ErrConfig = errors.New("configuration")

// Over says over what the parts are joined, where the configuration does not.
type Over struct {
	Redis redis.UniversalClient // instead of redis.url; never closed
	// instead of queue.redis_url; nil: Redis, where that is given
	Queue   redis.UniversalClient
	SQL     *sql.DB // instead of database.url; never closed
	Dialect string  // of SQL
	// takes sync tasks, instead of an asynq server of its own
	Server Server
	// the program has metrics of its Go runtime and process of its own
	Embedded bool
	// Redis is in this process: what it does not know of persistence is not asked
	InProcess bool
	Before    map[string]producer.Before                              // of the producer that NewProducer makes
	Hooks     map[string]store.Hook                                   // of the store
	Persisted map[string]func(context.Context, []schema.Change) error // of the worker
	// wraps every connection to the database; nil: nothing does
	Wrap    func(driver.Connector) driver.Connector
	Tracing Tracing
}

// Server hands sync tasks to a worker.
type Server interface {
	Start(handle func(ctx context.Context, t queue.Task) error) error
	Shutdown()
}

// Join makes the cache and the store, which every process needs, in a build of that
// version. Close the parts.
func Join(c *config.Config, version string, log *slog.Logger) (*Parts, error) {
	return JoinOver(Over{}, c, version, log)
}

// JoinOver is Join over connections of the caller's.
func JoinOver(over Over, c *config.Config, version string, log *slog.Logger) (*Parts, error) {
	p := &Parts{Config: c, Log: log, version: version, over: over, Metrics: prometheus.NewRegistry(),
		flushed: make(chan struct{}, 1)}
	if !over.Embedded {
		p.Metrics.MustRegister(collectors.NewGoCollector(),
			collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	}
	p.Metrics.MustRegister(buildInfo(version))
	p.metrics, p.Forgetful = newMetrics(p.Metrics), over.InProcess
	if over.Tracing.Close != nil {
		p.atClose(over.Tracing.Close)
	}
	redisCerts, databaseCerts := new(certs.Watch), new(certs.Watch)
	d := c.Database
	var err error
	p.Store, err = ledger.Open(store.Config{
		URL: d.URL, MaxOpen: d.MaxOpen, MaxIdle: d.MaxIdle, ConnLifetime: d.ConnLifetime,
		LockTimeout: d.LockTimeout, StatementTimeout: d.StatementTimeout,
		IdleInTransaction: d.IdleInTransaction, BusyTimeout: d.BusyTimeout, Pair: c.Redis.Prefix,
		Log: log, OnTLS: databaseCerts.On, Registerer: p.Metrics, Wrap: over.Wrap, Hooks: over.Hooks, SQL: over.SQL,
		Dialect: over.Dialect,
	}, c.Entities)
	if err != nil {
		return nil, fmt.Errorf("%w: database: %w", ErrConfig, err)
	}
	p.atClose(p.Store.Close)
	p.Cache, err = cache.New(cache.Config{
		URL: c.Redis.URL, Redis: over.Redis, Prefix: c.Redis.Prefix, Loader: p.Store, Timeout: c.Redis.Timeout,
		Retries: cmp.Or(c.Redis.Retries, -1), PoolSize: c.Redis.PoolSize, Log: log, OnTLS: redisCerts.On,
		Registerer: p.Metrics,
		KeptOps:    c.API.MaxKeys, OpAge: c.API.KeepKeys,
	})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%w: redis: %w", ErrConfig, err), p.Store.Close())
	}
	p.atClose(p.Cache.Close)
	if err := p.traced(); err != nil {
		p.Close()
		return nil, err
	}
	p.Pending = pending.New(p.Cache.Redis(), p.Cache.Prefix(), pending.Config{
		Changed: p.Cache, OpAge: c.API.KeepKeys, KeptOps: c.API.MaxKeys, Registerer: p.Metrics,
	})
	p.Fleet, p.Inspect = fleet.New(p.Cache.Redis(), p.Cache.Prefix()), inspect.New(p.Cache.Redis(), p.Cache.Prefix())
	queues, err := p.Inspector()
	if err != nil {
		p.Close()
		return nil, err
	}
	p.Metrics.MustRegister(worker.NewCollector(p.Pending, c.Entities, health.LagLimit), collector{
		p.Fleet, p.Inspect, queues, map[string]*certs.Watch{"redis": redisCerts, "database": databaseCerts}})
	return p, nil
}

// redisState is what one Redis is to a component.
type redisState struct {
	*cache.Cache
	*events.Bus
	*rank.Ranks
	*pending.Backlog
	*fleet.Fleet
	*inspect.Inspector
}

func (p *Parts) redis() redisState {
	return redisState{p.Cache, p.Cache.Bus(), rank.New(p.Cache), p.Pending, p.Fleet, p.Inspect}
}

// buildInfo is a gauge that is always 1 and names the build, so that a page of metrics
// tells which one of a mixed deployment it comes from.
func buildInfo(version string) prometheus.Collector {
	g := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "afterwrite_build_info", Help: "Always 1; the version of the build and of Go are labels.",
		ConstLabels: prometheus.Labels{"version": version, "goversion": runtime.Version()},
	})
	g.Set(1)
	return g
}

// Close ends the parts in the reverse of the order in which they were made.
func (p *Parts) Close() {
	p.mu.Lock()
	closers := p.closers
	p.closers = nil
	p.mu.Unlock()
	for _, end := range slices.Backward(closers) {
		if err := end(); err != nil {
			p.Log.Warn("closing failed", "error", err)
		}
	}
}

// atClose has Close call end.
func (p *Parts) atClose(end func() error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closers = append(p.closers, end)
}
