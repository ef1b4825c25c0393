package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/afterwrite/afterwrite/cache/pending"
	"github.com/afterwrite/afterwrite/cmd/afterwrite/internal/cli"
	"github.com/afterwrite/afterwrite/internal/fleet"
	"github.com/afterwrite/afterwrite/internal/problem"
	"github.com/afterwrite/afterwrite/internal/process"
	"github.com/afterwrite/afterwrite/schema"
)

// Bounds of waiting for a flush.
const (
	flushNamed = 20 // ids named of each list
)

func (a *app) flushCommand() *cobra.Command {
	var timeout time.Duration
	c := &cobra.Command{
		Use:   "flush [ENTITY]",
		Short: "Wait until nothing is pending",
		Long: "Waits until nothing is pending, of one entity or of all. Held and dead records are not\n" +
			"waited for, but named. Exits 1 when something is still pending at the end.",
		Example: "  afterwrite flush user --timeout 1m",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if timeout < 0 {
				return cli.Usagef("--timeout is %s: less than nothing", timeout)
			}
			return a.flush(c.Context(), args, timeout)
		},
	}
	c.Flags().DurationVar(&timeout, "timeout", 5*time.Minute, "longest wait; 0 for ever")
	return a.WithJSON(c)
}

// leftover is what one entity still has that the database does not.
type leftover struct {
	Entity  string `json:"entity"`
	Pending int64  `json:"pending"`
	Held    int64  `json:"held"`
	Dead    int64  `json:"dead"`
	IDs     struct {
		Pending []string `json:"pending,omitempty"`
		Held    []string `json:"held,omitempty"`
		Dead    []string `json:"dead,omitempty"`
	} `json:"ids"` // the first of each
}

func (a *app) flush(ctx context.Context, args []string, timeout time.Duration) error {
	c, entities, err := a.Chosen(args)
	if err != nil {
		return err
	}
	p, err := a.Join(c)
	if err != nil {
		return err
	}
	defer p.Close()
	// While the database is down what waits for it is counted in Redis all the same.
	if down := reach(ctx, p); down != nil {
		fmt.Fprintf(a.Err, "The database is not responding, so nothing is flushed: %v\n", down)
	} else if err := p.SamePartitions(ctx, entities); err != nil {
		return err
	}
	unpaired := a.Unpaired(ctx, p)
	began := time.Now()
	if unpaired == nil { // else nothing is flushed that could be waited for
		if err := a.AwaitFlush(ctx, p, entities, timeout); err != nil {
			return err
		}
	}
	if len(args) == 0 { // what no worker of this configuration flushes is named, not waited for
		strangers, err := p.Pending.Strangers(ctx, entities)
		if err != nil {
			return err
		}
		a.hintStrangers(strangers)
		entities = slices.Concat(entities, strangers)
	}
	left, err := leftovers(ctx, p, entities)
	if err != nil {
		return err
	}
	if err := a.printLeft(left, time.Since(began), unpaired); err != nil {
		return err
	}
	if unpaired != nil {
		return cli.ErrReported
	}
	if pends(left) {
		a.hintWorkers(ctx, p)
		return cli.ErrReported
	}
	return nil
}

// reach returns why the database does not respond, nil if it does.
func reach(ctx context.Context, p *cli.Parts) error {
	ctx, cancel := context.WithTimeout(ctx, process.StartTimeout)
	defer cancel()
	return p.Store.Ping(ctx)
}

func pends(left []leftover) bool {
	return slices.ContainsFunc(left, func(l leftover) bool { return l.Pending > 0 })
}

// leftovers returns the entities that have something left.
func leftovers(ctx context.Context, p *cli.Parts, entities []*schema.Entity) ([]leftover, error) {
	left := []leftover{}
	for _, e := range entities {
		stats, err := p.Pending.Stats(ctx, e)
		if err != nil {
			return nil, err
		}
		t := pending.Total(stats)
		if t.Pending+t.Held+t.Dead == 0 {
			continue
		}
		l := leftover{Entity: e.Name, Pending: t.Pending, Held: t.Held, Dead: t.Dead}
		for status, ids := range map[schema.Status]*[]string{
			schema.Pending: &l.IDs.Pending, schema.Held: &l.IDs.Held, schema.Dead: &l.IDs.Dead,
		} {
			if *ids, err = firstIDs(ctx, p, e, status); err != nil {
				return nil, err
			}
		}
		left = append(left, l)
	}
	return left, nil
}

func firstIDs(ctx context.Context, p *cli.Parts, e *schema.Entity, status schema.Status) ([]string, error) {
	var ids []string
	for partition := range e.Partitions {
		page, err := p.Pending.List(ctx, e, partition, status, 0, flushNamed-len(ids))
		if err != nil {
			return nil, err
		}
		for _, l := range page {
			ids = append(ids, l.ID)
		}
		if len(ids) >= flushNamed {
			break
		}
	}
	return ids, nil
}

func (a *app) printLeft(left []leftover, took time.Duration, unpaired error) error {
	if a.JSON {
		shown := map[string]any{"flushed": unpaired == nil && !pends(left), "seconds": took.Seconds(), "left": left}
		if unpaired != nil {
			shown["unpaired"] = unpaired.Error()
		}
		return a.PrintJSON(shown)
	}
	if len(left) == 0 && unpaired != nil {
		return nil // what waits is in another Redis
	}
	if len(left) == 0 {
		_, err := fmt.Fprintf(a.Out, "everything is in the database, after %s\n", took.Round(time.Millisecond))
		return err
	}
	rows := [][]string{{"entity", "status", "records", "first ids"}}
	for _, l := range left {
		for _, s := range []struct {
			status schema.Status
			n      int64
			ids    []string
		}{{schema.Pending, l.Pending, l.IDs.Pending}, {schema.Held, l.Held, l.IDs.Held},
			{schema.Dead, l.Dead, l.IDs.Dead}} {
			if s.n > 0 {
				rows = append(rows, []string{l.Entity, string(s.status), fmt.Sprint(s.n), fmt.Sprintf("%q", s.ids)})
			}
		}
	}
	return cli.Table(a.Out, rows)
}

// hintStrangers says why records of an entity stay where they are.
func (a *app) hintStrangers(strangers []*schema.Entity) {
	for _, e := range strangers {
		fmt.Fprintf(a.Err,
			"The configuration does not name the entity %s, so its records are not flushed: run a worker that knows it.\n", e.Name)
	}
}

// hintWorkers says what is most often the matter when records stay pending.
func (a *app) hintWorkers(ctx context.Context, p *cli.Parts) {
	alive, err := p.Fleet.Alive(ctx)
	if err != nil {
		return
	}
	for entity, trouble := range fleet.Troubles(alive) {
		fmt.Fprintf(a.Err, "%s: the table %s takes no record: %s. %s.\n", entity, trouble.Table, trouble.Error,
			problem.TableHint)
	}
	for _, one := range alive {
		if one.Kind == "worker" {
			return
		}
	}
	fmt.Fprintln(a.Err, "No worker is alive: start one with `afterwrite worker`.")
}
