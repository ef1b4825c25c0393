package store

import (
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"
)

// Where the space of a disk is not known, or is ample, the log may be long.
func TestLogPages(t *testing.T) {
	t.Parallel()
	require.Equal(t, 16_000, logPages("/nowhere"))
	if runtime.GOOS != "linux" {
		return
	}
	free, known := freeBytes(t.TempDir())
	require.True(t, known)
	require.Positive(t, free)
}
