package worker

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestGathering: a partition rests half as long again as its flush took, between 10 and 50 ms.
func TestGathering(t *testing.T) {
	for took, want := range map[time.Duration]time.Duration{
		0:                     10 * time.Millisecond,
		6 * time.Millisecond:  10 * time.Millisecond,
		10 * time.Millisecond: 15 * time.Millisecond,
		30 * time.Millisecond: 45 * time.Millisecond,
		time.Minute:           50 * time.Millisecond,
	} {
		require.Equal(t, want, gathering(took), took.String())
	}
}
