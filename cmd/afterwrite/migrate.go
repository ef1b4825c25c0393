package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/afterwrite/afterwrite/cmd/afterwrite/internal/cli"
	"github.com/afterwrite/afterwrite/internal/process"
	"github.com/afterwrite/afterwrite/schema"
	"github.com/afterwrite/afterwrite/store"
	"github.com/afterwrite/afterwrite/store/survey"
)

func (a *app) migrateCommand() *cobra.Command {
	dryRun, asSQL, wait := false, false, time.Duration(0)
	var want store.Watching
	c := &cobra.Command{
		Use:     "migrate",
		Short:   "Create or upgrade the tables",
		Long:    "Creates the entities' tables and Afterwrite's own, and adds missing columns and unique\nindexes. It never alters or drops a column that exists, and says where one differs.\nFor each column it prints how it holds its field: exact, narrow (the database refuses\nwhat does not fit), the database's (the row is read back), or refused (no process\nstarts before that is fixed).\nWith --wait it tries again while the database does not respond, as at the start of a machine.\n\nWith --watch it also makes triggers on the tables, of all entities or of those that are named:\nthey note the rows that other programs write, and a worker drops these from the cache within\na second. Each later migrate keeps them up to date; --unwatch removes them.",
		Example: "  afterwrite migrate --dry-run\n  afterwrite migrate --sql > afterwrite.sql\n  afterwrite migrate --watch=user,order\n  afterwrite migrate --unwatch",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if asSQL && (a.JSON || dryRun) {
				return cli.Usagef("--sql prints SQL alone: leave out --json and --dry-run")
			}
			return a.With(func(ctx context.Context, p *cli.Parts, _ []string) error {
				if err := checkWatching(p.Config.Entities, want); err != nil {
					return err
				}
				if asSQL {
					return a.migrateSQL(ctx, p, want)
				}
				return a.migrate(ctx, p, dryRun, wait, want)
			})(c, nil)
		},
	}
	c.Flags().DurationVar(&wait, "wait", 0, "how long to wait for a database that does not respond")
	c.Flags().BoolVar(&dryRun, "dry-run", false, "print what would be done")
	c.Flags().BoolVar(&asSQL, "sql", false, "print the statements that would be sent, and change nothing")
	for name, of := range map[string]struct {
		names *[]string
		usage string
	}{
		"watch":   {&want.Watch, "note what other programs write to the tables of these `entities`, without a value of all"},
		"unwatch": {&want.Unwatch, "remove the triggers of these `entities`, without a value of all"},
	} {
		c.Flags().StringSliceVar(of.names, name, nil, of.usage)
		c.Flags().Lookup(name).NoOptDefVal = store.WatchAll
	}
	return a.WithJSON(c)
}

// checkWatching refuses names that are no entity's, and an entity that is to be watched and not to be.
func checkWatching(entities []*schema.Entity, want store.Watching) error {
	for _, name := range slices.Concat(want.Watch, want.Unwatch) {
		known := func(e *schema.Entity) bool { return e.Name == name }
		if name != store.WatchAll && !slices.ContainsFunc(entities, known) {
			return cli.Usagef("%q is no entity of the configuration", name)
		}
	}
	for _, name := range want.Watch {
		if slices.Contains(want.Unwatch, name) || name == store.WatchAll && len(want.Unwatch) > 0 ||
			slices.Contains(want.Unwatch, store.WatchAll) {
			return cli.Usagef("--watch and --unwatch name the same entity")
		}
	}
	return nil
}

// awaitDatabase waits for the database to respond, at most for the time. What it answers
// otherwise is for the caller to find out.
func (a *app) awaitDatabase(ctx context.Context, p *cli.Parts, wait time.Duration) error {
	began, said := time.Now(), false
	for {
		try, cancel := context.WithTimeout(ctx, process.StartTimeout)
		err := p.Store.Ping(try)
		cancel()
		if !errors.Is(err, schema.ErrDatabaseUnavailable) {
			return nil
		}
		if waited := time.Since(began); waited >= wait {
			return fmt.Errorf("waited %s for the database: %w", waited.Round(time.Second), err)
		}
		if !said {
			said = true
			a.Log.Warn("waiting for the database", "for", wait, "error", err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Second):
		}
	}
}

func (a *app) migrate(ctx context.Context, p *cli.Parts, dryRun bool, wait time.Duration, want store.Watching) error {
	if wait > 0 {
		if err := a.awaitDatabase(ctx, p, wait); err != nil {
			return err
		}
	}
	steps, err := p.Store.Migrate(ctx, dryRun, want)
	verdicts, unread := survey.Of(p.Store.Store).Verdicts(ctx)
	if err == nil {
		err = unread
	}
	if a.JSON {
		if printed := a.PrintJSON(migration{dryRun, append([]string{}, steps...), columns(verdicts)}); printed != nil &&
			err == nil {
			err = printed
		}
		return err
	}
	for _, s := range steps {
		fmt.Fprintln(a.Out, s)
	}
	if err == nil && len(steps) == 0 {
		fmt.Fprintln(a.Out, "the database is up to date")
	}
	for _, line := range survey.VerdictLines(verdicts) {
		fmt.Fprintln(a.Out, line)
	}
	return err
}

// migrateSQL prints the statements of a migration for those who send them by themselves.
func (a *app) migrateSQL(ctx context.Context, p *cli.Parts, want store.Watching) error {
	statements, err := p.Store.MigrationSQL(ctx, want)
	for _, s := range statements {
		switch {
		case strings.HasPrefix(s, "-- "):
		case p.Store.Dialect() == "mysql" && strings.Contains(s, ";"): // the client would cut it there
			s = "DELIMITER //\n" + s + "//\nDELIMITER ;"
		default:
			s += ";"
		}
		fmt.Fprintln(a.Out, s)
	}
	return err
}

// migration is what migrate prints as JSON.
type migration struct {
	DryRun  bool          `json:"dry_run"`
	Steps   []string      `json:"steps"`
	Columns []columnHolds `json:"columns"`
}

// columnHolds is a verdict; one without a column is about the whole row.
type columnHolds struct {
	Entity string `json:"entity"`
	Field  string `json:"field,omitempty"`
	Table  string `json:"table"`
	Column string `json:"column,omitempty"`
	Type   string `json:"type,omitempty"`
	Holds  string `json:"holds"`
	Why    string `json:"why,omitempty"`
	Fix    string `json:"fix,omitempty"`
}

func columns(verdicts []survey.Verdict) []columnHolds {
	list := []columnHolds{}
	for _, v := range verdicts {
		list = append(list, columnHolds{v.Entity, v.Field, v.Table, v.Column, v.Type, string(v.Hold), v.Why, v.Fix})
	}
	return list
}
