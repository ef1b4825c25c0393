package main

import (
	"context"
	"os"
	"runtime/debug"

	"github.com/spf13/cobra"
)

func (a *app) apiCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "api",
		Short: "Serve the HTTP API",
		Long: "Serves the HTTP API. Any number of api processes may run. Redis or the database may be\n" +
			"down: the process stays up, answers what it can and recovers by itself.\n\n" +
			"Where other machines reach api.addr every request needs a token (`afterwrite token new`),\n" +
			"unless api.insecure is set; on loopback where api.require_tokens is set.\n\n" +
			"The garbage collector keeps the process near 256 MiB and two largest batches (384 MiB),\n" +
			"unless GOMEMLIMIT says otherwise.\n\n" +
			"It exports traces where the OTEL_ variables of OpenTelemetry say so (docs/TRACING.md).",
		Example: "  afterwrite api --config afterwrite.yaml",
		Args:    cobra.NoArgs,
		RunE:    func(c *cobra.Command, _ []string) error { return a.api(c.Context()) },
	}
}

func (a *app) api(ctx context.Context) error {
	p, err := a.Serving(ctx, "api")
	if err != nil {
		return err
	}
	defer p.Close()
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(memoryOfAPI(p.Config.API.MaxBatchBody))
	}
	return p.ServeAPI(ctx)
}

// memoryOfAPI is where the garbage collector of an API begins to work harder, in bytes: what
// bodies and answers may hold at once is bounded, but by default as much garbage as that
// may wait to be collected.
func memoryOfAPI(maxBatchBody int64) int64 { return 256<<20 + 2*maxBatchBody }

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
	p, err := a.Serving(ctx, "worker")
	if err != nil {
		return err
	}
	defer p.Close()
	return p.ServeWorker(ctx)
}
