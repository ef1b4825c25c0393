package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/afterwrite/afterwrite/cache"
	"github.com/afterwrite/afterwrite/schema"
	"github.com/afterwrite/afterwrite/store"
)

// Pace of the ranks that workers keep.
const (
	rankPage  = 1000             // rows of one page
	rankEvery = 5 * time.Second  // how often a worker looks whether a rank is complete
	rankLease = 30 * time.Second // of the worker that rebuilds, renewed with each page
)

func (a *app) rankCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "rank",
		Short: "Ranks of records by score",
		Long:  "Works on the ranks of entities that have rank.by.",
		RunE:  needsSubcommand, Args: cobra.NoArgs,
		Example: "  afterwrite rank rebuild player",
	}
	c.AddCommand(a.withJSON(&cobra.Command{
		Use:   "rebuild [ENTITY]",
		Short: "Make ranks anew from the database",
		Long: "Makes the ranks of an entity, or of all, anew from the rows of the database, beside live\n" +
			"traffic; the old rank answers until the new one is there. Workers do the same by themselves\n" +
			"where a rank is not complete, as after a loss of Redis.",
		Example: "  afterwrite rank rebuild player",
		Args:    cobra.MaximumNArgs(1),
		RunE:    func(c *cobra.Command, args []string) error { return a.rebuildRanks(c.Context(), args) },
	}))
	return c
}

func (a *app) rebuildRanks(ctx context.Context, args []string) error {
	c, err := a.settings()
	if err != nil {
		return err
	}
	entities, err := chosen(c, args)
	if err != nil {
		return err
	}
	if len(args) == 1 && entities[0].RankBy == "" {
		return usagef("%s has no rank.by", args[0])
	}
	p, err := a.join(c)
	if err != nil {
		return err
	}
	defer p.close()
	if err := p.samePartitions(ctx, entities); err != nil {
		return err
	}
	rebuilt := []map[string]any{}
	for _, e := range entities {
		if e.RankBy == "" {
			continue
		}
		records := 0
		progress := a.bar(-1, "ranking "+e.Name)
		err := p.cache.RebuildRank(ctx, e, p.rows(e), func(n int) { records = n; progress.set(int64(n)) })
		progress.done()
		if err != nil {
			return err
		}
		_, ranked, err := p.cache.Top(ctx, e, 0)
		if err != nil {
			return err
		}
		rebuilt = append(rebuilt, map[string]any{"entity": e.Name, "by": e.RankBy, "ranked": ranked, "looked_at": records})
		if !a.json {
			fmt.Fprintf(a.out, "ranked %d records of %s by %s\n", ranked, e.Name, e.RankBy)
		}
	}
	if a.json {
		return a.printJSON(rebuilt)
	}
	return nil
}

// rows pages through an entity's rows in the database.
func (p *parts) rows(e *schema.Entity) cache.Rows {
	return func(ctx context.Context, after string) ([]schema.Row, error) {
		return p.store.List(ctx, e, store.Query{After: after, Limit: rankPage})
	}
}

// keepRanks rebuilds every rank that is not complete, until ctx ends. One worker does it
// at a time; should two do it, the later one wins.
func (p *parts) keepRanks(ctx context.Context) error {
	var ranked []*schema.Entity
	for _, e := range p.config.Entities {
		if e.RankBy != "" {
			ranked = append(ranked, e)
		}
	}
	host, _ := os.Hostname()
	holder := fmt.Sprintf("%s:%d", host, os.Getpid())
	look := time.NewTimer(0)
	defer look.Stop()
	for len(ranked) > 0 {
		select {
		case <-ctx.Done():
			return nil
		case <-look.C:
		}
		for _, e := range ranked {
			if err := p.keepRank(ctx, e, holder); err != nil && ctx.Err() == nil {
				p.log.WarnContext(ctx, "rank not rebuilt; it is tried again", "entity", e.Name, "error", err)
			}
		}
		look.Reset(max(rankEvery, p.config.Worker.SweepInterval))
	}
	return nil
}

func (p *parts) keepRank(ctx context.Context, e *schema.Entity, holder string) error {
	complete, err := p.cache.RankComplete(ctx, e)
	if err != nil || complete {
		return err
	}
	name := "rank:" + e.Name
	leads, err := p.cache.Lead(ctx, name, holder, rankLease)
	if err != nil || !leads {
		return err
	}
	defer func() {
		end, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		_ = p.cache.Resign(end, name, holder) // else the lease ends by itself
	}()
	began, records := time.Now(), 0
	page := p.rows(e)
	err = p.cache.RebuildRank(ctx, e, func(ctx context.Context, after string) ([]schema.Row, error) {
		if _, err := p.cache.Lead(ctx, name, holder, rankLease); err != nil {
			return nil, err
		}
		return page(ctx, after)
	}, func(n int) { records = n })
	if errors.Is(err, cache.ErrRebuildLost) {
		return nil // another one is at it
	}
	if err == nil {
		p.log.InfoContext(ctx, "rank rebuilt", "entity", e.Name, "by", e.RankBy, "records", records, "elapsed", time.Since(began))
	}
	return err
}
