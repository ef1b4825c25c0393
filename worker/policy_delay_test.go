package worker

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/schema"
)

func TestDelaysAreWithinTheirRange(t *testing.T) {
	p := schema.DefaultRetryPolicy()
	for _, jitter := range []schema.Jitter{schema.JitterNone, schema.JitterEqual, schema.JitterFull} {
		p.Jitter = jitter
		for attempt := 1; attempt < 12; attempt++ {
			low, high := p.Range(schema.KindUnique, attempt)
			for range 1000 {
				d := delay(p, schema.KindUnique, attempt)
				require.True(t, d > 0 && d >= low && d <= high, "%s is not within (%s, %s]", d, low, high)
			}
		}
	}
}

func TestRetryDelaySpreads(t *testing.T) {
	p := schema.DefaultRetryPolicy()
	var sum time.Duration
	const draws = 10_000
	for range draws {
		sum += delay(p, schema.KindUnique, 1)
	}
	require.InDelta(t, float64(p.Base)/2, float64(sum/draws), float64(p.Base)/20)
}

// TestARecordIsDeadAfterItsAttempts: by the policy of its kind, and not before the active policies are read.
func TestARecordIsDeadAfterItsAttempts(t *testing.T) {
	e := &schema.Entity{Name: "user", Retry: schema.DefaultRetryPolicy()}
	e.Retry.On = map[schema.Kind]schema.RetryOverride{schema.KindPoison: {MaxAttempts: new(1)}}
	p := newPolicies([]*schema.Entity{e})
	require.False(t, p.exhausted(e, schema.KindPoison, 1))
	p.known.Store(true)
	require.True(t, p.exhausted(e, schema.KindPoison, 1))
	require.False(t, p.exhausted(e, schema.KindUnique, 9))
	require.True(t, p.exhausted(e, schema.KindUnique, 10))
	require.True(t, p.exhausted(e, schema.KindUnique, 11))
}
