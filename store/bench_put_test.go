package store_test

import (
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/schema"
)

// BenchmarkPut flushes batches of 500 records over 100,000 rows of six columns: whole ones
// that are new or there, and patches of one field, on a plain table and on one that is not.
func BenchmarkPut(b *testing.B) {
	const rows, batchSize = 100_000, 500
	databases(b, func(b *testing.B, url string) {
		for _, table := range []string{"plain", "serial"} {
			e := entity(b, table, schema.String,
				schema.Field{Name: "name", Type: schema.String}, schema.Field{Name: "email", Type: schema.String},
				schema.Field{Name: "age", Type: schema.Int}, schema.Field{Name: "score", Type: schema.Float},
				schema.Field{Name: "seen", Type: schema.Time})
			s := setup(b, url, []*schema.Entity{e})
			if table == "serial" {
				s.exec("ALTER TABLE serials ADD COLUMN made text NOT NULL DEFAULT (lower('A'))")
			}
			values := func(n int) schema.Values {
				return schema.Values{strconv.Quote("name " + strconv.Itoa(n)), email(n), strconv.Itoa(n % 90), "1.5",
					`"2026-01-31T10:00:00Z"`}
			}
			next := 0
			flush := func(id func() int, only []int) {
				changes := make([]schema.Change, batchSize)
				seen := map[int]bool{}
				for i := range changes {
					n := id()
					for seen[n] {
						n++
					}
					seen[n] = true
					next++
					changes[i] = schema.Change{ID: strconv.Itoa(n), Version: schema.Version(next), Values: values(next),
						Only: only}
				}
				flushed, err := s.Flush(b.Context(), e, 0, batch(changes...))
				require.NoError(b, err)
				require.Len(b, flushed.Persisted, batchSize)
			}
			made := 0
			fresh := func() int { made++; return made }
			for made < rows {
				flush(fresh, nil)
			}
			if s.Dialect() == "postgres" {
				s.exec("ANALYZE")
			}
			there := func() int { return 1 + (next*7919)%(rows-batchSize) }
			for name, fn := range map[string]func(){
				"new":   func() { flush(fresh, nil) },
				"there": func() { flush(there, nil) },
				"patch": func() { flush(there, []int{2}) },
			} {
				b.Run(table+"/"+name, func(b *testing.B) {
					for b.Loop() {
						fn()
					}
					b.ReportMetric(float64(b.N*batchSize)/b.Elapsed().Seconds(), "rows/s")
				})
			}
		}
	})
}
