package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"
)

// dashboardGrace is how long requests of the dashboard may go on when it stops.
const dashboardGrace = 5 * time.Second

func (a *app) dashboardCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "dashboard",
		Short:   "Serve the status page",
		Example: "  afterwrite dashboard --config afterwrite.yaml",
		Args:    cobra.NoArgs,
		RunE:    func(c *cobra.Command, _ []string) error { return a.dashboard(c.Context()) },
	}
}

func (a *app) dashboard(ctx context.Context) error {
	c, err := a.settings()
	if err != nil {
		return err
	}
	if err := errDashboardExposed(c); err != nil {
		return err
	}
	p, err := a.join(ctx, c)
	if err != nil {
		return err
	}
	defer p.close()
	handler, err := p.newDashboard()
	if err != nil {
		return err
	}
	l, err := listen(c.Dashboard.Addr, "dashboard.addr")
	if err != nil {
		return err
	}
	a.log.Info("dashboard listens", "addr", l.Addr().String())
	return serve(ctx, l, handler, dashboardGrace, a.log)
}
