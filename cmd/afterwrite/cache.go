package main

import (
	"cmp"
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/afterwrite/afterwrite/cache/values"
	"github.com/afterwrite/afterwrite/cmd/afterwrite/internal/cli"
	"github.com/afterwrite/afterwrite/internal/inspect"
)

func (a *app) cacheCommand() *cobra.Command {
	c := &cobra.Command{
		Use:     "cache",
		Short:   "Look into the cache",
		Example: "  afterwrite cache stats\n  afterwrite cache big",
		Args:    cobra.NoArgs,
		RunE:    cli.NeedsSubcommand,
	}
	c.AddCommand(a.cacheStatsCommand(), a.cacheBigCommand())
	return c
}

func (a *app) cacheStatsCommand() *cobra.Command {
	return a.WithJSON(&cobra.Command{
		Use:     "stats",
		Short:   "Show hit rate, memory, evictions, latency and slow commands",
		Long:    "Shows what Redis says of itself: hit rate, memory, evictions, fragmentation, persistence,\nlatency, and the slow commands where the server tells them. The hit rate is of all keys\nsince Redis started; /metrics of each process has it by entity and group.",
		Example: "  afterwrite cache stats --json",
		Args:    cobra.NoArgs,
		RunE:    a.With(a.cacheStats),
	})
}

// cacheFigures is what cache stats shows.
type cacheFigures struct {
	told          bool           // else those of memory and persistence are zero
	Version       string         `json:"version"`
	HitRate       *float64       `json:"hit_rate"` // null before the first read
	Hits          int64          `json:"hits"`
	Misses        int64          `json:"misses"`
	UsedMemory    int64          `json:"used_memory_bytes"`
	MaxMemory     int64          `json:"max_memory_bytes"`
	Fragmentation float64        `json:"fragmentation"`
	Evicted       int64          `json:"evicted_keys"`
	Policy        string         `json:"maxmemory_policy"`
	AOF           bool           `json:"aof"`
	Fsync         string         `json:"appendfsync"`
	Latency       string         `json:"latency"`
	Slow          []inspect.Slow `json:"slow_commands"` // null where the server does not tell
	Warnings      []string       `json:"warnings"`
}

func (a *app) cacheStats(ctx context.Context, p *cli.Parts, _ []string) error {
	h, err := p.Inspect.Check(ctx)
	if err != nil && !inspect.Unsafe(err) {
		return err
	}
	var warnings []string
	for _, w := range h.Warnings {
		warnings = append(warnings, w.String())
	}
	if err != nil {
		warnings = append(warnings, err.Error())
	}
	f := cacheFigures{
		told: h.Told, Version: h.Version, Hits: h.Hits, Misses: h.Misses, UsedMemory: h.UsedMemory,
		MaxMemory:     h.MaxMemory,
		Fragmentation: h.Fragmentation, Evicted: h.Evicted, Policy: h.Policy, AOF: h.AOF, Fsync: h.Fsync,
		Latency: h.Latency.Round(time.Microsecond).String(), Warnings: warnings,
	}
	if rate, ok := h.HitRate(); ok {
		f.HitRate = &rate
	}
	slow, allowed, err := p.Inspect.SlowCommands(ctx, 10)
	if err != nil {
		return err
	}
	if allowed {
		f.Slow = append([]inspect.Slow{}, slow...)
	}
	return a.PrintTable(f, f.rows())
}

func (f cacheFigures) rows() [][]string {
	rate := "–"
	if f.HitRate != nil {
		rate = fmt.Sprintf("%.1f %%", 100**f.HitRate)
	}
	limit := "no limit"
	if f.MaxMemory > 0 {
		limit = mib(f.MaxMemory)
	}
	persistence := "none: a restart loses accepted writes"
	if f.AOF {
		persistence = "append-only file, appendfsync " + orUnknown(f.Fsync)
	}
	rows := [][]string{{"redis", orUnknown(f.Version)}, {"latency", f.Latency}}
	if f.told {
		rows = append(rows, [][]string{
			{"hit rate", rate, fmt.Sprintf("%d hits, %d misses", f.Hits, f.Misses)},
			{"memory", mib(f.UsedMemory), "of " + limit},
			{"fragmentation", fmt.Sprintf("%.2f", f.Fragmentation)},
			{"evicted", cli.Count(f.Evicted, "key", "keys"), orUnknown(f.Policy)},
			{"persistence", persistence},
		}...)
	}
	if f.Slow == nil {
		rows = append(rows, []string{"slow commands", "the server does not tell"})
	}
	for _, s := range f.Slow {
		rows = append(rows, []string{"slow command", s.Took.String(), cli.Moment(s.At) + "  " + s.Command})
	}
	for _, w := range f.Warnings {
		rows = append(rows, []string{"warning", w})
	}
	return rows
}

func (a *app) cacheBigCommand() *cobra.Command {
	var sample, largest int
	c := &cobra.Command{
		Use:     "big",
		Short:   "Show the largest keys and the memory by entity",
		Long:    "Samples the keys with SCAN, a bounded step at a time, and shows the memory by entity and\ngroup of values, and the largest keys.",
		Example: "  afterwrite cache big --sample 100000 --largest 20",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if sample < 1 || largest < 0 || largest > 10_000 {
				return cli.Usagef("--sample is at least 1, --largest from 0 to 10000")
			}
			return a.With(func(ctx context.Context, p *cli.Parts, _ []string) error {
				return a.cacheBig(ctx, p, sample, largest)
			})(c, nil)
		},
	}
	c.Flags().IntVar(&sample, "sample", 100_000, "look at no more than `N` keys")
	c.Flags().IntVar(&largest, "largest", 10, "show the `N` largest keys")
	return a.WithJSON(c)
}

func (a *app) cacheBig(ctx context.Context, p *cli.Parts, sample, largest int) error {
	u, err := p.Inspect.Big(ctx, sample, largest)
	if err != nil {
		return err
	}
	if a.JSON {
		return a.PrintJSON(u)
	}
	rows := [][]string{{"OF", "KEYS", "MEMORY"}}
	for _, s := range u.Groups {
		rows = append(rows, []string{s.Name, strconv.Itoa(s.Keys), mib(s.Bytes)})
	}
	rows = append(rows, []string{}, []string{"LARGEST", "OF", "BYTES", ""})
	for _, b := range u.Largest {
		note := ""
		if b.Bytes > values.DefaultLargeSize {
			note = "larger than recommended"
		}
		rows = append(rows, []string{b.Key, b.Of, strconv.FormatInt(b.Bytes, 10), note})
	}
	if err := cli.Table(a.Out, rows); err != nil {
		return err
	}
	of := fmt.Sprintf("%s sampled; Redis has %d", cli.Count(u.Sampled, "key", "keys"), u.Keys)
	if u.Estimate {
		of += "; the server bars MEMORY USAGE, so sizes are those of the content"
	}
	_, err = fmt.Fprintln(a.Out, of)
	return err
}

func mib(n int64) string { return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20)) }

func orUnknown(s string) string { return cmp.Or(s, "unknown") }
