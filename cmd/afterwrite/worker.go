package main

import (
	"context"

	"github.com/spf13/cobra"
)

func (a *app) workerCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "worker",
		Short:   "Flush accepted writes to the database",
		Long:    "Takes sync tasks off the queue and flushes their partitions to the database. Any number\nof workers may run; one that stops finishes or hands back its batches.\n\nIt exports traces where the OTEL_ variables of OpenTelemetry say so (docs/TRACING.md).",
		Example: "  afterwrite worker --config afterwrite.yaml",
		Args:    cobra.NoArgs,
		RunE:    func(c *cobra.Command, _ []string) error { return a.worker(c.Context()) },
	}
}

func (a *app) worker(ctx context.Context) error {
	p, err := a.serving(ctx, "worker")
	if err != nil {
		return err
	}
	defer p.Close()
	return p.ServeWorker(ctx)
}
