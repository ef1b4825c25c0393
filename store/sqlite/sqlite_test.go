package sqlite

import (
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"
)

// The log may be long where the space of the disk is ample, or is not known.
func TestLogPages(t *testing.T) {
	t.Parallel()
	require.Equal(t, 1000, logPages(scarce-1, true))
	require.Equal(t, 16_000, logPages(scarce, true))
	require.Equal(t, 16_000, logPages(freeBytes("/nowhere")))
	if runtime.GOOS != "linux" {
		return
	}
	free, known := freeBytes(t.TempDir())
	require.True(t, known)
	require.Positive(t, free)
}
