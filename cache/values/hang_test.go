package values_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/cache"
	"github.com/afterwrite/afterwrite/cache/values"
	"github.com/afterwrite/afterwrite/internal/testkit"
	"github.com/afterwrite/afterwrite/schema"
)

// Loads of a Redis that hangs cost the first callers one timeout; then all but one at a time load at once.
func TestARedisThatHangsCostsLoadsOneTimeout(t *testing.T) {
	t.Parallel()
	const timeout = 300 * time.Millisecond
	server, passed := testkit.Redis(t), &testkit.Passing{}
	c, err := cache.New(cache.Config{URL: server.URL(), Timeout: timeout, Log: testkit.Logger(t),
		Hooks: []redis.Hook{passed}})
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Close() })
	v, err := values.New[string](c, values.Policy{Group: "page", TTL: time.Minute},
		values.JSON[string]{})
	require.NoError(t, err)
	load := func(context.Context) (string, error) { return "loaded", nil }
	_, err = v.Load(t.Context(), "warm", load)
	require.NoError(t, err)
	server.Pause()
	defer server.Resume()
	passed.All.Store(0)
	began := time.Now()
	var callers sync.WaitGroup
	for i := range 20 {
		callers.Go(func() {
			for n := range 20 {
				if n%4 == 3 {
					keys := []string{fmt.Sprintf("many-%d-%d", i, n), "warm"}
					_, _ = v.LoadMany(t.Context(), keys, func(context.Context, []string) (map[string]string, error) {
						return map[string]string{keys[0]: "loaded", "warm": "loaded"}, nil
					})
				} else {
					_, _ = v.Load(t.Context(), fmt.Sprintf("%d-%d", i, n), load)
				}
			}
		})
	}
	callers.Wait()
	// A probe takes twice the timeout. However slow the machine is, one comes in that time at most.
	require.LessOrEqual(t, passed.All.Load(), 3*20+int64(time.Since(began)/(2*timeout)),
		"what 400 calls sent: the first of each caller, and probes")
	server.Resume()
	testkit.Eventually(t, "values are cached again", func() bool {
		_, err := v.Load(t.Context(), "warm", load)
		got, peeked := v.Peek(t.Context(), "warm")
		return err == nil && peeked == nil && got.Source == values.Hit
	})
	_, err = v.Delete(t.Context(), "warm")
	require.NotErrorIs(t, err, schema.ErrUnavailable)
}
