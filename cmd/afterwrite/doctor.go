package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/afterwrite/afterwrite/cmd/afterwrite/internal/cli"
	"github.com/afterwrite/afterwrite/internal/health"
)

func (a *app) doctorCommand() *cobra.Command {
	return a.WithJSON(&cobra.Command{
		Use:   "doctor",
		Short: "Check Redis, the database, the clocks, the queue and the running processes",
		Long: "Checks Redis, the database, the clocks and the queue, and what the running processes report.\n" +
			"Each line is ok, a warning or a failure, with what to do about it. The judgement is that of the\n" +
			"dashboard and of the alerts. Exits 0 without a failure, 1 with one, and 2 when the configuration\n" +
			"cannot be used; --json tells a warning (\"verdict\": \"warning\") from ok.",
		Example: "  afterwrite doctor",
		Args:    cobra.NoArgs,
		RunE:    a.With(a.doctor),
	})
}

func (a *app) doctor(ctx context.Context, p *cli.Parts, _ []string) error {
	lines, err := p.Doctor(ctx)
	if err != nil {
		return err
	}
	return a.printFindings(append([]health.Line{{Check: "configuration", Detail: fmt.Sprintf("%s, %s", p.Config.File,
		cli.Count(len(p.Config.Entities), "entity", "entities"))}}, lines...))
}

func (a *app) printFindings(findings []health.Line) error {
	worst := health.Fine
	rows := [][]string{}
	for _, f := range findings {
		worst = max(worst, f.Verdict)
		detail := f.Detail
		if f.Hint != "" {
			detail += " → " + f.Hint
		}
		rows = append(rows, []string{f.Verdict.String(), f.Check, detail})
	}
	err := a.PrintTable(map[string]any{"verdict": worst, "findings": findings}, rows)
	if err == nil && worst == health.Failure {
		return cli.ErrReported
	}
	return err
}
