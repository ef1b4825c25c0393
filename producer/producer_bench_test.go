package producer

import (
	"context"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/cache"
	"github.com/afterwrite/afterwrite/schema"
)

// instant accepts every put at once, so that a benchmark sees the producer alone.
type instant struct{ Writer }

func (instant) Write(_ context.Context, groups ...*cache.Group) {
	for _, g := range groups {
		g.Results = make([]cache.Written, len(g.Writes))
	}
}

// Node is that of a Redis of one node.
func (instant) Node(context.Context, *schema.Entity, int) string { return "" }

func benched(b *testing.B) *Producer {
	b.Helper()
	e := &schema.Entity{Name: "bench", Fields: []schema.Field{
		{Name: "name", Type: schema.String, MaxLength: 200}, {Name: "email", Type: schema.String, MaxLength: 320},
		{Name: "age", Type: schema.Int}, {Name: "visits", Type: schema.Int},
		{Name: "active", Type: schema.Bool}, {Name: "note", Type: schema.Text},
	}}
	require.NoError(b, e.Init())
	p, err := New(Config{Entities: []*schema.Entity{e}, Cache: instant{}, Loader: struct{ Loader }{}})
	require.NoError(b, err)
	b.Cleanup(func() { _ = p.Close() })
	return p
}

var benchFields = schema.Fields{
	"name": "Ann Example", "email": "ann@example.org", "age": int64(34), "visits": int64(1208),
	"active": true, "note": "prefers letters",
}

// BenchmarkPutAlone is the cost of a put within the process, by one caller and gathered.
func BenchmarkPutAlone(b *testing.B) {
	p := benched(b)
	b.Run("1", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := p.Put(b.Context(), "bench", "u1", benchFields); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("50", func(b *testing.B) {
		b.ReportAllocs()
		b.SetParallelism(25) // for each of two CPUs
		b.RunParallel(func(pb *testing.PB) {
			for n := 0; pb.Next(); n++ {
				if _, err := p.Put(b.Context(), "bench", strconv.Itoa(n), benchFields); err != nil {
					b.Error(err)
					return
				}
			}
		})
	})
}

// BenchmarkDoAllAlone is the cost of a batch of 500 puts within the process.
func BenchmarkDoAllAlone(b *testing.B) {
	p := benched(b)
	requests := make([]Request, 500)
	for i := range requests {
		requests[i] = Request{Op: cache.OpPut, Entity: "bench", ID: strconv.Itoa(i), Fields: benchFields}
	}
	b.ReportAllocs()
	for b.Loop() {
		for _, result := range p.DoAll(b.Context(), requests) {
			if result.Err != nil {
				b.Fatal(result.Err)
			}
		}
	}
	b.ReportMetric(float64(len(requests)*b.N)/b.Elapsed().Seconds(), "writes/s")
}
