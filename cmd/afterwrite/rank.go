package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/afterwrite/afterwrite/cache/rank"
	"github.com/afterwrite/afterwrite/cmd/afterwrite/internal/cli"
)

func (a *app) rankCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "rank",
		Short: "Ranks of records by score",
		Long:  "Works on the ranks of entities that have rank.by.",
		RunE:  cli.NeedsSubcommand, Args: cobra.NoArgs,
		Example: "  afterwrite rank rebuild player",
	}
	c.AddCommand(a.WithJSON(&cobra.Command{
		Use:   "rebuild [ENTITY]",
		Short: "Rebuild ranks from the database",
		Long: "Rebuilds the ranks of an entity, or of all, from the rows of the database, beside live\n" +
			"traffic; the old rank answers until the new one is there. Workers do the same by themselves\n" +
			"where a rank is not complete, as after a loss of Redis.",
		Example: "  afterwrite rank rebuild player",
		Args:    cobra.MaximumNArgs(1),
		RunE:    func(c *cobra.Command, args []string) error { return a.rebuildRanks(c.Context(), args) },
	}))
	return c
}

func (a *app) rebuildRanks(ctx context.Context, args []string) error {
	c, entities, err := a.Chosen(args)
	if err != nil {
		return err
	}
	if len(args) == 1 && entities[0].RankBy == "" {
		return cli.Usagef("%s has no rank.by", args[0])
	}
	p, err := a.Join(c)
	if err != nil {
		return err
	}
	defer p.Close()
	if err := p.SamePartitions(ctx, entities); err != nil {
		return err
	}
	by, err := p.RankBy(ctx)
	if err != nil {
		return err
	}
	rebuilt := []map[string]any{}
	for _, e := range entities {
		if e.RankBy == "" {
			continue
		}
		records := 0
		progress := a.Bar(-1, "ranking "+e.Name)
		err := rank.New(p.Cache).Rebuild(ctx, e, by, p.Rows(e), func(n int) { records = n; progress.At(int64(n)) })
		progress.Done()
		if err != nil {
			return err
		}
		_, ranked, err := rank.New(p.Cache).Top(ctx, e, 0)
		if err != nil {
			return err
		}
		rebuilt = append(rebuilt, map[string]any{"entity": e.Name, "by": e.RankBy, "ranked": ranked,
			"looked_at": records})
		if !a.JSON {
			fmt.Fprintf(a.Out, "ranked %d records of %s by %s\n", ranked, e.Name, e.RankBy)
		}
	}
	if a.JSON {
		return a.PrintJSON(rebuilt)
	}
	return nil
}
