package main

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/afterwrite/afterwrite/internal/config"
	"github.com/afterwrite/afterwrite/internal/otlp"
	"github.com/afterwrite/afterwrite/internal/process"
)

// joinServing is join for a process that serves: it is traced where the OTEL_ variables of the environment say so.
func (a *app) joinServing(ctx context.Context, c *config.Config, kind string) (*parts, error) {
	var p *process.Parts // before there are spans
	tracing, err := otlp.Start(ctx, "afterwrite-"+kind, thisBuild().Version, a.log, func(outcome string, spans int) {
		p.CountSpans(outcome, spans)
	})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", process.ErrConfig, err)
	}
	if tracing == nil {
		return a.join(c)
	}
	a.log = slog.New(otlp.Log(a.log.Handler()))
	p, err = process.JoinOver(process.Over{Wrap: tracing.SQL, Tracing: process.Tracing{
		Provider: tracing.Provider(), HTTP: tracing.HTTP, Redis: tracing.Redis, Close: tracing.Close,
	}}, c, thisBuild().Version, a.log)
	if err != nil {
		_ = tracing.Close() // there is nothing to export
		return nil, err
	}
	return &parts{p}, nil
}

// serving reads the configuration and joins the parts of a process that serves. Close them.
func (a *app) serving(ctx context.Context, kind string) (*parts, error) {
	c, err := a.settings()
	if err != nil {
		return nil, err
	}
	return a.joinServing(ctx, c, kind)
}
