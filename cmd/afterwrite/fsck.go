package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/afterwrite/afterwrite/cache/pending"
	"github.com/afterwrite/afterwrite/cmd/afterwrite/internal/cli"
	"github.com/afterwrite/afterwrite/internal/fsck"
)

func (a *app) fsckCommand() *cobra.Command {
	var step int
	c := &cobra.Command{
		Use:   "fsck [ENTITY]",
		Short: "Prove that Redis and the database agree",
		Long: "Checks that every accepted write is accounted for, and holds each cached record against\n" +
			"its row, byte for byte. It may run beside live traffic. Exits 1 with what differs, or if the\n" +
			"database does not belong to this Redis.",
		Example: "  afterwrite fsck user\n  afterwrite fsck --step 16",
		Args:    cobra.MaximumNArgs(1),
		RunE:    func(c *cobra.Command, args []string) error { return a.fsck(c.Context(), args, step) },
	}
	c.Flags().IntVar(&step, "step", fsck.DefaultStep,
		"records that Redis reads at a time; it does nothing else meanwhile, some 10 µs each")
	return a.WithJSON(c)
}

func (a *app) fsck(ctx context.Context, args []string, step int) error {
	if step < 1 || step > fsck.DefaultPage {
		return cli.Usagef("--step is 1 to %d", fsck.DefaultPage)
	}
	c, entities, err := a.Chosen(args)
	if err != nil {
		return err
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
	progress := a.Bar(-1, "comparing")
	report, err := fsck.Run(ctx, p.Cache, p.Pending, p.Store, entities,
		fsck.Options{Step: step, Progress: progress.More, Letters: p.Store})
	progress.Done()
	if err == nil && len(args) == 0 {
		err = addStrangers(ctx, p, &report)
	}
	if err != nil {
		return err
	}
	if a.JSON {
		result := map[string]any{"ok": report.OK() && unpaired == nil, "entities": report.Entities}
		if unpaired != nil {
			result["unpaired"] = unpaired.Error()
		}
		err = a.PrintJSON(result)
	} else {
		err = a.printReport(report, unpaired == nil)
	}
	if err == nil && (!report.OK() || unpaired != nil) {
		return cli.ErrReported
	}
	return err
}

// addStrangers reports what waits of entities that the configuration does not name.
func addStrangers(ctx context.Context, p *cli.Parts, report *fsck.Report) error {
	strangers, err := p.Pending.Strangers(ctx, p.Config.Entities)
	if err != nil {
		return err
	}
	for _, e := range strangers {
		stats, err := p.Pending.Stats(ctx, e)
		if err != nil {
			return err
		}
		report.Entities = append(report.Entities, fsck.Stranger(e.Name, pending.Total(stats)))
	}
	return nil
}

func (a *app) printReport(r fsck.Report, paired bool) error {
	rows := [][]string{{"entity", "accepted", "persisted", "superseded", "pending", "held", "dead", "discarded", "lost",
		"missing", "compared", "waiting", "busy", "different"}}
	for _, e := range r.Entities {
		s := e.Sum
		row := []string{e.Name}
		for _, n := range []int64{s.Accepted, s.Persisted, s.Superseded, s.Pending, s.Held, s.Dead, s.Discarded, s.Lost,
			s.Missing(),
			e.Compared, e.Waiting, e.Busy, int64(e.Different)} {
			row = append(row, fmt.Sprint(n))
		}
		rows = append(rows, row)
	}
	if err := cli.Table(a.Out, rows); err != nil {
		return err
	}
	if r.OK() {
		if !paired {
			return nil
		}
		_, err := fmt.Fprintln(a.Out, "\nRedis and the database agree.")
		return err
	}
	fmt.Fprintln(a.Out)
	return cli.Table(a.Out, differenceRows(r))
}

func differenceRows(r fsck.Report) [][]string {
	rows := [][]string{{"entity", "partition", "id", "reason", "status", "version", "detail"}}
	for _, e := range r.Entities {
		for _, d := range e.Differences {
			detail := []string{}
			if d.Detail != "" {
				detail = append(detail, d.Detail)
			}
			for _, f := range d.Fields {
				detail = append(detail, fmt.Sprintf("%s: cached %s, database %s", f.Name, f.Cached, f.Database))
			}
			rows = append(rows, []string{e.Name, fmt.Sprint(d.Partition), quotedID(d.ID), string(d.Reason),
				string(d.Status),
				d.Version.String(), strings.Join(detail, "; ")})
		}
		if more := e.Different - len(e.Differences); more > 0 {
			rows = append(rows, []string{e.Name, "", "", fmt.Sprintf("and %d more", more)})
		}
	}
	return rows
}

// quotedID shows where an id begins and ends.
func quotedID(id string) string {
	if id == "" {
		return ""
	}
	return fmt.Sprintf("%q", id)
}
