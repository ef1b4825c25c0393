package cache_test

import (
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/cache"
	"github.com/afterwrite/afterwrite/internal/testkit"
	"github.com/afterwrite/afterwrite/schema"
)

func TestARedisThatHangsCostsOneTimeout(t *testing.T) {
	t.Parallel()
	const timeout = 300 * time.Millisecond
	server := testkit.Redis(t)
	registry := prometheus.NewRegistry()
	rows := &table{rows: map[string]schema.Values{"a": {`"Ann"`}}}
	c, err := cache.New(cache.Config{URL: server.URL(), Loader: rows, Timeout: timeout, Log: testkit.Logger(t), Registerer: registry})
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Close() })
	e := &schema.Entity{Name: "user", Fields: []schema.Field{{Name: "name", Type: schema.String}}}
	require.NoError(t, e.Init())
	_, err = c.Get(t.Context(), e, "a")
	require.NoError(t, err)

	server.Pause()
	start := time.Now()
	for range 200 {
		read, err := c.Get(t.Context(), e, "a")
		require.NoError(t, err)
		assert.Equal(t, cache.Bypass, read.Source)
	}
	assert.Less(t, time.Since(start), 10*timeout, "200 reads of a Redis that hangs")
	assert.Equal(t, 2.0, breakerState(t, registry), "open")
	server.Resume()
	testkit.Eventually(t, "reads are back", func() bool {
		read, err := c.Get(t.Context(), e, "a")
		return err == nil && read.Source == cache.Hit
	})
	assert.Equal(t, 0.0, breakerState(t, registry), "closed")
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
