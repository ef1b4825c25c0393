package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/afterwrite/afterwrite/cache"
	"github.com/afterwrite/afterwrite/cmd/afterwrite/internal/cli"
	"github.com/afterwrite/afterwrite/schema"
)

func (a *app) recordCommand() *cobra.Command {
	c := &cobra.Command{
		Use:     "record",
		Short:   "Look at one record",
		Example: "  afterwrite record get user ada",
		Args:    cobra.NoArgs,
		RunE:    cli.NeedsSubcommand,
	}
	c.AddCommand(a.WithJSON(&cobra.Command{
		Use:   "get ENTITY ID",
		Short: "Show the cached and the stored state side by side",
		Long: "Shows the state in Redis and the row in the database side by side, with status, version,\nlag and attempts. It loads nothing into the cache. Fields that differ are marked with *. If\n" +
			"the database does not belong to this Redis, it says so and exits 1.",
		Example: "  afterwrite record get user ada",
		Args:    cobra.ExactArgs(2),
		RunE:    func(c *cobra.Command, args []string) error { return a.recordGet(c.Context(), args[0], args[1]) },
	}))
	return c
}

// recordView is a record as both sides have it. A state that is not there is null.
type recordView struct {
	Entity      string          `json:"entity"`
	ID          string          `json:"id"`
	Status      schema.Status   `json:"status"`
	Cached      bool            `json:"cached"`
	Deleted     bool            `json:"deleted"`
	Stored      bool            `json:"stored"`
	Version     schema.Version  `json:"version,omitempty"`
	TTL         string          `json:"ttl,omitempty"`
	Lag         string          `json:"lag,omitempty"`
	Attempts    int             `json:"attempts,omitempty"`
	NextAttempt *time.Time      `json:"next_attempt,omitempty"`
	Error       *schema.Refusal `json:"error,omitempty"`
	Fields      []fieldView     `json:"fields"`
	Unpaired    string          `json:"unpaired,omitempty"` // why Redis and the database do not belong together
}

type fieldView struct {
	Name     string `json:"field"`
	Cached   string `json:"cached,omitempty"`   // JSON text
	Database string `json:"database,omitempty"` // JSON text
	Differs  bool   `json:"differs"`
}

func (a *app) recordGet(ctx context.Context, entity, id string) error {
	c, entities, err := a.Chosen([]string{entity})
	if err != nil {
		return err
	}
	e := entities[0]
	if id, err = e.CanonicalID(id); err != nil {
		return cli.Usagef("%v", err)
	}
	p, err := a.Join(c)
	if err != nil {
		return err
	}
	defer p.Close()
	unpaired, err := a.Beside(ctx, p, entities)
	if err != nil {
		return err
	}
	state, err := p.Cache.Status(ctx, e, id)
	if err != nil {
		return err
	}
	rows, err := p.Store.Load(ctx, e, []string{id})
	if err != nil {
		return err
	}
	v := viewOf(e, id, state, rows[id], time.Now())
	if unpaired != nil {
		v.Unpaired = unpaired.Error()
	}
	gone := fmt.Errorf("%s %q: %w", e.Name, id, schema.ErrNotFound)
	if !v.Stored && !v.Cached {
		return gone // there is no status, version or field to show
	}
	if a.JSON {
		err = a.PrintJSON(v)
	} else {
		err = a.printRecord(v)
	}
	switch {
	case err != nil:
		return err
	case !v.Stored && v.Deleted:
		return gone
	case unpaired != nil:
		return cli.ErrReported
	}
	return nil
}

func viewOf(e *schema.Entity, id string, s cache.State, row schema.Values, now time.Time) recordView {
	v := recordView{
		Entity: e.Name, ID: id, Status: s.Record.Status, Cached: s.Cached, Deleted: s.Record.Deleted,
		Stored:  row != nil,
		Version: s.Record.Version, Attempts: s.Attempts, Error: s.Refusal,
	}
	if s.Record.TTL > 0 {
		v.TTL = s.Record.TTL.Round(time.Millisecond).String()
	}
	if !s.PendingSince.IsZero() {
		v.Lag = now.Sub(s.PendingSince).Round(time.Millisecond).String()
	}
	if !s.NextAttempt.IsZero() {
		v.NextAttempt = &s.NextAttempt
	}
	for i, f := range e.Fields {
		view := fieldView{Name: f.Name, Cached: at(s.Record.Values, i), Database: at(row, i)}
		view.Differs = s.Cached && view.Cached != view.Database && (view.Cached != "" || s.Record.Deleted)
		if f.Redact {
			view.Cached, view.Database = hidden(view.Cached), hidden(view.Database)
		}
		v.Fields = append(v.Fields, view)
	}
	return v
}

func at(values schema.Values, i int) string {
	if values == nil {
		return ""
	}
	return values[i]
}

// hidden stands for the value of a field that the configuration redacts.
func hidden(text string) string {
	if text == "" || text == schema.Null {
		return text
	}
	return "(redacted)"
}

func (a *app) printRecord(v recordView) error {
	head := [][]string{{"entity", v.Entity}, {"id", v.ID}, {"status", string(v.Status)}}
	add := func(name, value string) {
		if value != "" {
			head = append(head, []string{name, value})
		}
	}
	if v.Version > 0 {
		add("version", v.Version.String())
	}
	add("expires in", v.TTL)
	add("lag", v.Lag)
	if v.Attempts > 0 {
		add("attempts", fmt.Sprint(v.Attempts))
	}
	if v.NextAttempt != nil {
		add("next attempt", cli.Moment(*v.NextAttempt))
	}
	if v.Error != nil {
		add("error", v.Error.Error())
	}
	if err := cli.Table(a.Out, head); err != nil {
		return err
	}
	fmt.Fprintln(a.Out)
	rows := [][]string{{"", "field", "cached", "database"}}
	for _, f := range v.Fields {
		mark := ""
		if f.Differs {
			mark = "*"
		}
		rows = append(rows, []string{mark, f.Name, cli.Shown(f.Cached, v.Cached, v.Deleted),
			cli.Shown(f.Database, v.Stored, false)})
	}
	return cli.Table(a.Out, rows)
}
