package worker

import (
	"fmt"
	"testing"

	"github.com/afterwrite/afterwrite/cache"

	"github.com/afterwrite/afterwrite"
	"github.com/afterwrite/afterwrite/internal/testkit"
)

// BenchmarkFlush takes pending records to the database, one task at a time; the
// figure to read is records/s.
func BenchmarkFlush(b *testing.B) {
	for name, url := range map[string]func() string{
		"sqlite":   func() string { return testkit.SQLite(b) },
		"postgres": func() string { return testkit.Postgres(b).Database(b) },
	} {
		b.Run(name, func(b *testing.B) {
			const records = 20_000
			bench := setup(b, url())
			bench.e.Partitions = 16
			w := bench.worker()
			for b.Loop() {
				b.StopTimer()
				bench.fill(records)
				b.StartTimer()
				bench.flush(w)
			}
			b.ReportMetric(records*float64(b.N)/b.Elapsed().Seconds(), "records/s")
			bench.quiet(0)
		})
	}
}

// fill accepts that many writes, many a round trip.
func (b *bench) fill(records int) {
	groups := make([]*cache.Group, b.e.Partitions)
	for p := range groups {
		groups[p] = &cache.Group{Entity: b.e, Partition: p}
	}
	for i := range records {
		name := fmt.Sprint("u", i)
		values, err := b.e.Whole(afterwrite.Fields{"name": name, "email": name + "@x"})
		if err != nil {
			b.t.Fatal(err)
		}
		g := groups[b.e.Partition(name)]
		g.Writes = append(g.Writes, cache.Write{Op: cache.OpPut, ID: name, Values: values})
		if len(g.Writes) == 200 || i == records-1 {
			b.accept(g)
		}
	}
	for _, g := range groups {
		b.accept(g)
	}
}

func (b *bench) accept(g *cache.Group) {
	if len(g.Writes) == 0 {
		return
	}
	b.cache.Write(b.t.Context(), g)
	for _, r := range g.Results {
		if r.Err != nil {
			b.t.Fatal(r.Err)
		}
	}
	if !g.Order.None() {
		_ = b.orders.Enqueue(b.t.Context(), g.Order)
	}
	g.Writes, g.Results, g.Order = nil, nil, cache.Order{}
}
