package store_test

import (
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/schema"
	"github.com/afterwrite/afterwrite/store"
)

// BenchmarkWatch flushes batches of 500 rows, new and there, to a table that is not watched and
// to one that is; and has another program write as many rows by one statement.
func BenchmarkWatch(b *testing.B) {
	const batchSize, batches = 500, 20
	databases(b, func(b *testing.B, url string) {
		for _, name := range []string{"plain", "watched"} {
			e := entity(b, name, schema.Int,
				schema.Field{Name: "email", Type: schema.String, MaxLength: 320},
				schema.Field{Name: "age", Type: schema.Int})
			s := setup(b, url, []*schema.Entity{e})
			if name == "watched" {
				_, err := s.Migrate(b.Context(), false, store.Watching{Watch: []string{name}})
				require.NoError(b, err)
			}
			next := 0
			flush := func(from int) {
				changes := make([]schema.Change, batchSize)
				for i := range changes {
					next++
					changes[i] = schema.Change{ID: strconv.Itoa(from + i), Version: schema.Version(next),
						Values: schema.Values{email(next), "1"}}
				}
				flushed, err := s.Flush(b.Context(), e, 0, batch(changes...))
				require.NoError(b, err)
				require.Len(b, flushed.Persisted, batchSize)
			}
			other := s.connect()
			defer other.Close()
			for what, write := range map[string]func(n int){
				"new":   func(n int) { flush(1 + n*batchSize) },
				"there": func(int) { flush(1) },
				"other": func(n int) {
					_, err := other.ExecContext(b.Context(), "UPDATE "+e.Table+" SET age = age + 1 WHERE id <= "+
						strconv.Itoa(batchSize))
					require.NoError(b, err)
				},
			} {
				b.Run(name+"/"+what, func(b *testing.B) {
					flush(1)
					n := 0
					for b.Loop() {
						for range batches {
							n++
							write(n + next)
						}
					}
					b.ReportMetric(float64(n*batchSize)/b.Elapsed().Seconds(), "rows/s")
				})
			}
		}
	})
}
