package worker

import (
	"log/slog"
	"testing"
	"time"

	"github.com/afterwrite/afterwrite/cache"
	"github.com/afterwrite/afterwrite/internal/testkit"
	"github.com/afterwrite/afterwrite/schema"
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
				bench.accepted(records, 0)
				b.StartTimer()
				bench.flush(w)
			}
			b.ReportMetric(records*float64(b.N)/b.Elapsed().Seconds(), "records/s")
			bench.quiet(0)
		})
	}
}

// BenchmarkRefused flushes records of which every tenth is refused by a unique index,
// beside a run in which none is. The figure to read is ratio: the good records persisted
// a second with refusals, to those without; both are means of runs that take turns.
func BenchmarkRefused(b *testing.B) {
	for name, url := range map[string]func() string{
		"sqlite":   func() string { return testkit.SQLite(b) },
		"postgres": func() string { return testkit.Postgres(b).Database(b) },
	} {
		b.Run(name, func(b *testing.B) {
			const good, bad = 20_000, 2_222
			e := testkit.Entity(b, "user")
			e.Retry.Base, e.Retry.Cap = time.Hour, time.Hour // refused once is enough
			var took [2]time.Duration
			for b.Loop() {
				for i, refused := range []int{0, bad} {
					took[i] += timeFlush(b, url(), e, good, refused)
				}
			}
			clean := good * float64(b.N) / took[0].Seconds()
			mixed := good * float64(b.N) / took[1].Seconds()
			b.ReportMetric(clean, "clean/s")
			b.ReportMetric(mixed, "refused/s")
			b.ReportMetric(mixed/clean, "ratio")
		})
	}
}

// timeFlush takes new good and bad records to an empty database and measures that.
func timeFlush(b *testing.B, url string, e *schema.Entity, good, bad int) time.Duration {
	bench := setupFor(b, url, testkit.SharedRedis(b).URL(), e)
	w := bench.strict(func(c *Config) { c.Log = slog.New(slog.DiscardHandler) })
	bench.mail("owner", "x", "taken@x")
	bench.flush(w)
	bench.accepted(good, bad)
	begun := time.Now()
	bench.flush(w)
	took := time.Since(begun)
	bench.quiet(int64(bad))
	return took
}

// accept sends a group, and empties it.
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
	g.Writes, g.Results, g.Order = nil, nil, schema.Order{}
}
