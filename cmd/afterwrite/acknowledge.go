package main

import (
	"context"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/afterwrite/afterwrite/cmd/afterwrite/internal/cli"
	"github.com/afterwrite/afterwrite/store/ledger"
)

func (a *app) acknowledgeCommand() *cobra.Command {
	reason, yes := "", false
	c := &cobra.Command{
		Use:   "acknowledge [ENTITY]",
		Short: "Acknowledge losses of accepted writes",
		Long: `When Redis loses accepted writes (it was emptied, exchanged or put back to an older copy, or
keys were deleted), or the database loses rows (an older backup of it was restored, or a
standby that lagged took over), the loss is kept in the database, and doctor and the dashboard call it
a failure until an operator acknowledges it. Acknowledging changes no record. It is
written into the audit with the reason.`,
		Example: "  afterwrite acknowledge order --reason 'restored from the payment log, ticket 4711'",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if strings.TrimSpace(reason) == "" {
				return cli.Usagef("--reason is required: it is kept in the audit")
			}
			return a.With(func(ctx context.Context, p *cli.Parts, args []string) error {
				return a.acknowledge(ctx, p, args, reason, yes)
			})(c, args)
		},
	}
	c.Flags().StringVar(&reason, "reason", "", "what was done about it")
	c.Flags().BoolVar(&yes, "yes", false, "do not ask")
	return a.WithJSON(c)
}

func (a *app) acknowledge(ctx context.Context, p *cli.Parts, args []string, reason string, yes bool) error {
	entities, err := cli.Chosen(p.Config, args)
	if err != nil {
		return err
	}
	losses, err := p.Losses(ctx, entities)
	if err != nil {
		return err
	}
	if losses == nil {
		losses = []ledger.Loss{}
	}
	if len(losses) == 0 {
		return a.PrintResult(map[string]any{"acknowledged": 0, "losses": losses}, "no loss to acknowledge\n")
	}
	rows := [][]string{{"at", "entity", "records", "why"}}
	for _, l := range losses {
		records := "unknown"
		if l.Records > 0 {
			records = strconv.FormatInt(l.Records, 10)
		}
		rows = append(rows, []string{cli.Moment(l.At), l.Entity, records, l.Why})
	}
	if err := cli.Table(a.Err, rows); err != nil {
		return err
	}
	if sure, err := a.Confirm(ctx, "acknowledge", len(losses), cli.Count(len(losses), "loss", "losses"), yes); err != nil ||
		!sure {
		return err
	}
	n, err := p.Acknowledge(ctx, losses, reason, a.Actor())
	if err != nil {
		return err
	}
	return a.PrintResult(map[string]any{"acknowledged": n, "losses": losses}, "%s acknowledged\n",
		cli.Count(n, "loss", "losses"))
}
