package main

import (
	"strings"

	"github.com/spf13/cobra"

	"github.com/afterwrite/afterwrite/internal/process"
)

func (a *app) metricsCommand() *cobra.Command {
	return a.WithJSON(&cobra.Command{
		Use:   "metrics",
		Short: "Print the metrics that processes export, with their meaning",
		Long: "Prints the reference of the metrics: name, type, labels, which processes export it, and what it\n" +
			"means. It reads no configuration and connects to nothing. docs/METRICS.md is the same as a page.",
		Example: "  afterwrite metrics\n  afterwrite metrics --json | jq -r '.[].name'",
		Args:    cobra.NoArgs,
		RunE:    func(*cobra.Command, []string) error { return a.metrics() },
	})
}

func (a *app) metrics() error {
	all, err := process.Metrics()
	if err != nil {
		return err
	}
	rows := [][]string{{"name", "type", "labels", "in", "meaning"}}
	for _, m := range all {
		rows = append(rows, []string{m.Name, m.Type, strings.Join(m.Labels, " "), strings.Join(m.In, " "), m.Help})
	}
	return a.PrintTable(all, rows)
}
