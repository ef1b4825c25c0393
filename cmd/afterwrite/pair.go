package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/afterwrite/afterwrite/cache/pending"
	"github.com/afterwrite/afterwrite/cmd/afterwrite/internal/cli"
	"github.com/afterwrite/afterwrite/internal/fleet"
	"github.com/afterwrite/afterwrite/internal/process"
	"github.com/afterwrite/afterwrite/internal/rdb"
	"github.com/afterwrite/afterwrite/schema"
)

func (a *app) pairCommand() *cobra.Command {
	yes := false
	c := &cobra.Command{
		Use:   "pair",
		Short: "Pair Redis and the database again, on purpose",
		Long: `Redis and the database carry the same random deployment id. Where they differ, processes
refuse to start and flush nothing: one of the two URLs may be wrong, or one side was
restored or exchanged. This command makes the two belong together, whatever they were
before. Cached records are dropped. What is pending in Redis will be flushed into this
database, so look at both sides first: the command shows them and asks.`,
		Example: "  afterwrite pair",
		Args:    cobra.NoArgs,
		RunE: a.With(func(ctx context.Context, p *cli.Parts, _ []string) error {
			return a.pair(ctx, p, yes)
		}),
	}
	c.Flags().BoolVar(&yes, "yes", false, "do not ask")
	return a.WithJSON(c)
}

func (a *app) pair(ctx context.Context, p *cli.Parts, yes bool) error {
	if err := p.SamePartitions(ctx, p.Config.Entities); err != nil {
		return err
	}
	redis, database, err := p.Sides(ctx)
	if err != nil {
		return err
	}
	unpersisted := int64(0)
	for _, e := range p.Config.Entities {
		stats, err := p.Pending.Stats(ctx, e)
		if err != nil {
			return err
		}
		t := pending.Total(stats)
		unpersisted += t.Pending + t.Held + t.Dead
	}
	fmt.Fprintf(a.Err, "Redis     %s: %s, %s not in the database yet\nDatabase  %s: %s\n",
		rdb.Redact(p.Config.Redis.URL), deploymentOf(redis), cli.Count(unpersisted, "record", "records"),
		rdb.Redact(p.Config.Database.URL), deploymentOf(database))
	if redis == database && !redis.None() {
		fmt.Fprintln(a.Err, "They belong together already.")
	}
	if err := a.users(ctx, p, redis, database, yes); err != nil {
		return err
	}
	if sure, err := a.Confirm(ctx, "pair", 1, "this Redis with this database", yes); err != nil || !sure {
		return err
	}
	to, err := p.PairAnew(ctx, a.Actor())
	if err != nil {
		return err
	}
	return a.PrintResult(map[string]any{
		"deployment": to.Deployment, "redis_was": redis.Deployment, "database_was": database.Deployment,
		"unpersisted": unpersisted,
	}, "paired as deployment %s\n", to.Deployment)
}

// users shows which processes use this Redis with another database, or this database with another Redis: they accept
// and flush nothing any more once these two are paired. The latter have to be asked, which takes some seconds and is
// left out with --yes.
func (a *app) users(ctx context.Context, p *cli.Parts, redis, database schema.Pairing, yes bool) error {
	if redis == database {
		return nil
	}
	alive, err := p.Fleet.Alive(ctx)
	if err != nil {
		return err
	}
	for _, other := range alive {
		if !other.Unread && other.Info[fleet.PairingInfo] == "" {
			fmt.Fprintf(a.Err, "In use    %s %s uses this Redis with another database: is database.url right? End it first.\n",
				other.Kind, other.ID)
		}
	}
	if yes || database.Life == "" {
		return nil
	}
	other, err := p.UserOf(ctx, database.Life, process.AskTime)
	if err == nil && other != "" {
		fmt.Fprintf(a.Err, "In use    %s uses this database with another Redis: is redis.url right? End it first.\n", other)
	}
	return err
}

// deploymentOf names one side of a pairing.
func deploymentOf(side schema.Pairing) string {
	if side.None() {
		return "never paired"
	}
	return "deployment " + side.Deployment
}
