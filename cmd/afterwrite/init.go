package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/afterwrite/afterwrite/cmd/afterwrite/internal/cli"
	"github.com/afterwrite/afterwrite/internal/config"
	"github.com/afterwrite/afterwrite/internal/process"
	"github.com/afterwrite/afterwrite/internal/rdb"
	"github.com/afterwrite/afterwrite/store"
	"github.com/afterwrite/afterwrite/store/catalog"
	"github.com/afterwrite/afterwrite/store/survey"
)

func (a *app) initCommand() *cobra.Command {
	database, out := "", ""
	c := &cobra.Command{
		Use:   "init [TABLE...]",
		Short: "Write a configuration to begin with, from the tables of a database or from nothing",
		Long: "Writes a commented configuration. With --database (or $AFTERWRITE_DATABASE_URL) it reads the\n" +
			"tables of the database, or those that are named, and proposes an entity for each; a comment\n" +
			"at each field says where the column does not hold it exactly, and what is left out and why.\n" +
			"It changes nothing in the database. Without a database it writes the example.",
		Example: "  afterwrite init --database postgres://app@localhost/shop\n" +
			"  afterwrite init --database sqlite://shop.db users orders --out -",
		RunE: func(c *cobra.Command, args []string) error {
			return a.init(c.Context(), cmp.Or(database, a.variable("AFTERWRITE_DATABASE_URL")), out, args)
		},
	}
	c.Flags().StringVar(&database, "database", "", "`URL` of a database whose tables become entities")
	c.Flags().StringVar(&out, "out", config.DefaultFile, "`FILE` to write, which must not exist; - prints it")
	return c
}

// variable is the value of an environment variable, "" for none.
func (a *app) variable(name string) string {
	for _, entry := range a.Env {
		if value, ok := strings.CutPrefix(entry, name+"="); ok {
			return value
		}
	}
	return ""
}

func (a *app) init(ctx context.Context, database, out string, tables []string) error {
	if out != "-" {
		if _, err := os.Lstat(out); !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("%s exists: it is left as it is; name another with --out", out)
		}
	}
	text := config.Example()
	var err error
	switch {
	case database != "":
		text, err = a.draft(ctx, database, tables)
	case len(tables) > 0:
		err = cli.Usagef("tables are named, and no database: give --database")
	}
	if err != nil {
		return err
	}
	if out == "-" {
		_, err = a.Out.Write(text)
		return err
	}
	f, err := os.OpenFile(out, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	_, err = fmt.Fprintf(a.Out,
		"%s is written: read it, then `afterwrite config check --config %[1]s` and "+
			"`afterwrite migrate --dry-run --config %[1]s`\n", out)
	return err
}

// draft proposes a configuration for the tables of a database.
func (a *app) draft(ctx context.Context, database string, only []string) ([]byte, error) {
	if err := store.CheckURL(database); err != nil {
		return nil, fmt.Errorf("%w: --database: %w", process.ErrConfig, err)
	}
	if file, ok := strings.CutPrefix(database, "sqlite://"); ok {
		if _, err := os.Stat(strings.SplitN(file, "?", 2)[0]); err != nil { // SQLite would make the file
			return nil, fmt.Errorf("%w: --database: %w", process.ErrConfig, err)
		}
	}
	s, err := store.Open(store.Config{URL: database, Log: a.Log}, nil)
	if err != nil {
		return nil, fmt.Errorf("%w: --database: %w", process.ErrConfig, err)
	}
	defer s.Close()
	tables, err := survey.Of(s).Tables(ctx)
	if err != nil {
		return nil, err
	}
	for _, name := range only {
		if !slices.ContainsFunc(tables, func(t *catalog.Table) bool { return t.Name == name }) {
			return nil, cli.Usagef("there is no table %q in the database", name)
		}
	}
	var proposals []catalog.Proposal
	for _, t := range tables {
		if len(only) == 0 || slices.Contains(only, t.Name) {
			proposals = append(proposals, survey.Of(s).Propose(t))
		}
	}
	references(tables, proposals)
	return drafted(database, proposals)
}

// references has fields that are foreign keys to the id of another entity say so.
func references(tables []*catalog.Table, proposals []catalog.Proposal) {
	entities := map[string]catalog.Proposal{}
	for _, p := range proposals {
		if p.Entity != nil {
			entities[p.Table] = p
		}
	}
	for _, t := range tables {
		from := entities[t.Name].Entity
		if from == nil {
			continue
		}
		for _, key := range t.ForeignKeys {
			to := entities[strings.Trim(key.RefTable, `"`)].Entity
			if to == nil || to == from || len(key.Columns) != 1 ||
				!slices.Equal(key.RefColumns, []string{to.ID.Column}) {
				continue
			}
			for i := range from.Fields {
				if f := &from.Fields[i]; f.Column == key.Columns[0] {
					f.References = to.Name
				}
			}
		}
	}
}

// drafted writes proposals as a configuration, and reads it back: what cannot be used is
// no draft.
func drafted(database string, proposals []catalog.Proposal) ([]byte, error) {
	var entities []config.DraftEntity
	var out []string
	for _, p := range proposals {
		if p.Entity == nil {
			out = append(out, p.Table+": "+p.Why)
			continue
		}
		d := config.DraftEntity{Entity: p.Entity, Notes: map[string]string{}}
		for name, v := range p.Holds {
			if v.Hold != catalog.Exact {
				d.Notes[name] = string(v.Hold) + ": " + v.Why
			}
		}
		for _, line := range p.Left {
			d.Above = append(d.Above, "Left out: "+line)
		}
		if p.Blocked {
			d.Above = append(d.Above,
				"New rows are refused: a column that is left out takes no null and has no default.")
		}
		entities = append(entities, d)
	}
	if len(entities) == 0 {
		return nil, fmt.Errorf("no table of the database can be an entity: %s",
			strings.Join(append(out, "there are no others"), "; "))
	}
	var b bytes.Buffer
	if err := config.Draft(&b, head(database, out), entities); err != nil {
		return nil, err
	}
	if _, err := config.Parse(b.Bytes()); err != nil {
		return nil, fmt.Errorf("the tables make no configuration that can be used; name some of them: %w", err)
	}
	return b.Bytes(), nil
}

// head is what stands above the entities. A password is in no file: the environment has it.
func head(database string, left []string) string {
	var b strings.Builder
	b.WriteString("# Proposed by `afterwrite init` from the tables of a database: read it before it is used.\n" +
		"# What is left out has its default; `afterwrite config example` explains every setting. A comment at a\n" +
		"# field says where its column does not hold it exactly: narrow (the database refuses what does not\n" +
		"# fit) or the database's (it has the last word, and the row is read back).\n\n" +
		"redis: {url: redis://127.0.0.1:6379/0, prefix: aw}\n")
	if redacted := rdb.Redact(database); strings.Contains(redacted, "xxxxx") {
		fmt.Fprintf(&b, "# The URL with its password comes from AFTERWRITE_DATABASE_URL: %s\n", redacted)
		database = ""
	}
	if database != "" {
		fmt.Fprintf(&b, "database: {url: %s}\n", strconv.Quote(database))
	}
	for i, line := range left {
		if i == 0 {
			b.WriteString("\n# Tables without an entity:\n")
		}
		fmt.Fprintf(&b, "#   %s\n", strings.Join(strings.Fields(line), " "))
	}
	return b.String()
}
