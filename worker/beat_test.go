package worker

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/cache/pending"
)

// What was added is in the sum for a minute, and then makes room.
func TestLatelyIsAMinute(t *testing.T) {
	t.Parallel()
	var l lately
	begin := time.Unix(1_769_860_800, 0)
	add := func(at, lag time.Duration) {
		var one pending.Lags
		one.Add(lag)
		l.add(&one, begin.Add(at))
	}
	add(0, time.Millisecond)
	add(30*time.Second, time.Second)
	sum := l.sum(begin.Add(59 * time.Second))
	require.Equal(t, 2*time.Millisecond, sum.Quantile(.5))
	require.GreaterOrEqual(t, sum.Quantile(1), time.Second)
	sum = l.sum(begin.Add(60 * time.Second))
	require.GreaterOrEqual(t, sum.Quantile(.5), time.Second, "the first has gone")
	add(61*time.Second, time.Minute)
	sum = l.sum(begin.Add(61 * time.Second))
	require.GreaterOrEqual(t, sum.Quantile(1), time.Minute)
	sum = l.sum(begin.Add(time.Hour))
	require.Zero(t, sum.Quantile(1))
}
