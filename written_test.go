package afterwrite

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/cache"
	"github.com/afterwrite/afterwrite/schema"
)

// A wait that ends early, as when the process has no place for one more, does not say that a pending record is
// persisted.
func TestAWaitThatEndsEarlyIsAnError(t *testing.T) {
	t.Parallel()
	w := Written{entity: &schema.Entity{Name: "user"}}
	pending := cache.State{}
	pending.Record.Status = Pending
	require.ErrorIs(t, w.fate(t.Context(), pending), ErrUnavailable)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, w.fate(ended, pending), context.Canceled)
	pending.Record.Status = Persisted
	require.NoError(t, w.fate(t.Context(), pending))
}
