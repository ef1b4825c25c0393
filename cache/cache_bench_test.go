package cache_test

import (
	"context"
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/cache"
	"github.com/afterwrite/afterwrite/cache/pending"
	"github.com/afterwrite/afterwrite/internal/testkit"
	"github.com/afterwrite/afterwrite/internal/testkit/whole"
	"github.com/afterwrite/afterwrite/schema"
)

// benched is a cache on a redis-server of its own, and an entity of six fields.
func benched(b *testing.B, loader cache.Loader) (*cache.Cache, *schema.Entity, *redisTime) {
	b.Helper()
	e := &schema.Entity{
		Name: "bench", Fields: []schema.Field{
			{Name: "name", Type: schema.String, MaxLength: 200}, {Name: "email", Type: schema.String, MaxLength: 320},
			{Name: "age", Type: schema.Int}, {Name: "visits", Type: schema.Int},
			{Name: "active", Type: schema.Bool}, {Name: "note", Type: schema.Text},
		},
		Flush: schema.FlushPolicy{MaxPending: 100_000_000},
	}
	require.NoError(b, e.Init())
	server := testkit.Redis(b)
	c, err := cache.New(cache.Config{URL: server.URL(), Loader: loader, Timeout: time.Minute})
	require.NoError(b, err)
	b.Cleanup(func() { _ = c.Close() })
	require.NoError(b, c.Adopt(b.Context(), e))
	return c, e, &redisTime{b, server.Client(b), 0}
}

// redisTime is the processor time of Redis: it moves less with the machine's other work
// than the time on the wall.
type redisTime struct {
	b      *testing.B
	client *redis.Client
	since  float64
}

func (r *redisTime) now() (seconds float64) {
	info, err := r.client.InfoMap(context.Background(), "cpu").Result()
	require.NoError(r.b, err)
	for _, name := range []string{"used_cpu_sys", "used_cpu_user"} {
		n, err := strconv.ParseFloat(info["CPU"][name], 64)
		require.NoError(r.b, err)
		seconds += n
	}
	return seconds
}

func (r *redisTime) start() { r.since = r.now() }

func (r *redisTime) report(b *testing.B, n int) {
	b.ReportMetric((r.now()-r.since)*1e6/float64(n), "redis-µs/record")
}

func benchValues() schema.Values {
	return schema.Values{`"Ann Example"`, `"ann@example.org"`, "34", "1208", "true", `"prefers letters"`}
}

// puts are n puts of partition 0 whose ids begin at first.
func puts(e *schema.Entity, first, n int) *cache.Group {
	g := &cache.Group{Entity: e, Writes: make([]cache.Write, n)}
	values := benchValues()
	for i := range g.Writes {
		g.Writes[i] = cache.Write{Op: cache.OpPut, ID: strconv.Itoa(first + i), Values: values}
	}
	return g
}

// BenchmarkWrite runs the write script on new records, so many a call.
func BenchmarkWrite(b *testing.B) {
	for _, n := range []int{1, 4, 16, 256} {
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			c, e, redis := benched(b, nil)
			next := 0
			redis.start()
			b.ReportAllocs()
			for b.Loop() {
				g := puts(e, next, n)
				next += n
				c.Write(b.Context(), g)
				if g.Results[0].Err != nil {
					b.Fatal(g.Results[0].Err)
				}
			}
			b.ReportMetric(float64(n*b.N)/b.Elapsed().Seconds(), "writes/s")
			redis.report(b, n*b.N)
		})
	}
}

// BenchmarkGetHit reads a cached record, by one caller and by fifty.
func BenchmarkGetHit(b *testing.B) {
	c, e, redis := benched(b, nil)
	const records = 1000
	for first := range records {
		id := strconv.Itoa(first)
		g := &cache.Group{Entity: e, Partition: e.Partition(id),
			Writes: []cache.Write{{Op: cache.OpPut, ID: id, Values: benchValues()}}}
		c.Write(b.Context(), g)
		require.NoError(b, g.Results[0].Err)
	}
	b.Run("1", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := c.Get(b.Context(), e, "7"); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("50", func(b *testing.B) {
		redis.start()
		defer func() { redis.report(b, b.N) }()
		b.ReportAllocs()
		b.SetParallelism(25) // for each of two CPUs
		b.RunParallel(func(pb *testing.PB) {
			for n := 0; pb.Next(); n++ {
				if _, err := c.Get(b.Context(), e, strconv.Itoa(n%records)); err != nil {
					b.Error(err)
					return
				}
			}
		})
	})
}

// same answers every id with the same row.
type same struct{}

func (same) Load(_ context.Context, _ *schema.Entity, ids []string) (map[string]schema.Values, error) {
	rows := make(map[string]schema.Values, len(ids))
	for _, id := range ids {
		rows[id] = benchValues()
	}
	return rows, nil
}

// BenchmarkFill reads records that are not cached, the database left out.
func BenchmarkFill(b *testing.B) {
	c, e, redis := benched(b, same{})
	n := 0
	redis.start()
	defer func() { redis.report(b, b.N) }()
	b.ReportAllocs()
	for b.Loop() {
		n++
		read, err := c.Get(b.Context(), e, strconv.Itoa(n))
		if err != nil || read.Source != cache.Filled {
			b.Fatal(read.Source, err)
		}
	}
}

// BenchmarkFlush reads a batch of pending records and acks it, the database left out.
func BenchmarkFlush(b *testing.B) {
	for _, n := range []int{1, 100, 500} {
		c, e, redis := benched(b, nil)
		var batch pending.Batch
		var changes []schema.Change
		// step times one script and does the others beside it.
		run := func(timed string) {
			b.Run(fmt.Sprintf("%s/%d", timed, n), func(b *testing.B) {
				b.ReportAllocs()
				spent := 0.0
				step := func(name string, do func() error) {
					if name == timed {
						begun := redis.now()
						defer func() { spent += redis.now() - begun }()
						b.StartTimer()
						defer b.StopTimer()
					}
					if err := do(); err != nil {
						b.Fatal(err)
					}
				}
				b.ResetTimer()
				b.StopTimer()
				for range b.N {
					g := puts(e, 0, n)
					c.Write(b.Context(), g)
					require.NoError(b, g.Results[0].Err)
					step("due", func() (err error) {
						batch, err = whole.Of(c).Due(b.Context(), e, 0, n, 8<<20)
						return err
					})
					changes = changes[:0]
					for _, d := range batch.Due {
						changes = append(changes, d.Change)
					}
					step("ack", func() error {
						acked, err := whole.Of(c).Ack(b.Context(), e, 0, batch, changes)
						if err == nil && acked != n {
							err = fmt.Errorf("%d acked", acked)
						}
						return err
					})
				}
				b.ReportMetric(float64(n*b.N)/b.Elapsed().Seconds(), "records/s")
				b.ReportMetric(spent*1e6/float64(n*b.N), "redis-µs/record")
			})
		}
		run("due")
		run("ack")
	}
}
