package main

import (
	"context"
	"io"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/cmd/afterwrite/internal/cli"
)

// Nobody's input is waited for after a signal.
func TestInputEndsWithASignal(t *testing.T) {
	t.Parallel()
	in, _ := io.Pipe() // nobody writes to it
	a := &app{&cli.App{Streams: cli.Streams{In: in, Err: io.Discard}}}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := a.ReadAll(ctx, "-")
	require.ErrorIs(t, err, context.Canceled)
	_, err = a.password(ctx)
	require.ErrorIs(t, err, context.Canceled)
}
