//go:build unix

package cli

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// A named pipe to which nobody writes is waited for until a signal, and read where
// somebody does.
func TestNamedPipe(t *testing.T) {
	t.Parallel()
	a := &App{Streams: Streams{Err: io.Discard}}
	pipe := filepath.Join(t.TempDir(), "pipe.ndjson")
	require.NoError(t, syscall.Mkfifo(pipe, 0o600))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := a.Open(ctx, pipe)
	require.ErrorIs(t, err, context.Canceled)
	_, err = a.ReadAll(ctx, pipe)
	require.ErrorIs(t, err, context.Canceled)

	// Another pipe: a writer of the first would also meet the readers that gave up.
	pipe = filepath.Join(t.TempDir(), "other.ndjson")
	require.NoError(t, syscall.Mkfifo(pipe, 0o600))
	written := make(chan error, 1)
	go func() { written <- os.WriteFile(pipe, []byte("{}"), 0o600) }()
	text, err := a.ReadAll(t.Context(), pipe)
	require.NoError(t, err)
	require.Equal(t, "{}", string(text))
	require.NoError(t, <-written)

	_, err = a.Open(t.Context(), pipe+".no")
	require.ErrorContains(t, err, "no such file")
}
