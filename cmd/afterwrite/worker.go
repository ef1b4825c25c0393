package main

import (
	"context"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"
)

func (a *app) workerCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "worker",
		Short:   "Flush accepted writes to the database",
		Long:    "Takes sync tasks off the queue and flushes their partitions to the database. Any number\nof workers may run; one that stops finishes or hands back its batches.",
		Example: "  afterwrite worker --config afterwrite.yaml",
		Args:    cobra.NoArgs,
		RunE:    func(c *cobra.Command, _ []string) error { return a.worker(c.Context()) },
	}
}

func (a *app) worker(ctx context.Context) error {
	p, err := a.joined()
	if err != nil {
		return err
	}
	defer p.close()
	c := p.config.Worker
	g := &gate{}
	handler, err := p.workerStatus(g)
	if err != nil {
		return err
	}
	if c.PProf {
		handler = profiled(handler, profiles())
	}
	l, err := listen(c.Addr, "worker.addr")
	if err != nil {
		return err
	}
	a.log.Info("worker listens", "addr", l.Addr().String())
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return serve(ctx, l, handler, c.ShutdownTimeout, a.log) })
	group.Go(func() error { return p.work(ctx, g) })
	return group.Wait()
}

// work flushes until ctx ends, once the start checks have passed: before that it would
// only fail.
func (p *parts) work(ctx context.Context, g *gate) error {
	if err := p.openGate(ctx, g); err != nil || ctx.Err() != nil {
		return err
	}
	w, err := p.newWorker()
	if err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return w.Run(ctx) })
	group.Go(func() error { return p.keepRanks(ctx) })
	group.Go(func() error { return p.watch(ctx) })
	return group.Wait()
}
