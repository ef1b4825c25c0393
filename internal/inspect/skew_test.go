package inspect

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A clock that was read at any moment of a slow round trip is right.
func TestSkew(t *testing.T) {
	t.Parallel()
	start := time.Now()
	end := start.Add(10 * time.Second)
	for at, want := range map[time.Duration]time.Duration{
		-time.Second: time.Second, 0: 0, 4 * time.Second: 0, 10 * time.Second: 0, 13 * time.Second: -3 * time.Second,
	} {
		require.Equal(t, want, skew(start, end, start.Add(at)))
	}
}
