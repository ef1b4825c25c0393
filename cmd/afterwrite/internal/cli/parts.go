package cli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/spf13/cobra"

	"github.com/afterwrite/afterwrite/internal/config"
	"github.com/afterwrite/afterwrite/internal/health"
	"github.com/afterwrite/afterwrite/internal/operate"
	"github.com/afterwrite/afterwrite/internal/otlp"
	"github.com/afterwrite/afterwrite/internal/process"
	"github.com/afterwrite/afterwrite/internal/rdb"
	"github.com/afterwrite/afterwrite/schema"
	"github.com/afterwrite/afterwrite/store"
)

// Parts are the pieces of a process, with what the commands do with them.
type Parts struct{ *process.Parts }

// Joined reads the configuration and joins the parts. Close them.
func (a *App) Joined() (*Parts, error) {
	c, err := a.Settings()
	if err != nil {
		return nil, err
	}
	return a.Join(c)
}

// With runs a command on the joined parts.
func (a *App) With(fn func(ctx context.Context, p *Parts, args []string) error) func(*cobra.Command, []string) error {
	return func(c *cobra.Command, args []string) error {
		p, err := a.Joined()
		if err != nil {
			return err
		}
		defer p.Close()
		return fn(c.Context(), p, args)
	}
}

// Join makes the cache and the store, which every command needs. Close the parts.
func (a *App) Join(c *config.Config) (*Parts, error) {
	p, err := process.Join(c, a.Build.Version, a.Log)
	if err != nil {
		return nil, err
	}
	return &Parts{p}, nil
}

// Settings loads the configuration that the flag, the environment or the working
// directory names.
func (a *App) Settings() (*config.Config, error) {
	path, err := config.Locate(a.ConfigFile, a.Env)
	if errors.Is(err, config.ErrNoFile) {
		return nil, fmt.Errorf("%w: there is no ./%s and neither --config nor $%s names a file; `afterwrite config example > %s` makes one",
			process.ErrConfig, config.DefaultFile, config.EnvFile, config.DefaultFile)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", process.ErrConfig, err)
	}
	c, err := config.Load(path, a.Env)
	if err != nil && !errors.Is(err, config.ErrInvalid) {
		return nil, fmt.Errorf("%w: %w", process.ErrConfig, err)
	}
	if err == nil {
		err = checkURLs(c)
	}
	return c, err
}

// checkURLs reports an address that is well formed but that nothing can be opened with.
// Nothing is opened here.
func checkURLs(c *config.Config) error {
	var faults []error
	if _, err := rdb.ParseURL(c.Redis.URL); err != nil {
		faults = append(faults, c.Fault("redis.url", err))
	}
	if _, err := rdb.ParseURL(c.QueueURL()); err != nil && c.Queue.RedisURL != "" {
		faults = append(faults, c.Fault("queue.redis_url", err))
	}
	if err := store.CheckURL(c.Database.URL); err != nil {
		faults = append(faults, c.Fault("database.url", err))
	}
	return errors.Join(faults...)
}

// Chosen returns the entity of that name, or every entity for no name.
func Chosen(c *config.Config, names []string) ([]*schema.Entity, error) {
	if len(names) == 0 {
		return c.Entities, nil
	}
	e, ok := c.Entity(names[0])
	if !ok {
		known := make([]string, len(c.Entities))
		for i, e := range c.Entities {
			known[i] = e.Name
		}
		return nil, Usagef("no entity %q in %s; there are %v", names[0], c.File, known)
	}
	return []*schema.Entity{e}, nil
}

// Chosen is the settings, and the one entity of theirs that names has, or all.
func (a *App) Chosen(names []string) (*config.Config, []*schema.Entity, error) {
	c, err := a.Settings()
	if err != nil {
		return nil, nil, err
	}
	entities, err := Chosen(c, names)
	return c, entities, err
}

// JoinServing is Join for a process that serves: it is traced where the OTEL_ variables of the environment say so.
func (a *App) JoinServing(ctx context.Context, c *config.Config, kind string) (*Parts, error) {
	var p *process.Parts // before there are spans
	tracing, err := otlp.Start(ctx, "afterwrite-"+kind, a.Build.Version, a.Log, func(outcome string, spans int) {
		p.CountSpans(outcome, spans)
	})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", process.ErrConfig, err)
	}
	if tracing == nil {
		return a.Join(c)
	}
	a.Log = slog.New(otlp.Log(a.Log.Handler()))
	p, err = process.JoinOver(process.Over{Wrap: tracing.SQL, Tracing: process.Tracing{
		Provider: tracing.Provider(), HTTP: tracing.HTTP, Redis: tracing.Redis, Close: tracing.Close,
	}}, c, a.Build.Version, a.Log)
	if err != nil {
		_ = tracing.Close() // there is nothing to export
		return nil, err
	}
	return &Parts{p}, nil
}

// Serving reads the configuration and joins the parts of a process that serves. Close them.
func (a *App) Serving(ctx context.Context, kind string) (*Parts, error) {
	c, err := a.Settings()
	if err != nil {
		return nil, err
	}
	return a.JoinServing(ctx, c, kind)
}

// Operate runs fn with an operator on checked parts.
func (a *App) Operate(ctx context.Context, fn func(p *Parts, m *operate.Operator) error) error {
	return a.operate(ctx, func(p *Parts) error { return p.Paired(ctx) }, fn)
}

// pairingPatience is how long a command that shows what it has waits for a side that does not respond.
const pairingPatience = 3 * time.Second

// Unpaired returns why Redis and the database do not belong together, and names it as doctor does. It is for commands
// that show both sides all the same, and return [ErrReported] then. nil: they belong together, or a side did not
// respond, and it is not known.
func (a *App) Unpaired(ctx context.Context, p *Parts) error {
	ctx, cancel := context.WithTimeout(ctx, pairingPatience)
	defer cancel()
	err := p.Paired(ctx)
	if !errors.Is(err, schema.ErrUnpaired) {
		return nil
	}
	for _, f := range (&health.Deep{Pairing: err}).Findings() {
		fmt.Fprintf(a.Err, "%s: %v\n→ %s\n", f.Level, f.Cause, f.Hint)
	}
	return err
}

// OperateStored is Operate for what reads dead letters: it works while Redis is not responding.
func (a *App) OperateStored(ctx context.Context, fn func(p *Parts, m *operate.Operator) error) error {
	return a.operate(ctx, func(p *Parts) error {
		err := p.Paired(ctx)
		if errors.Is(err, schema.ErrUnavailable) {
			return nil
		}
		return err
	}, fn)
}

// OperateDatabase is Operate for what only reads the database, whatever Redis is.
func (a *App) OperateDatabase(ctx context.Context, fn func(p *Parts, m *operate.Operator) error) error {
	return a.operate(ctx, func(*Parts) error { return nil }, fn)
}

// Beside returns why the two sides of some entities cannot be looked at side by side. unpaired is [App.Unpaired], which
// names a database without tables as the wrong one rather than have it migrated.
func (a *App) Beside(ctx context.Context, p *Parts, entities []*schema.Entity) (unpaired, err error) {
	unpaired = a.Unpaired(ctx, p)
	err = p.SamePartitions(ctx, entities)
	if unpaired != nil && errors.Is(err, process.ErrNotMigrated) {
		err = ErrReported
	}
	return unpaired, err
}

func (a *App) operate(ctx context.Context, check func(p *Parts) error,
	fn func(p *Parts, m *operate.Operator) error) error {
	p, err := a.Joined()
	if err != nil {
		return err
	}
	defer p.Close()
	if err := p.SamePartitions(ctx, p.Config.Entities); err != nil {
		return err
	}
	if err := check(p); err != nil {
		return err
	}
	w, err := p.NewProducer()
	if err != nil {
		return err
	}
	m, err := p.NewOperator(w)
	if err != nil {
		return err
	}
	return fn(p, m)
}
