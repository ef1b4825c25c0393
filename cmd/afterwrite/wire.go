package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/afterwrite/afterwrite/cache"
	"github.com/afterwrite/afterwrite/cache/session"
	"github.com/afterwrite/afterwrite/dashboard"
	"github.com/afterwrite/afterwrite/internal/admin"
	"github.com/afterwrite/afterwrite/internal/config"
	"github.com/afterwrite/afterwrite/internal/mend"
	"github.com/afterwrite/afterwrite/internal/queue"
	"github.com/afterwrite/afterwrite/internal/token"
	"github.com/afterwrite/afterwrite/producer"
	"github.com/afterwrite/afterwrite/producer/api"
	"github.com/afterwrite/afterwrite/schema"
	"github.com/afterwrite/afterwrite/store"
	"github.com/afterwrite/afterwrite/worker"
)

// parts are the pieces of one process, joined here and nowhere else. None of them has
// connected yet when they are made.
type parts struct {
	config  *config.Config
	log     *slog.Logger
	metrics *prometheus.Registry
	store   *store.Store
	cache   *cache.Cache
	guard   *token.Guard   // of the API, nil before newAPI
	closers []func() error // what close ends, last one first

	forgotten []*schema.Entity // Redis knew nothing of them and that is not reported yet
	older     []*schema.Entity // Redis went back, and what is cached of them is not dropped yet
}

// joined reads the configuration and joins the parts. Close them.
func (a *app) joined() (*parts, error) {
	c, err := a.settings()
	if err != nil {
		return nil, err
	}
	return a.join(c)
}

// join makes the cache and the store, which every command needs. Close the parts.
func (a *app) join(c *config.Config) (*parts, error) {
	p := &parts{config: c, log: a.log, metrics: prometheus.NewRegistry()}
	p.metrics.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	d := c.Database
	var err error
	p.store, err = store.Open(store.Config{
		URL: d.URL, MaxOpen: d.MaxOpen, MaxIdle: d.MaxIdle, ConnLifetime: d.ConnLifetime,
		LockTimeout: d.LockTimeout, StatementTimeout: d.StatementTimeout,
		IdleInTransaction: d.IdleInTransaction, BusyTimeout: d.BusyTimeout,
		Log: a.log, Registerer: p.metrics,
	}, c.Entities)
	if err != nil {
		return nil, fmt.Errorf("%w: database: %w", errConfig, err)
	}
	p.closers = append(p.closers, p.store.Close)
	p.cache, err = cache.New(cache.Config{
		URL: c.Redis.URL, Prefix: c.Redis.Prefix, Loader: p.store, Timeout: c.Redis.Timeout,
		Retries: cmp.Or(c.Redis.Retries, -1), PoolSize: c.Redis.PoolSize, Log: a.log, Registerer: p.metrics,
	})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%w: redis: %w", errConfig, err), p.store.Close())
	}
	p.closers = append(p.closers, p.cache.Close)
	p.metrics.MustRegister(worker.NewCollector(p.cache, c.Entities))
	return p, nil
}

// close ends the parts in the reverse of the order in which they were made.
func (p *parts) close() {
	for i := len(p.closers) - 1; i >= 0; i-- {
		if err := p.closers[i](); err != nil {
			p.log.Warn("closing failed", "error", err)
		}
	}
	p.closers = nil
}

func (p *parts) queueClient() (*queue.Client, error) {
	q, err := queue.NewClient(p.config.QueueURL(), p.config.Redis.Prefix)
	if err != nil {
		return nil, fmt.Errorf("%w: queue: %w", errConfig, err)
	}
	p.closers = append(p.closers, q.Close)
	return q, nil
}

// inspector reads the queues, for doctor and the dashboard.
func (p *parts) inspector() (*queue.Inspector, error) {
	q, err := queue.Inspect(p.config.QueueURL(), p.config.Redis.Prefix)
	if err != nil {
		return nil, fmt.Errorf("%w: queue: %w", errConfig, err)
	}
	p.closers = append(p.closers, q.Close)
	return q, nil
}

func (p *parts) newProducer() (*producer.Producer, error) {
	q, err := p.queueClient()
	if err != nil {
		return nil, err
	}
	w, err := producer.New(producer.Config{
		Entities: p.config.Entities, Cache: p.cache, Queue: q, Loader: p.store, Database: p.store,
		Log: p.log, Registerer: p.metrics,
	})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errConfig, err)
	}
	p.closers = append(p.closers, w.Close)
	return w, nil
}

// newMender makes what operators work with, on a producer that accepts their edits.
func (p *parts) newMender(w *producer.Producer) (*mend.Mender, error) {
	q, err := p.queueClient()
	if err != nil {
		return nil, err
	}
	return mend.New(mend.Config{
		Entities: p.config.Entities, Letters: p.store, Records: p.cache, Writes: w, Queue: q, Log: p.log,
	})
}

// newAdmin makes the admin API. Where no token is needed it answers this machine alone,
// unless the configuration says that something in front asks who is there.
func (p *parts) newAdmin(w *producer.Producer) (*admin.Admin, error) {
	m, err := p.newMender(w)
	if err != nil {
		return nil, err
	}
	surface, err := admin.New(admin.Config{
		Mender: m, Cache: p.cache, Entities: p.config.Entities, LocalOnly: !p.config.API.Insecure && !tokensRequired(p.config),
		MaxBody: p.config.API.MaxBody, Log: p.log,
	})
	if err != nil {
		return nil, err
	}
	p.closers = append(p.closers, surface.Close)
	return surface, nil
}

// newAPI makes the HTTP API. Its streams end when stopping is closed.
func (p *parts) newAPI(stopping <-chan struct{}) (http.Handler, error) {
	w, err := p.newProducer()
	if err != nil {
		return nil, err
	}
	surface, err := p.newAdmin(w)
	if err != nil {
		return nil, err
	}
	c := p.config.API
	limit, err := p.newLimit()
	if err != nil {
		return nil, err
	}
	pages, err := p.newPages()
	if err != nil {
		return nil, err
	}
	if p.guard, err = p.newGuard(); err != nil {
		return nil, err
	}
	handler, err := api.New(api.Config{
		Tokens:    p.guard,
		RateLimit: limit, Pages: pages,
		Producer: w, Cache: p.cache, Store: lister{p.store}, Entities: p.config.Entities,
		Events: p.cache, Admin: surface, Stopping: stopping,
		MaxBody: c.MaxBody, MaxBatchBody: c.MaxBatchBody, CORS: c.CORS,
		Version: thisBuild().Version, Log: p.log, Registerer: p.metrics, Gatherer: p.metrics,
	})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errConfig, err)
	}
	return handler, nil
}

// lister lets the API page through the store, each with its own word for the page.
type lister struct{ *store.Store }

func (l lister) List(ctx context.Context, e *schema.Entity, q api.Query) ([]schema.Row, error) {
	return l.Store.List(ctx, e, store.Query(q))
}

func (p *parts) newWorker() (*worker.Worker, error) {
	c := p.config.Worker
	q, err := p.queueClient()
	if err != nil {
		return nil, err
	}
	server, err := queue.NewServer(queue.ServerConfig{
		RedisURL: p.config.QueueURL(), Prefix: p.config.Redis.Prefix, Concurrency: c.Concurrency,
		PollInterval: c.PollInterval, Queues: c.Queues, ShutdownTimeout: c.ShutdownTimeout, Log: p.log,
	})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errConfig, err)
	}
	w, err := worker.New(worker.Config{
		Entities: p.config.Entities, Cache: p.cache, Store: p.store, Queue: q, Server: server,
		SweepInterval: c.SweepInterval, KeepLetters: p.config.DeadLetters.Keep,
		Version: thisBuild().Version, Log: p.log, Registerer: p.metrics,
	})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errConfig, err)
	}
	return w, nil
}

// newDashboard makes the pages. What runs beside their requests ends with ctx, and is
// waited for when the parts are closed.
func (p *parts) newDashboard(ctx context.Context) (http.Handler, error) {
	inspector, err := p.inspector()
	if err != nil {
		return nil, err
	}
	// It accepts operators' edits; the API's own counts writes.
	w, err := producer.New(producer.Config{Entities: p.config.Entities, Cache: p.cache, Loader: p.store, Database: p.store, Log: p.log})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errConfig, err)
	}
	p.closers = append(p.closers, w.Close)
	m, err := p.newMender(w)
	if err != nil {
		return nil, err
	}
	sessions, err := session.New(session.Config{Cache: p.cache, UserKey: dashboard.SessionUser})
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	var beside sync.WaitGroup
	p.closers = append(p.closers, func() error { cancel(); beside.Wait(); return nil })
	c := p.config.Dashboard
	handler, err := dashboard.New(dashboard.Config{
		Entities: p.config.Entities, Cache: p.cache, Store: p.store, Queues: inspector,
		Letters: m, Records: p.cache, Rows: p.store, Series: p.cache, Audit: p.store, Tokens: p.store, Sessions: sessions,
		Users: dashboardUsers(c.Users), Insecure: p.config.API.Insecure, HTTPS: c.HTTPS, Environment: c.Environment,
		Proxy:   dashboard.Proxy{Header: c.ProxyHeader, From: c.TrustedProxies, Role: dashboard.Role(c.ProxyRole)},
		Version: thisBuild().Version, Log: p.log,
		Go: func(run func(context.Context)) { beside.Go(func() { run(ctx) }) },
	})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errConfig, err)
	}
	return handler, nil
}

func dashboardUsers(configured []config.User) []dashboard.User {
	users := make([]dashboard.User, len(configured))
	for i, u := range configured {
		users[i] = dashboard.User{Name: u.Name, Role: dashboard.Role(u.Role), Hash: u.Hash}
	}
	return users
}
