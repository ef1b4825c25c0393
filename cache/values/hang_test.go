package values_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

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
	server := testkit.Redis(t)
	c, err := cache.New(cache.Config{URL: server.URL(), Timeout: timeout, Log: testkit.Logger(t)})
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
	var slow atomic.Int64
	var callers sync.WaitGroup
	for i := range 20 {
		callers.Go(func() {
			for n := range 20 {
				start := time.Now()
				if n%4 == 3 {
					keys := []string{fmt.Sprintf("many-%d-%d", i, n), "warm"}
					_, _ = v.LoadMany(t.Context(), keys, func(context.Context, []string) (map[string]string, error) {
						return map[string]string{keys[0]: "loaded", "warm": "loaded"}, nil
					})
				} else {
					_, _ = v.Load(t.Context(), fmt.Sprintf("%d-%d", i, n), load)
				}
				if time.Since(start) > timeout/2 {
					slow.Add(1)
				}
			}
		})
	}
	callers.Wait()
	require.Less(t, slow.Load(), int64(3*20), "calls of 400 that waited: the first of each caller, and probes")
	server.Resume()
	testkit.Eventually(t, "values are cached again", func() bool {
		_, err := v.Load(t.Context(), "warm", load)
		got, peeked := v.Peek(t.Context(), "warm")
		return err == nil && peeked == nil && got.Source == values.Hit
	})
	_, err = v.Delete(t.Context(), "warm")
	require.NotErrorIs(t, err, schema.ErrUnavailable)
}
