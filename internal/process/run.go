package process

import (
	"context"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/afterwrite/afterwrite/producer/api"
)

// DashboardGrace is how long requests of the dashboard may go on when it stops.
const DashboardGrace = 5 * time.Second

// ServeAPI serves the HTTP API at api.addr until ctx ends.
func (p *Parts) ServeAPI(ctx context.Context) error {
	c := p.Config.API
	handler, err := p.NewAPI(ctx.Done())
	if err != nil {
		return err
	}
	if c.PProf {
		handler = profiled(handler, p.apiProfiles())
	}
	l, err := Listen(c.Addr, "api.addr")
	if err != nil {
		return err
	}
	p.Log.Info("api listens", "addr", l.Addr().String())
	g := &gate{parts: p}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		return Serve(ctx, api.Listener(l, p.Log), p.LocalAPI(gated(g, handler)), c.ShutdownTimeout, p.Log)
	})
	group.Go(func() error {
		if err := p.openGate(ctx, g); err != nil {
			return err
		}
		return p.Watch(ctx)
	})
	return group.Wait()
}

// ServeWorker flushes until ctx ends, and serves what probes and Prometheus ask of a
// worker at worker.addr.
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
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return Serve(ctx, l, handler, c.ShutdownTimeout, p.Log) })
	group.Go(func() error { return p.work(ctx, g) })
	return group.Wait()
}

// Work flushes until ctx ends and serves nothing, once the start checks have passed. It may
// be called again after it has returned.
func (p *Parts) Work(ctx context.Context) error { return p.work(ctx, &gate{}) }

// work flushes until ctx ends, once the start checks have passed: before that it would
// only fail.
func (p *Parts) work(ctx context.Context, g *gate) error {
	if err := p.openGate(ctx, g); err != nil || ctx.Err() != nil {
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

// ServeDashboard serves the pages at dashboard.addr until ctx ends.
func (p *Parts) ServeDashboard(ctx context.Context) error {
	handler, err := p.NewDashboard(ctx, nil)
	if err != nil {
		return err
	}
	l, err := Listen(p.Config.Dashboard.Addr, "dashboard.addr")
	if err != nil {
		return err
	}
	p.Log.Info("dashboard listens", "addr", l.Addr().String())
	return Serve(ctx, l, handler, DashboardGrace, p.Log)
}
