package process

import (
	"context"
	"fmt"
	"net/http"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"

	"github.com/afterwrite/afterwrite/cache/session"
	"github.com/afterwrite/afterwrite/cache/ticket"
	"github.com/afterwrite/afterwrite/dashboard"
	"github.com/afterwrite/afterwrite/internal/config"
	"github.com/afterwrite/afterwrite/internal/operate"
	"github.com/afterwrite/afterwrite/internal/operate/web"
	"github.com/afterwrite/afterwrite/internal/peer"
	"github.com/afterwrite/afterwrite/internal/queue"
	"github.com/afterwrite/afterwrite/internal/rdb"
	"github.com/afterwrite/afterwrite/producer"
	"github.com/afterwrite/afterwrite/producer/api"
	"github.com/afterwrite/afterwrite/schema"
	"github.com/afterwrite/afterwrite/store"
	"github.com/afterwrite/afterwrite/store/ledger"
	"github.com/afterwrite/afterwrite/worker"
)

// queueOver is the caller's client for the tasks, nil where there is none.
func (p *Parts) queueOver() redis.UniversalClient {
	if p.over.Queue == nil && p.Config.Queue.RedisURL == "" {
		return p.over.Redis
	}
	return p.over.Queue
}

// QueueClient enqueues sync tasks.
func (p *Parts) QueueClient() (*queue.Client, error) {
	if over := p.queueOver(); over != nil {
		return queue.NewClientOver(over, p.Config.Redis.Prefix), nil
	}
	q, err := queue.NewClient(p.Config.QueueURL(), p.Config.Redis.Prefix)
	if err != nil {
		return nil, fmt.Errorf("%w: queue: %w", ErrConfig, err)
	}
	p.atClose(q.Close)
	return q, nil
}

// Inspector reads the queues, for doctor and the dashboard.
func (p *Parts) Inspector() (*queue.Inspector, error) {
	if over := p.queueOver(); over != nil {
		return queue.InspectOver(over, p.Config.Redis.Prefix), nil
	}
	q, err := queue.Inspect(p.Config.QueueURL(), p.Config.Redis.Prefix)
	if err != nil {
		return nil, fmt.Errorf("%w: queue: %w", ErrConfig, err)
	}
	p.atClose(q.Close)
	return q, nil
}

// NewProducer accepts writes, and counts them in the metrics. It is made once.
func (p *Parts) NewProducer() (*producer.Producer, error) {
	p.making.Lock()
	defer p.making.Unlock()
	if p.writes != nil {
		return p.writes, nil
	}
	q, err := p.QueueClient()
	if err != nil {
		return nil, err
	}
	w, err := producer.New(producer.Config{
		Entities: p.Config.Entities, Cache: p.Cache, Queue: q, Loader: p.Store, Database: p.Store,
		Sequences: p.Store, Before: p.over.Before, Reader: p.Cache, Log: p.Log, Registerer: p.Metrics,
		Tracer: p.over.Tracing.Provider,
	})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	p.atClose(w.Close)
	p.writes = w
	return w, nil
}

// Operators makes what operators work with. Their edits are no writes of the API: they count
// in no metric of it, and no hook sees them.
func (p *Parts) Operators() (*operate.Operator, error) {
	w, err := producer.New(producer.Config{
		Entities: p.Config.Entities, Cache: p.Cache, Loader: p.Store, Database: p.Store, Sequences: p.Store,
		Log: p.Log, Tracer: p.over.Tracing.Provider,
	})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	p.atClose(w.Close)
	return p.NewOperator(w)
}

// NewOperator makes what operators work with, on a producer that accepts their edits.
func (p *Parts) NewOperator(w *producer.Producer) (*operate.Operator, error) {
	q, err := p.QueueClient()
	if err != nil {
		return nil, err
	}
	return operate.New(operate.Config{
		Entities: p.Config.Entities, Letters: p.Store, Records: p.redis(), Writes: w, Queue: q, Log: p.Log,
	})
}

// Jobs are the bulk actions of all processes, of which this one runs some once it is made. It is made once.
func (p *Parts) Jobs() (*operate.Jobs, error) {
	p.makingJobs.Lock()
	defer p.makingJobs.Unlock()
	if jobs := p.jobs.Load(); jobs != nil {
		return jobs, nil
	}
	m, err := p.Operators()
	if err != nil {
		return nil, err
	}
	jobs := operate.NewJobs(operate.JobsConfig{Operator: m, Board: p.Fleet, Log: p.Log,
		Registerer: p.Metrics})
	p.atClose(jobs.Close)
	p.jobs.Store(jobs)
	return jobs, nil
}

// newAdmin makes the admin API. Where no token is needed it answers this machine alone,
// unless the configuration says that something in front asks who is there.
func (p *Parts) newAdmin(w *producer.Producer) (*web.Admin, error) {
	m, err := p.NewOperator(w)
	if err != nil {
		return nil, err
	}
	jobs, err := p.Jobs()
	if err != nil {
		return nil, err
	}
	return web.New(web.Config{
		Operator: m, Jobs: jobs, Cache: p.redis(), Entities: p.Config.Entities, LocalOnly: !p.Config.API.Insecure &&
			!TokensRequired(p.Config),
		Hosts: peer.NewHosts(p.Config.API.Hosts), Proxies: p.Config.API.TrustedProxies,
		MaxBody: p.Config.API.MaxBody, Log: p.Log,
	})
}

// NewAPI makes the HTTP API. Its streams end when stopping is closed.
func (p *Parts) NewAPI(stopping <-chan struct{}) (http.Handler, error) {
	w, err := p.NewProducer()
	if err != nil {
		return nil, err
	}
	surface, err := p.newAdmin(w)
	if err != nil {
		return nil, err
	}
	c := p.Config.API
	limit, err := p.newLimit()
	if err != nil {
		return nil, err
	}
	if p.guard, err = p.newGuard(TokensRequired(p.Config)); err != nil {
		return nil, err
	}
	var handler http.Handler
	handler, err = api.New(api.Config{
		Proxies:   c.TrustedProxies,
		Tokens:    p.guard,
		Tickets:   ticket.New(p.Cache),
		RateLimit: limit,
		Producer:  w, Cache: p.redis(), Store: lister{p.Store}, Entities: p.Config.Entities,
		Events: p.Cache.Bus(), Admin: surface, Stopping: stopping,
		MaxBody: c.MaxBody, MaxBatchBody: c.MaxBatchBody, MaxWait: c.MaxWait, NoIDsInPath: !c.IDsInPath, CORS: c.CORS,
		Version: p.version, Log: p.Log, Registerer: p.Metrics, Gatherer: p.Metrics,
	})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	if p.over.Tracing.HTTP != nil {
		handler = p.over.Tracing.HTTP(handler)
	}
	return handler, nil
}

// lister lets the API page through the store, each with its own word for the page.
type lister struct{ *ledger.Ledger }

func (l lister) List(ctx context.Context, e *schema.Entity, q api.Query) ([]schema.Row, error) {
	return l.Store.List(ctx, e, store.Query(q))
}

// NewWorker flushes. Call end when its Run has returned: another may be made then.
func (p *Parts) NewWorker() (w *worker.Worker, end func(), err error) {
	c := p.Config.Worker
	q, err := p.QueueClient()
	if err != nil {
		return nil, nil, err
	}
	server, err := p.newServer(queue.ServerConfig{
		RedisURL: p.Config.QueueURL(), Over: p.queueOver(), Prefix: p.Config.Redis.Prefix, Concurrency: c.Concurrency,
		PollInterval: c.PollInterval, Queues: c.Queues, ShutdownTimeout: c.ShutdownTimeout, Log: p.Log,
	})
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	metrics := prometheus.NewRegistry()
	w, err = worker.New(worker.Config{
		Entities: p.Config.Entities, Redis: p.redis(), Store: p.Store, Queue: q, Server: server,
		SweepInterval: c.SweepInterval, KeepLetters: p.Config.DeadLetters.Keep, KeepAudit: p.Config.Audit.Keep,
		Persisted: p.over.Persisted, Unpaired: p.Unpaired, Older: p.foundOlder, Version: p.version, Log: p.Log,
		Registerer: metrics,
		Tracer:     p.over.Tracing.Provider,
	})
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	if err := p.Metrics.Register(metrics); err != nil {
		return nil, nil, fmt.Errorf("another worker runs in this process: %w", err)
	}
	return w, func() { p.Metrics.Unregister(metrics) }, nil
}

func (p *Parts) newServer(cfg queue.ServerConfig) (Server, error) {
	if p.over.Server != nil {
		return p.over.Server, nil
	}
	return queue.NewServer(cfg)
}

// Serve has server take sync tasks from now on, for the next Work.
func (p *Parts) Serve(server Server) { p.over.Server = server }

// NewDashboard makes the pages; who, where it is given, says who makes a request. What runs
// beside their requests ends with ctx, and is waited for when the parts are closed.
func (p *Parts) NewDashboard(ctx context.Context, who dashboard.Who) (http.Handler, error) {
	inspector, err := p.Inspector()
	if err != nil {
		return nil, err
	}
	m, err := p.Operators()
	if err != nil {
		return nil, err
	}
	jobs, err := p.Jobs()
	if err != nil {
		return nil, err
	}
	sessions, err := session.New(session.Config{Cache: p.Cache, UserKey: dashboard.SessionUser})
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	var beside sync.WaitGroup
	p.atClose(func() error { cancel(); beside.Wait(); return nil })
	c := p.Config.Dashboard
	handler, err := dashboard.New(dashboard.Config{
		Entities: p.Config.Entities, Cache: p.redis(), Store: p.Store, Queues: inspector,
		Depths: depths{p}, Losses: p, Letters: m, Jobs: jobs,
		Records: p.redis(), Rows: p.Store, Series: p.Pending, Audit: p.Store,
		Tokens: p.Store, Sessions: sessions, SessionsToo: p.Store.Sessions(),
		Who: who, Users: dashboardUsers(c.Users), Insecure: p.Config.API.Insecure, HTTPS: c.HTTPS,
		Environment: c.Environment,
		Hosts:       peer.NewHosts(c.Hosts),
		Proxy:       dashboard.Proxy{Header: c.ProxyHeader, From: c.TrustedProxies, Role: dashboard.Role(c.ProxyRole)},
		Deployment:  rdb.Redact(p.Config.Redis.URL) + " " + p.Config.Redis.Prefix,
		Version:     p.version, Log: p.Log, Registerer: p.Metrics,
		Go: func(run func(context.Context)) { beside.Go(func() { run(ctx) }) },
	})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrConfig, err)
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
