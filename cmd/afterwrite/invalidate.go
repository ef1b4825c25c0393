package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/afterwrite/afterwrite/cmd/afterwrite/internal/cli"
	"github.com/afterwrite/afterwrite/schema"
)

func (a *app) invalidateCommand() *cobra.Command {
	var match string
	var all bool
	c := &cobra.Command{
		Use:   "invalidate ENTITY [ID...]",
		Short: "Drop persisted records from the cache",
		Long: "Drops persisted records from the cache, for instance after a change made directly in the\n" +
			"database. A pending, held or dead record is never dropped.",
		Example: "  afterwrite invalidate user ada grace\n  afterwrite invalidate user --match 'test-*'\n  afterwrite invalidate user --all",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			return a.invalidate(c.Context(), args[0], args[1:], match, all)
		},
	}
	c.Flags().StringVar(&match, "match", "", "every id that matches the `PATTERN` (* ? [a-z] \\)")
	c.Flags().BoolVar(&all, "all", false, "every record of the entity")
	return a.WithJSON(c)
}

func (a *app) invalidate(ctx context.Context, entity string, ids []string, match string, all bool) error {
	ways := 0
	for _, given := range []bool{len(ids) > 0, match != "", all} {
		if given {
			ways++
		}
	}
	if ways != 1 {
		return cli.Usagef("give ids, or --match, or --all")
	}
	c, entities, err := a.Chosen([]string{entity})
	if err != nil {
		return err
	}
	e := entities[0]
	for i, id := range ids {
		if ids[i], err = e.CanonicalID(id); err != nil {
			return cli.Usagef("%q: %v", id, err)
		}
	}
	p, err := a.Join(c)
	if err != nil {
		return err
	}
	defer p.Close()
	if err := p.SamePartitions(ctx, entities); err != nil {
		return err
	}
	if err := p.Paired(ctx); err != nil {
		return err
	}
	if all {
		match = "*"
	}
	dropped, err := a.drop(ctx, p, e, ids, match)
	if err != nil {
		return err
	}
	return a.PrintResult(map[string]any{"entity": e.Name, "dropped": dropped}, "dropped %s of %s from the cache\n",
		cli.Count(dropped, "record", "records"), e.Name)
}

func (a *app) drop(ctx context.Context, p *cli.Parts, e *schema.Entity, ids []string, match string) (int, error) {
	if match == "" {
		return p.Cache.Invalidate(ctx, e, ids)
	}
	progress := a.Bar(-1, "dropping")
	defer progress.Done()
	return p.Cache.InvalidateMatch(ctx, e, match, func(n int) { progress.At(int64(n)) })
}
