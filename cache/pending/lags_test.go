package pending_test

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/cache/pending"
)

// Quantiles of lags are never too small, at most a quarter and a millisecond too large,
// and those of two processes together are those of all their records.
func TestLagsTellQuantiles(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 2))
	var all []time.Duration
	var one, other pending.Lags
	for i := range 10_000 {
		lag := time.Duration(r.Int64N(1 << (10 + i%30)))
		all = append(all, lag)
		if i%3 == 0 {
			one.Add(lag)
		} else {
			other.Add(lag)
		}
	}
	slices.Sort(all)
	sum := pending.ParseLags(one.String())
	sum.Merge(&other)
	for _, share := range []float64{.01, .5, .9, .99, 1} {
		want := all[int(share*float64(len(all)))-1]
		got := sum.Quantile(share)
		require.GreaterOrEqual(t, got, want, share)
		require.LessOrEqual(t, got, want+want/4+time.Millisecond, share)
	}
}

func TestLagsAreBounded(t *testing.T) {
	t.Parallel()
	var l pending.Lags
	require.Zero(t, l.Quantile(.5))
	require.Empty(t, l.String())
	for _, lag := range []time.Duration{-time.Second, 0, 1<<63 - 1} {
		l.Add(lag)
	}
	require.Equal(t, time.Millisecond, l.Quantile(.5))
	require.Greater(t, l.Quantile(1), 365*24*time.Hour)
	for _, text := range []string{"x", "1", "-1:5", "999:5", "3:-2", "4:x", ":"} {
		odd := pending.ParseLags(text)
		require.Zero(t, odd.Quantile(1), text)
	}
}
