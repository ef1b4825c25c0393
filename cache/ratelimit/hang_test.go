package ratelimit_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/cache/ratelimit"
	"github.com/afterwrite/afterwrite/internal/testkit"
)

// A limiter alone on a Redis that hangs costs one wait: then the breaker is open, and requests are decided at once.
func TestARedisThatHangsCostsALimiterOneTimeout(t *testing.T) {
	t.Parallel()
	const timeout = 250 * time.Millisecond
	server := testkit.Redis(t)
	l := limiter(t, ratelimit.Config{
		Cache: newCache(t, server.URL(), "aw"), Timeout: timeout,
		Policies: []ratelimit.Policy{{Name: "hourly", Limit: 1000, Window: time.Hour}},
	})
	take(t, l, "ann", 1)
	server.Pause()
	defer server.Resume()
	waited := 0
	for range 200 {
		d, err := l.Take(t.Context(), "ann", 1, nil)
		require.NoError(t, err)
		require.Error(t, d.Failed)
		require.True(t, d.Admitted)
		if errors.Is(d.Failed, context.DeadlineExceeded) {
			waited++
		}
	}
	require.Positive(t, waited)
	require.Less(t, waited, 20, "requests that waited for Redis")
	server.Resume()
	testkit.Eventually(t, "it counts again", func() bool {
		d, err := l.Take(t.Context(), "ann", 1, nil)
		return err == nil && d.Failed == nil
	})
}
