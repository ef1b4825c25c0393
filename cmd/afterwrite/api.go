package main

import (
	"context"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/afterwrite/afterwrite/producer/api"
)

func (a *app) apiCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "api",
		Short:   "Serve the HTTP API",
		Long:    "Serves the HTTP API. Any number of api processes may run. Redis or the database may be\ndown: the process stays up, answers what it can and recovers by itself.\n\nWhere other machines reach api.addr every request needs a token (`afterwrite token new`),\nunless api.insecure is set; on loopback where api.require_tokens is set.",
		Example: "  afterwrite api --config afterwrite.yaml",
		Args:    cobra.NoArgs,
		RunE:    func(c *cobra.Command, _ []string) error { return a.api(c.Context()) },
	}
}

func (a *app) api(ctx context.Context) error {
	p, err := a.joined()
	if err != nil {
		return err
	}
	defer p.close()
	c := p.config.API
	handler, err := p.newAPI(ctx.Done())
	if err != nil {
		return err
	}
	if c.PProf {
		handler = profiled(handler, forAdmins(p.guard, profiles()))
	}
	l, err := listen(c.Addr, "api.addr")
	if err != nil {
		return err
	}
	a.log.Info("api listens", "addr", l.Addr().String())
	g := &gate{}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		return serve(ctx, api.Listener(l, a.log), gated(g, handler), c.ShutdownTimeout, a.log)
	})
	group.Go(func() error {
		if err := p.openGate(ctx, g); err != nil {
			return err
		}
		return p.watch(ctx)
	})
	return group.Wait()
}

// openGate runs the start checks of a process that serves.
func (p *parts) openGate(ctx context.Context, g *gate) error {
	err := g.open(ctx, p.log, [2]func(context.Context) error{p.checkRedis, p.checkDatabase})
	if redis, database := g.status(); redis == nil && database == nil {
		p.log.Info("ready")
	}
	return err
}
