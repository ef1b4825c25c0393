package main

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/afterwrite/afterwrite/cache/pending"
	"github.com/afterwrite/afterwrite/cmd/afterwrite/internal/cli"
	"github.com/afterwrite/afterwrite/internal/fleet"
	"github.com/afterwrite/afterwrite/internal/operate/web"
)

// deploymentStatus is the counts of every entity and the processes that are alive.
type deploymentStatus struct {
	Entities  []web.Stats     `json:"entities"`
	Processes []fleet.Process `json:"processes"`
	Unpaired  string          `json:"unpaired,omitempty"` // why Redis and the database do not belong together
}

func (a *app) statusCommand() *cobra.Command {
	return a.WithJSON(&cobra.Command{
		Use:   "status [ENTITY]",
		Short: "Show what is pending, held and dead, the lag, and the live processes",
		Long: "Shows for each entity how many records are pending, awaiting retry and dead, the lag (the\n" +
			"age of the oldest pending write) and whether flushing is paused, and which processes are\n" +
			"alive. It reads counters, never the records, and needs Redis alone. If the database\n" +
			"responds and does not belong to this Redis, it says so and exits 1. `afterwrite doctor`\n" +
			"judges the same and says what to do.",
		Example: "  afterwrite status\n  afterwrite status user --json",
		Args:    cobra.MaximumNArgs(1),
		RunE:    a.With(a.status),
	})
}

func (a *app) status(ctx context.Context, p *cli.Parts, args []string) error {
	entities, err := cli.Chosen(p.Config, args)
	if err != nil {
		return err
	}
	s := deploymentStatus{Entities: []web.Stats{}}
	rows := [][]string{{"entity", "pending", "awaiting retry", "dead", "lag", "flushing"}}
	for _, e := range entities {
		partitions, err := p.Pending.Stats(ctx, e)
		if err != nil {
			return err
		}
		total := pending.Total(partitions)
		paused := 0
		for _, one := range partitions {
			if one.Paused {
				paused++
			}
		}
		flushing := "on"
		if paused > 0 {
			flushing = fmt.Sprintf("paused in %d of %s", paused, cli.Count(len(partitions), "partition", "partitions"))
		}
		s.Entities = append(s.Entities, web.StatsOf(e, total))
		rows = append(rows, []string{e.Name, strconv.FormatInt(total.Pending, 10), strconv.FormatInt(total.Held, 10),
			strconv.FormatInt(total.Dead, 10), age(total.OldestPending), flushing})
	}
	if s.Processes, err = p.Fleet.Alive(ctx); err != nil {
		return err
	}
	unpaired := a.Unpaired(ctx, p)
	if unpaired != nil {
		s.Unpaired = unpaired.Error()
	}
	if err := a.printStatus(s, rows); err != nil || unpaired == nil {
		return err
	}
	return cli.ErrReported
}

func (a *app) printStatus(s deploymentStatus, rows [][]string) error {
	if a.JSON {
		return a.PrintJSON(s)
	}
	if err := cli.Table(a.Out, rows); err != nil {
		return err
	}
	fmt.Fprintln(a.Out)
	if len(s.Processes) == 0 {
		_, err := fmt.Fprintln(a.Out,
			"no process is alive: start one with `afterwrite worker` and one with `afterwrite api`")
		return err
	}
	rows = [][]string{{"process", "id"}}
	for _, one := range s.Processes {
		if one.Unread {
			one.ID += " (of another build)"
		}
		rows = append(rows, []string{one.Kind, one.ID})
	}
	return cli.Table(a.Out, rows)
}

// age prints how long ago a time was, "–" for none.
func age(t time.Time) string {
	if t.IsZero() {
		return "–"
	}
	return max(0, time.Since(t)).Round(time.Millisecond).String()
}
