package pending_test

import (
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A series keeps the last value of each of its last steps, and no more.
func TestSeriesIsARing(t *testing.T) {
	b := setup(t)
	now := time.UnixMilli(1_769_860_800_000)
	for i := range 10 {
		at := now.Add(time.Duration(i) * time.Minute)
		require.NoError(t, b.Sample(t.Context(), "load", at, time.Minute, 4, "early"))
		require.NoError(t, b.Sample(t.Context(), "load", at.Add(54*time.Second), time.Minute, 4, strconv.Itoa(i)+
			" with a space"))
	}
	last := now.Add(9 * time.Minute)
	points, err := b.Series(t.Context(), "load", last, time.Minute, 4)
	require.NoError(t, err)
	require.Len(t, points, 4)
	for i, p := range points {
		require.Equal(t, now.Add(time.Duration(6+i)*time.Minute), p.At)
		require.Equal(t, strconv.Itoa(6+i)+" with a space", p.Value)
	}
	points, err = b.Series(t.Context(), "load", last.Add(2*time.Minute), time.Minute, 4)
	require.NoError(t, err)
	require.Len(t, points, 2, "steps without a sample are left out, old ones too")
	none, err := b.Series(t.Context(), "none", last, time.Minute, 4)
	require.NoError(t, err)
	require.Empty(t, none)
	ttl := b.RDB.PTTL(t.Context(), b.Under+":{_}:series:load").Val()
	require.Positive(t, ttl)
	require.LessOrEqual(t, ttl, 4*time.Minute)
}
