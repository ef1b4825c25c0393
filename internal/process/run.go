package process

import (
	"context"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
	"golang.org/x/sync/errgroup"

	"github.com/afterwrite/afterwrite/internal/peer"
	"github.com/afterwrite/afterwrite/producer/api"
)

// DashboardGrace is how long requests of the dashboard may go on when it stops.
const DashboardGrace = 5 * time.Second

// ServeAPI serves the HTTP API at api.addr until ctx ends and it is drained. It listens once
// the start checks have passed, or failed for the first time, so that no request comes
// before it can be answered.
func (p *Parts) ServeAPI(ctx context.Context) error {
	c := p.Config.API
	d := newDrain()
	handler, err := p.NewAPI(d.over)
	if err != nil {
		return err
	}
	if c.PProf {
		handler = profiled(handler, p.apiProfiles())
	}
	g := &gate{parts: p, tried: make(chan struct{})}
	group, ctx := errgroup.WithContext(ctx)
	serving, stop := d.context(ctx)
	defer stop()
	group.Go(func() error {
		p.beat(serving, "api")
		return nil
	})
	group.Go(func() error {
		l, err := p.listenAPI(ctx, g)
		if l == nil {
			close(d.over) // it has not served
			return err
		}
		group.Go(func() error {
			d.run(ctx, c.Drain, g.opened.Load, p.Log)
			return nil
		})
		return Serve(serving, api.Listener(l, p.Log), p.LocalAPI(d.handler(gated(g, handler))), c.ShutdownTimeout,
			p.Log)
	})
	group.Go(func() error {
		if err := p.openGate(ctx, g); err != nil {
			return err
		}
		return p.Watch(serving)
	})
	group.Go(func() error { return p.serveMetrics(serving, c.MetricsAddr, "api.metrics_addr", c.Hosts) })
	return group.Wait()
}

// listenAPI listens after the first round of start checks and the first look at the tokens,
// however they went. It returns nil and no error where ctx has ended before.
func (p *Parts) listenAPI(ctx context.Context, g *gate) (net.Listener, error) {
	select {
	case <-g.tried:
	case <-ctx.Done():
		return nil, nil
	}
	if !p.guard.Read(ctx) {
		return nil, nil
	}
	l, err := Listen(p.Config.API.Addr, "api.addr")
	if err == nil {
		p.Log.Info("api listens", "addr", l.Addr().String())
	}
	return l, err
}

// ServeWorker flushes until ctx ends, and serves what probes and Prometheus ask of a
// worker at worker.addr until its batches are settled.
func (p *Parts) ServeWorker(ctx context.Context) error {
	c := p.Config.Worker
	g := &gate{parts: p}
	handler, err := p.workerStatus(g)
	if err != nil {
		return err
	}
	if handler, err = p.guardWorker(handler); err != nil {
		return err
	}
	l, err := Listen(c.Addr, "worker.addr")
	if err != nil {
		return err
	}
	p.Log.Info("worker listens", "addr", l.Addr().String())
	d := newDrain()
	serving, stop := d.context(ctx)
	defer stop()
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		<-ctx.Done()
		d.begun.Store(true)
		return nil
	})
	group.Go(func() error { return Serve(serving, l, d.handler(handler), c.ShutdownTimeout, p.Log) })
	group.Go(func() error {
		defer close(d.over)
		return p.work(ctx, g)
	})
	return group.Wait()
}

// Work flushes until ctx ends and serves nothing, once the start checks have passed. It may
// be called again after it has returned.
func (p *Parts) Work(ctx context.Context) error { return p.work(ctx, &gate{}) }

// work flushes until ctx ends, once the start checks have passed: before that it would
// only fail.
func (p *Parts) work(ctx context.Context, g *gate) error {
	starting, started := context.WithCancel(ctx)
	var beating sync.WaitGroup
	beating.Go(func() { p.beat(starting, "starting worker") })
	err := p.openGate(ctx, g)
	started()
	beating.Wait()
	if err != nil || ctx.Err() != nil {
		return err
	}
	w, end, err := p.NewWorker()
	if err != nil {
		return err
	}
	defer end()
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return w.Run(ctx) })
	group.Go(func() error { return p.KeepRanks(ctx) })
	group.Go(func() error { return p.Watch(ctx) })
	return group.Wait()
}

// ServeDashboard serves the pages at dashboard.addr until ctx ends and it is drained.
func (p *Parts) ServeDashboard(ctx context.Context) error {
	d := newDrain()
	serving, stop := d.context(ctx)
	defer stop()
	handler, err := p.NewDashboard(serving, nil)
	if err != nil {
		return err
	}
	c := p.Config.Dashboard
	l, err := Listen(c.Addr, "dashboard.addr")
	if err != nil {
		return err
	}
	p.Log.Info("dashboard listens", "addr", l.Addr().String())
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		d.run(ctx, c.Drain, func() bool { return true }, p.Log)
		return nil
	})
	group.Go(func() error {
		p.beat(ctx, "dashboard")
		return nil
	})
	group.Go(func() error { return p.Watch(ctx) })
	group.Go(func() error { return Serve(serving, l, d.handler(p.pairedOnly(handler)), DashboardGrace, p.Log) })
	group.Go(func() error { return p.serveMetrics(serving, c.MetricsAddr, "dashboard.metrics_addr", c.Hosts) })
	return group.Wait()
}

// serveMetrics serves /metrics at an address of its own until ctx ends, to everybody who
// reaches the address; "" serves nothing. On loopback it answers under the names of this
// machine alone.
func (p *Parts) serveMetrics(ctx context.Context, addr, setting string, hosts []string) error {
	if addr == "" {
		return nil
	}
	l, err := Listen(addr, setting)
	if err != nil {
		return err
	}
	p.Log.Info("metrics listen", "addr", l.Addr().String())
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(p.Metrics, promhttp.HandlerOpts{}))
	var handler http.Handler = mux
	if peer.Loopback(addr) {
		handler = localNames(peer.NewHosts(hosts).Allow, strings.Replace(setting, "metrics_addr", "hosts", 1), mux)
	}
	return Serve(ctx, l, handler, time.Second, p.Log)
}

// pairedOnly rejects what would change something while Redis and the database do not belong
// together: an operator's retry would carry a record from one to the other.
func (p *Parts) pairedOnly(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		reads := r.Method == http.MethodGet || r.Method == http.MethodHead
		if err := p.Unpaired(); err != nil && !reads && r.URL.Path != "/login" && r.URL.Path != "/logout" {
			http.Error(w, "Redis and the database do not belong together; nothing was changed. The overview says why.",
				http.StatusServiceUnavailable)
			return
		}
		next.ServeHTTP(w, r)
	})
}
