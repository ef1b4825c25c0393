// Package dev is the command that runs everything in one process.
package dev

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/afterwrite/afterwrite/cache/pending"
	"github.com/afterwrite/afterwrite/cmd/afterwrite/internal/cli"
	"github.com/afterwrite/afterwrite/cmd/afterwrite/internal/local"
	"github.com/afterwrite/afterwrite/internal/config"
	"github.com/afterwrite/afterwrite/internal/process"
	"github.com/afterwrite/afterwrite/internal/rdb"
	"github.com/afterwrite/afterwrite/producer/api"
)

// app is a run of the program, with the commands of this package.
type app struct{ *cli.App }

// Command returns the command dev.
func Command(a *cli.App) *cobra.Command { return (&app{a}).devCommand() }

// devDrain is how long dev waits at its end for the database to have everything.
const devDrain = 30 * time.Second

// devFlags are the flags of the dev command.
type devFlags struct {
	data      string
	addr      string
	dashboard string
}

func (a *app) devCommand() *cobra.Command {
	var f devFlags
	c := &cobra.Command{
		Use:   "dev",
		Short: "Run everything in one process, to try it",
		Long: `Runs API, worker and dashboard in one process. Without a configuration it runs the built-in
example. Redis is the configured one, else a redis-server child with its append-only file
in the data directory, else one inside the process, which keeps nothing. The database is
SQLite in the data directory unless one is configured.`,
		Example: "  afterwrite dev\n  afterwrite dev --data /tmp/try --addr 127.0.0.1:9000",
		Args:    cobra.NoArgs,
		RunE:    func(c *cobra.Command, _ []string) error { return a.dev(c.Context(), f) },
	}
	c.Flags().StringVar(&f.data, "data", "afterwrite-data", "data `DIR`ectory")
	c.Flags().StringVar(&f.addr, "addr", "", "address of the API (default api.addr)")
	c.Flags().StringVar(&f.dashboard, "dashboard-addr", "", "address of the dashboard (default dashboard.addr)")
	return c
}

func (a *app) dev(ctx context.Context, f devFlags) error {
	c, err := a.devSettings(f)
	if err != nil {
		return err
	}
	if err := process.ErrDashboardExposed(c); err != nil {
		return err
	}
	if err := local.MakeDir(f.data); err != nil {
		return err
	}
	lock, err := local.LockDir(ctx, f.data)
	if err != nil {
		return err
	}
	defer lock.Close()
	pages, err := process.Listen(c.Dashboard.Addr, "dashboard.addr")
	if err != nil {
		return err
	}
	defer pages.Close()
	front, err := process.Listen(c.API.Addr, "api.addr")
	if err != nil {
		return err
	}
	defer front.Close()
	redis, err := local.FindRedis(ctx, a.Log, c, f.data, lock)
	if err != nil {
		return err
	}
	defer redis.Stop()
	c.Redis.URL = redis.URL
	if err := writeEnv(c, f.data); err != nil {
		return err
	}
	return a.devRun(ctx, c, f.data, redis, front, pages)
}

// devSettings are the configured settings, else the built-in example's, with what dev
// keeps in the data directory.
func (a *app) devSettings(f devFlags) (*config.Config, error) {
	var c *config.Config
	_, err := config.Locate(a.ConfigFile, a.Env)
	if errors.Is(err, config.ErrNoFile) {
		c, err = config.LoadBuiltin(a.Env)
	} else {
		c, err = a.Settings()
	}
	if err != nil {
		return nil, err
	}
	if !c.Named("database.url") {
		path, err := filepath.Abs(filepath.Join(f.data, "afterwrite.db"))
		if err != nil {
			return nil, err
		}
		c.Database.URL = "sqlite://" + path
	}
	if err := override(&c.API.Addr, f.addr); err != nil {
		return nil, err
	}
	if err := override(&c.Dashboard.Addr, f.dashboard); err != nil {
		return nil, err
	}
	return c, nil
}

// override sets an address that a flag gives.
func override(at *string, flag string) error {
	if flag == "" {
		return nil
	}
	if _, _, err := net.SplitHostPort(flag); err != nil {
		return cli.Usagef("%q is not HOST:PORT", flag)
	}
	*at = flag
	return nil
}

// devRun runs everything until ctx ends: first the API stops, then the worker, when the
// database has everything.
func (a *app) devRun(ctx context.Context, c *config.Config, data string, redis local.Redis,
	front, pages net.Listener) error {
	p, err := a.JoinServing(ctx, c, "dev")
	if err != nil {
		return err
	}
	defer p.Close()
	if err := a.devPrepare(ctx, p, redis); err != nil {
		return err
	}
	handler, err := p.NewAPI(ctx.Done())
	if err != nil {
		return err
	}
	status, err := p.NewDashboard(ctx, nil)
	if err != nil {
		return err
	}
	flusher, endFlusher, err := p.NewWorker()
	if err != nil {
		return err
	}
	defer endFlusher()
	working, stopWorking := context.WithCancel(context.WithoutCancel(ctx))
	defer stopWorking()
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return flusher.Run(working) })
	group.Go(func() error { return p.KeepRanks(working) })
	group.Go(func() error { return p.Watch(ctx) })
	group.Go(func() error { return process.Serve(ctx, pages, status, process.DashboardGrace, a.Log) })
	group.Go(func() error {
		defer stopWorking()
		err := process.Serve(ctx, api.Listener(front, a.Log), p.LocalAPI(handler), c.API.ShutdownTimeout, a.Log)
		a.devDrain(working, p, redis)
		return err
	})
	a.greet(c, data, redis, front.Addr().String(), pages.Addr().String())
	return group.Wait()
}

// devPrepare makes the tables and runs the start checks.
func (a *app) devPrepare(ctx context.Context, p *cli.Parts, redis local.Redis) error {
	steps, err := p.Store.Migrate(ctx, false)
	if err != nil {
		return err
	}
	for _, s := range steps {
		a.Log.Info("migrated", "step", s)
	}
	check := p.CheckRedis
	if p.Forgetful = redis.InProcess; redis.InProcess { // it knows nothing of persistence and eviction
		check = p.AdoptCache
	}
	if err := check(ctx); err != nil {
		return fmt.Errorf("redis: %w", err)
	}
	if err := p.CheckDatabase(ctx); err != nil {
		return err
	}
	return p.CheckPairing(ctx)
}

// devDrain waits until nothing is pending. A Redis that keeps its data is not waited for
// as long: what is left there is flushed at the next start.
func (a *app) devDrain(ctx context.Context, p *cli.Parts, redis local.Redis) {
	limit := 5 * time.Second
	if redis.InProcess {
		limit = devDrain
	}
	ctx, cancel := context.WithTimeout(ctx, limit+process.StartTimeout)
	defer cancel()
	if err := a.AwaitFlush(ctx, p, p.Config.Entities, limit); err != nil {
		a.Log.Error("waiting for the database to have everything failed", "error", err)
		return
	}
	for _, e := range p.Config.Entities {
		stats, err := p.Pending.Stats(ctx, e)
		if err != nil {
			a.Log.Error("reading what is left failed", "error", err)
			return
		}
		t := pending.Total(stats)
		if t.Pending+t.Held+t.Dead == 0 {
			continue
		}
		attrs := []any{"entity", e.Name, "pending", t.Pending, "held", t.Held, "dead", t.Dead}
		if redis.InProcess {
			a.Log.Error("records are lost with this process", attrs...)
		} else {
			a.Log.Warn("records wait in Redis for the next start", attrs...)
		}
	}
}

// greet tells where everything is and what to try.
func (a *app) greet(c *config.Config, data string, redis local.Redis, api, pages string) {
	e := c.Entities[0]
	fmt.Fprintf(a.Out, `
  API        http://%s
  Dashboard  http://%s
  Database   %s
  Redis      %s
  Entities   from the %s

Try:

  curl -X PUT http://%[1]s/v1/%[6]s/%[7]s -H 'Content-Type: application/json' -d '%[8]s'
  curl http://%[1]s/v1/%[6]s/%[7]s

The other commands see this one after `+"`. %[9]s`"+`, for instance afterwrite doctor.
Ctrl-C stops it.

`, api, pages, rdb.Redact(c.Database.URL), redis.What, c.File, e.Name, sampleID(e), sampleBody(e), filepath.Join(data, envFile))
}
