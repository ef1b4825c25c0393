package events_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/internal/fleet"
)

func TestHintsReachWhoWaits(t *testing.T) {
	b := setup(t)
	ctx, end := context.WithCancel(t.Context())
	defer end()
	hints, others := b.Hinted(ctx, fleet.PolicyHint), b.Hinted(ctx, "other")
	wait := func(hints <-chan struct{}) {
		t.Helper()
		select {
		case <-hints:
		case <-time.After(30 * time.Second):
			t.Fatal("no hint")
		}
	}
	wait(hints) // something may have been missed before
	wait(others)
	require.NoError(t, b.Hint(t.Context(), fleet.PolicyHint))
	wait(hints)
	require.Empty(t, others)
}
