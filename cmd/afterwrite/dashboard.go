package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"
)

// dashboardGrace is how long requests of the dashboard may go on when it stops.
const dashboardGrace = 5e9

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
	if !loopback(c.Dashboard.Addr) && !c.API.Insecure {
		return fmt.Errorf("%w: dashboard.addr %s can be reached from other machines and asks nobody who they are; "+
			"set it to 127.0.0.1, or set api.insecure: true where something in front of it asks", errConfig, c.Dashboard.Addr)
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
