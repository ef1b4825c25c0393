package values_test

import (
	"context"
	"fmt"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/cache"
	"github.com/afterwrite/afterwrite/cache/values"
	"github.com/afterwrite/afterwrite/internal/testkit"
)

// BenchmarkLoad measures values of 200 bytes on a local Redis, beside go-redis GET.
func BenchmarkLoad(b *testing.B) {
	server := testkit.Redis(b)
	rdb := server.Client(b)
	c, err := cache.New(cache.Config{URL: server.URL(), Log: testkit.Logger(b)})
	require.NoError(b, err)
	b.Cleanup(func() { _ = c.Close() })
	text := strings.Repeat("x", 200)
	load := func(context.Context) (string, error) { return text, nil }
	open := func(p values.Policy) *values.Values[string] {
		v, err := values.New[string](c, p, nil)
		require.NoError(b, err)
		return v
	}
	plain := open(values.Policy{Group: "plain", TTL: time.Hour})
	tagged := open(values.Policy{Group: "tagged", TTL: time.Hour, Tags: []values.Tag{values.NamedTag("x")}})
	inner := open(values.Policy{Group: "inner", TTL: time.Hour, L1: inProcess})
	require.NoError(b, rdb.Set(b.Context(), "plain", text, time.Hour).Err())
	for _, v := range []*values.Values[string]{plain, tagged, inner} {
		for range 3 {
			_, err := v.Load(b.Context(), "k", load)
			require.NoError(b, err)
		}
	}
	var fresh atomic.Int64
	for _, callers := range []int{1, 50, 500} {
		for _, way := range []struct {
			name string
			do   func(context.Context) error
		}{
			{"go-redis GET", func(ctx context.Context) error { return rdb.Get(ctx, "plain").Err() }},
			{"hit", func(ctx context.Context) error { _, err := plain.Load(ctx, "k", load); return err }},
			{"tagged hit", func(ctx context.Context) error { _, err := tagged.Load(ctx, "k", load); return err }},
			{"L1 hit", func(ctx context.Context) error { _, err := inner.Load(ctx, "k", load); return err }},
			{"miss", func(ctx context.Context) error {
				_, err := plain.Load(ctx, strconv.FormatInt(fresh.Add(1), 10), load)
				return err
			}},
		} {
			b.Run(fmt.Sprintf("%s/%d callers", way.name, callers), func(b *testing.B) {
				if callers == 1 {
					for b.Loop() {
						if err := way.do(b.Context()); err != nil {
							b.Fatal(err)
						}
					}
					b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "op/s")
					return
				}
				b.SetParallelism(max(callers/runtime.GOMAXPROCS(0), 1))
				b.RunParallel(func(pb *testing.PB) {
					for pb.Next() {
						if err := way.do(b.Context()); err != nil {
							b.Error(err)
						}
					}
				})
				b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "op/s")
			})
		}
	}
}
