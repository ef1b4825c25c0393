package cache_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/cache"
	"github.com/afterwrite/afterwrite/internal/testkit"
	"github.com/afterwrite/afterwrite/internal/testkit/whole"
	"github.com/afterwrite/afterwrite/schema"
)

func TestARedisThatHangsCostsOneTimeout(t *testing.T) {
	t.Parallel()
	const timeout = 300 * time.Millisecond
	server, registry, passed := testkit.Redis(t), prometheus.NewRegistry(), &testkit.Passing{}
	rows := &whole.Table{Rows: map[string]schema.Values{"a": {`"Ann"`}}}
	c, err := cache.New(cache.Config{URL: server.URL(), Loader: rows, Timeout: timeout, Log: testkit.Logger(t),
		Registerer: registry, Hooks: []redis.Hook{passed}})
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Close() })
	e := &schema.Entity{Name: "user", Fields: []schema.Field{{Name: "name", Type: schema.String}}}
	require.NoError(t, e.Init())
	_, err = c.Get(t.Context(), e, "a")
	require.NoError(t, err)

	server.Pause()
	passed.All.Store(0)
	start := time.Now()
	for range 200 {
		read, err := c.Get(t.Context(), e, "a")
		require.NoError(t, err)
		assert.Equal(t, cache.Bypass, read.Source)
	}
	// A probe takes twice the timeout. However slow the machine is, one comes in that time at most.
	assert.LessOrEqual(t, passed.All.Load(), 1+int64(time.Since(start)/(2*timeout)), "of 200 reads, those that waited")
	assert.Equal(t, 2.0, breakerState(t, registry), "open")
	server.Resume()
	testkit.Eventually(t, "reads are back", func() bool {
		read, err := c.Get(t.Context(), e, "a")
		return err == nil && read.Source == cache.Hit
	})
	assert.Equal(t, 0.0, breakerState(t, registry), "closed")
}

// TestARedisThatHangsIsProbedByOne: once the breaker is open, one command at a time finds out
// whether Redis answers, on however many new connections; every other read degrades at once.
func TestARedisThatHangsIsProbedByOne(t *testing.T) {
	t.Parallel()
	server, registry, passed := testkit.Redis(t), prometheus.NewRegistry(), &testkit.Passing{}
	rows := &whole.Table{Rows: map[string]schema.Values{}}
	c, err := cache.New(cache.Config{URL: server.URL(), Loader: rows, Timeout: 200 * time.Millisecond,
		Log:        testkit.Logger(t),
		Registerer: registry, Hooks: []redis.Hook{passed}})
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Close() })
	e := &schema.Entity{Name: "user", Fields: []schema.Field{{Name: "name", Type: schema.String}}}
	require.NoError(t, e.Init())
	server.Pause()
	defer server.Resume()
	_, _ = c.Get(t.Context(), e, "first")
	require.Equal(t, 2.0, breakerState(t, registry), "open")
	passed.All.Store(0)
	passed.Most.Store(0)
	ctx, cancel := context.WithCancel(t.Context())
	var callers sync.WaitGroup
	for i := range 20 {
		callers.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				_, _ = c.Get(ctx, e, fmt.Sprintf("%d-%d", i, n))
				_ = sleepFor(ctx, time.Millisecond)
			}
		})
	}
	testkit.Eventually(t, "Redis was probed", func() bool { return passed.All.Load() >= 3 })
	cancel()
	callers.Wait()
	assert.EqualValues(t, 1, passed.Most.Load(), "probes at a time")
}

func sleepFor(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

func breakerState(t *testing.T, registry *prometheus.Registry) float64 {
	t.Helper()
	families, err := registry.Gather()
	require.NoError(t, err)
	for _, f := range families {
		if f.GetName() == "afterwrite_redis_breaker_state" {
			return f.GetMetric()[0].GetGauge().GetValue()
		}
	}
	t.Fatal("the breaker has no metric")
	return 0
}

// sick is a cluster of which one node hangs, with two records, one on that node.
func sick(t *testing.T, timeout time.Duration) (c *cache.Cache, e *schema.Entity, ill, well string,
	server *testkit.RedisServer) {
	t.Helper()
	cluster := testkit.RedisCluster(t)
	for _, node := range cluster.Masters {
		require.NoError(t, node.Client(t).ConfigSet(t.Context(), "cluster-require-full-coverage", "no").Err())
	}
	e = &schema.Entity{Name: "user", Partitions: 64, Fields: []schema.Field{{Name: "name", Type: schema.String}}}
	require.NoError(t, e.Init())
	rows := &whole.Table{Rows: map[string]schema.Values{}}
	for i := range 50 {
		rows.Rows[fmt.Sprint(i)] = schema.Values{`"Ann"`}
	}
	c, err := cache.New(cache.Config{URL: cluster.URL(), Loader: rows, Timeout: timeout, Log: testkit.Logger(t)})
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Close() })
	owner := func(id string) *testkit.RedisServer {
		return cluster.Owner(fmt.Sprintf("aw:{user/%d}:stats", e.Partition(id)))
	}
	server = owner("0")
	ill = "0"
	for i := range 50 {
		if id := fmt.Sprint(i); owner(id) != server {
			well = id
		}
		_, err := c.Get(t.Context(), e, fmt.Sprint(i))
		require.NoError(t, err)
	}
	server.Pause()
	t.Cleanup(server.Resume)
	return c, e, ill, well, server
}

// A node of a cluster that hangs costs the others nothing: their records are read from them, always, while reads of
// its own degrade after one timeout.
func TestASickNodeIsLeftAlone(t *testing.T) {
	t.Parallel()
	c, e, ill, well, _ := sick(t, 300*time.Millisecond)
	ctx, stop := context.WithCancel(t.Context())
	var callers sync.WaitGroup
	var bypassed atomic.Int64
	for range 20 {
		callers.Go(func() {
			for ctx.Err() == nil {
				if read, err := c.Get(ctx, e, ill); err == nil && read.Source == cache.Bypass {
					bypassed.Add(1)
				}
				_ = sleepFor(ctx, time.Millisecond)
			}
		})
	}
	testkit.Eventually(t, "reads of the sick node degrade, while the others' are hits", func() bool {
		read, err := c.Get(t.Context(), e, well)
		require.NoError(t, err)
		require.Equal(t, cache.Hit, read.Source)
		return bypassed.Load() > 1000
	})
	stop()
	callers.Wait()
}

// What waits for a node that hangs does not keep calls to the others.
func TestTripsAreByNode(t *testing.T) {
	t.Parallel()
	c, e, ill, well, server := sick(t, 20*time.Second)
	require.NotEqual(t, c.Node(t.Context(), e, e.Partition(ill)), c.Node(t.Context(), e, e.Partition(well)))
	var waiting sync.WaitGroup
	var back atomic.Int64
	for range 10 {
		waiting.Go(func() {
			_, _ = c.Get(t.Context(), e, ill)
			back.Add(1)
		})
	}
	for range 200 {
		read, err := c.Get(t.Context(), e, well)
		require.NoError(t, err)
		require.Equal(t, cache.Hit, read.Source)
	}
	require.Zero(t, back.Load(), "they wait still")
	server.Resume()
	waiting.Wait()
}
