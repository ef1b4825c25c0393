package main

import (
	"context"

	"github.com/spf13/cobra"
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
	defer p.Close()
	return p.ServeAPI(ctx)
}
