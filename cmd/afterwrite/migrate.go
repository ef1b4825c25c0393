package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"
)

func (a *app) migrateCommand() *cobra.Command {
	dryRun := false
	c := &cobra.Command{
		Use:     "migrate",
		Short:   "Create or upgrade the tables",
		Long:    "Creates the entities' tables and Afterwrite's own, and adds missing columns and unique\nindexes. It never alters or drops a column that exists, and says where one differs.",
		Example: "  afterwrite migrate --dry-run",
		Args:    cobra.NoArgs,
		RunE:    func(c *cobra.Command, _ []string) error { return a.migrate(c.Context(), dryRun) },
	}
	c.Flags().BoolVar(&dryRun, "dry-run", false, "print what would be done")
	return a.withJSON(c)
}

func (a *app) migrate(ctx context.Context, dryRun bool) error {
	p, err := a.joined()
	if err != nil {
		return err
	}
	defer p.Close()
	steps, err := p.Store.Migrate(ctx, dryRun)
	if a.json {
		if steps == nil {
			steps = []string{}
		}
		if printed := a.printJSON(map[string]any{"dry_run": dryRun, "steps": steps}); printed != nil && err == nil {
			err = printed
		}
		return err
	}
	for _, s := range steps {
		fmt.Fprintln(a.out, s)
	}
	if err == nil && len(steps) == 0 {
		fmt.Fprintln(a.out, "the database is up to date")
	}
	return err
}
