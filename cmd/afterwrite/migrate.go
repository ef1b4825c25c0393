package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/afterwrite/afterwrite/internal/process"
	"github.com/afterwrite/afterwrite/schema"
	"github.com/afterwrite/afterwrite/store"
)

func (a *app) migrateCommand() *cobra.Command {
	dryRun, asSQL, wait := false, false, time.Duration(0)
	c := &cobra.Command{
		Use:     "migrate",
		Short:   "Create or upgrade the tables",
		Long:    "Creates the entities' tables and Afterwrite's own, and adds missing columns and unique\nindexes. It never alters or drops a column that exists, and says where one differs.\nFor each column it prints how it holds its field: exact, narrow (the database refuses\nwhat does not fit), the database's (the row is read back), or refused (no process\nstarts before that is fixed).\nWith --wait it tries again while the database does not respond, as at the start of a machine.",
		Example: "  afterwrite migrate --dry-run\n  afterwrite migrate --sql > afterwrite.sql",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			switch {
			case asSQL && (a.json || dryRun):
				return usagef("--sql prints SQL alone: leave out --json and --dry-run")
			case asSQL:
				return a.migrateSQL(c.Context())
			}
			return a.migrate(c.Context(), dryRun, wait)
		},
	}
	c.Flags().DurationVar(&wait, "wait", 0, "how long to wait for a database that does not respond")
	c.Flags().BoolVar(&dryRun, "dry-run", false, "print what would be done")
	c.Flags().BoolVar(&asSQL, "sql", false, "print the statements that would be sent, and change nothing")
	return a.withJSON(c)
}

// awaitDatabase waits for the database to respond, at most for the time. What it answers
// otherwise is for the caller to find out.
func (a *app) awaitDatabase(ctx context.Context, p *parts, wait time.Duration) error {
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
			a.log.Warn("waiting for the database", "for", wait, "error", err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Second):
		}
	}
}

func (a *app) migrate(ctx context.Context, dryRun bool, wait time.Duration) error {
	p, err := a.joined()
	if err != nil {
		return err
	}
	defer p.Close()
	if wait > 0 {
		if err := a.awaitDatabase(ctx, p, wait); err != nil {
			return err
		}
	}
	steps, err := p.Store.Migrate(ctx, dryRun)
	verdicts, unread := p.Store.Verdicts(ctx)
	if err == nil {
		err = unread
	}
	if a.json {
		if printed := a.printJSON(migration{dryRun, append([]string{}, steps...), columns(verdicts)}); printed != nil &&
			err == nil {
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
	for _, line := range store.VerdictLines(verdicts) {
		fmt.Fprintln(a.out, line)
	}
	return err
}

// migrateSQL prints the statements of a migration for those who send them by themselves.
func (a *app) migrateSQL(ctx context.Context) error {
	p, err := a.joined()
	if err != nil {
		return err
	}
	defer p.Close()
	statements, err := p.Store.MigrationSQL(ctx)
	for _, s := range statements {
		if !strings.HasPrefix(s, "-- ") {
			s += ";"
		}
		fmt.Fprintln(a.out, s)
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

func columns(verdicts []store.Verdict) []columnHolds {
	list := []columnHolds{}
	for _, v := range verdicts {
		list = append(list, columnHolds{v.Entity, v.Field, v.Table, v.Column, v.Type, string(v.Hold), v.Why, v.Fix})
	}
	return list
}
