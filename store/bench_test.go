package store_test

import (
	"fmt"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/internal/testkit"
	"github.com/afterwrite/afterwrite/schema"
)

func databases(b *testing.B, fn func(b *testing.B, url string)) {
	b.Run("sqlite", func(b *testing.B) { fn(b, testkit.SQLite(b)) })
	b.Run("mariadb", func(b *testing.B) { fn(b, testkit.MariaDB(b).Database(b)) })
	b.Run("postgres", func(b *testing.B) { fn(b, testkit.Postgres(b).Database(b)) })
}

// BenchmarkFlush flushes batches of new rows with two fields.
func BenchmarkFlush(b *testing.B) {
	databases(b, func(b *testing.B, url string) {
		for _, rows := range []int{1, 100, 500, 1000} {
			b.Run(strconv.Itoa(rows), func(b *testing.B) { benchmarkFlush(b, url, rows, 0) })
		}
	})
}

// BenchmarkFlushRefused is BenchmarkFlush with a tenth of each batch refused for a
// unique value.
func BenchmarkFlushRefused(b *testing.B) {
	databases(b, func(b *testing.B, url string) {
		b.Run("500", func(b *testing.B) { benchmarkFlush(b, url, 500, 10) })
	})
}

// benchmarkFlush reports the rows that are persisted in a second; one in every has a
// value that is taken, none if it is 0.
func benchmarkFlush(b *testing.B, url string, rows, every int) {
	e := entity(b, fmt.Sprintf("bench_%d_%d", rows, every), schema.String,
		schema.Field{Name: "email", Type: schema.String, MaxLength: 320, Unique: true},
		schema.Field{Name: "age", Type: schema.Int})
	s := setup(b, url, []*schema.Entity{e})
	s.flush(e, put("owner", `"taken"`, "1"))
	persisted, n := 0, 0
	b.ReportAllocs()
	for b.Loop() {
		changes := make([]schema.Change, rows)
		for i := range changes {
			n++
			changes[i] = put(strconv.Itoa(n), email(n), "1")
			changes[i].Version = schema.Version(n)
			if every > 0 && i%every == 0 {
				changes[i].Values[0] = `"taken"`
			}
		}
		flushed, err := s.Flush(b.Context(), e, 0, batch(changes...))
		require.NoError(b, err)
		persisted += len(flushed.Persisted)
	}
	b.ReportMetric(float64(persisted)/b.Elapsed().Seconds(), "rows/s")
}
