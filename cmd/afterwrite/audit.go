package main

import (
	"cmp"
	"context"
	"encoding/json"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/afterwrite/afterwrite/cmd/afterwrite/internal/cli"
	"github.com/afterwrite/afterwrite/internal/operate/web"
	"github.com/afterwrite/afterwrite/schema"
	"github.com/afterwrite/afterwrite/store/ledger"
)

func (a *app) auditCommand() *cobra.Command {
	var q ledger.AuditQuery
	c := &cobra.Command{
		Use:   "audit [ENTITY]",
		Short: "List what operators did",
		Long: "Lists what operators did by command, API and dashboard, and what the processes noted of a\n" +
			"Redis that lost its state, the newest first. --after goes on where a page ended.",
		Example: "  afterwrite audit\n  afterwrite audit user --limit 20\n  afterwrite audit --after 1200 --json",
		Args:    cobra.MaximumNArgs(1),
		RunE:    func(c *cobra.Command, args []string) error { return a.audit(c.Context(), args, q) },
	}
	c.Flags().IntVar(&q.Limit, "limit", 50, "entries at most, up to 1000")
	c.Flags().Int64Var(&q.Before, "after", 0, "go on after the entry of this `NUMBER`")
	c.Flags().StringVar(&q.ID, "id", "", "only of the record with this `ID`")
	return a.WithJSON(c)
}

func (a *app) audit(ctx context.Context, args []string, q ledger.AuditQuery) error {
	if q.Limit < 1 || q.Limit > 1000 {
		return cli.Usagef("--limit is 1 to 1000")
	}
	p, err := a.Joined()
	if err != nil {
		return err
	}
	defer p.Close()
	if len(args) == 1 {
		q.Entity = args[0] // it may be one that the configuration no longer has
	}
	entries, err := p.Store.AuditLog(ctx, q)
	if err != nil {
		return err
	}
	views := []web.AuditEntry{}
	rows := [][]string{{"number", "at", "actor", "origin", "action", "entity", "id", "detail"}}
	for _, e := range entries {
		entity, ok := p.Config.Entity(e.Entity)
		if !ok {
			entity = &schema.Entity{Name: e.Entity}
		}
		views = append(views, web.AuditEntryOf(e, entity, web.Form{}))
		detail, err := json.Marshal(e.Detail)
		if err != nil {
			return err
		}
		rows = append(rows, []string{strconv.FormatInt(e.Number, 10), cli.Moment(e.At), e.Actor.Name, e.Actor.Origin,
			e.Action, cmp.Or(e.Entity, "–"), cmp.Or(e.ID, "–"), string(detail)})
	}
	return a.PrintTable(views, rows)
}
