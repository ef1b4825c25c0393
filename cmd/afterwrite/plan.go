package main

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/afterwrite/afterwrite/cmd/afterwrite/internal/cli"
	"github.com/afterwrite/afterwrite/internal/plan"
)

func (a *app) planCommand() *cobra.Command {
	l := plan.Load{}
	writes, hot, rates := "", "", ""
	c := &cobra.Command{
		Use:   "plan --writes N/s",
		Short: "Size a deployment: Redis memory, workers, partitions, pools, disk",
		Long: "Computes what a deployment needs from what it is to take. Each line says which number was measured\n" +
			"and which is computed; docs/CAPACITY.md has the formula, and what was measured where. With\n" +
			"--rates it computes with those of your machine, which `afterwrite bench --plan` measures.\n" +
			"It connects to nothing.",
		Example: "  afterwrite plan --writes 5000/s --hot 20% --size 400 --entities 12\n  afterwrite bench --quick --plan rates.json && afterwrite plan --writes 5000/s --rates rates.json",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			var err error
			if l.Writes, err = strconv.ParseFloat(strings.TrimSuffix(writes, "/s"), 64); err != nil {
				return cli.Usagef("--writes %q is not a number a second, such as 5000/s", writes)
			}
			percent, err := strconv.ParseFloat(strings.TrimSuffix(hot, "%"), 64)
			if err != nil {
				return cli.Usagef("--hot %q is not a percentage, such as 20%%", hot)
			}
			l.Hot = percent / 100
			if err := l.Check(); err != nil {
				return cli.Usagef("--%v", err)
			}
			f := plan.Shipped(l.Database)
			if rates != "" {
				if f, err = plan.Read(rates); err != nil {
					return cli.Usagef("--rates: %v", err)
				}
				if c.Flags().Changed("database") && f.Database != l.Database {
					return cli.Usagef("--rates: %s has those of %s, not of %s", rates, f.Database, l.Database)
				}
				l.Database = f.Database
			}
			return a.printPlan(plan.Make(l, f))
		},
	}
	flags := c.Flags()
	flags.StringVar(&writes, "writes", "", "accepted writes, `N/s`")
	flags.StringVar(&hot, "hot", "0%", "share of the writes that meet a record which is pending already")
	flags.IntVar(&l.Size, "size", 200, "bytes of the values of a record together")
	flags.IntVar(&l.Entities, "entities", 1, "entities that share the writes")
	flags.IntVar(&l.Cached, "cached", 100_000, "persisted records that are to stay in Redis")
	flags.DurationVar(&l.Outage, "outage", 10*time.Minute, "outage of the database during which writes are accepted")
	flags.StringVar(&l.Database, "database", "postgres", "sqlite, postgres or mysql")
	flags.StringVar(&rates, "rates", "", "`FILE` that afterwrite bench --plan wrote; the plan is then for its database")
	return a.WithJSON(c)
}

func (a *app) printPlan(lines []plan.Line) error {
	rows := [][]string{{"what", "value", "how"}}
	for _, l := range lines {
		rows = append(rows, []string{l.Name, amountOf(l), l.How})
	}
	return a.PrintTable(lines, rows)
}

// amountOf is the value of a line with its unit, bytes in a unit that people read.
func amountOf(l plan.Line) string {
	if rest, ok := strings.CutPrefix(l.Unit, "bytes"); ok {
		value, unit := l.Value, 0
		for value >= 1024 && unit < 4 {
			value, unit = value/1024, unit+1
		}
		return fmt.Sprintf("%.1f %s%s", value, []string{"B", "KiB", "MiB", "GiB", "TiB"}[unit], rest)
	}
	text := strconv.FormatFloat(math.Round(l.Value*10)/10, 'f', -1, 64)
	return strings.TrimSpace(text + " " + l.Unit)
}
