package events_test

import (
	"context"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/cache"
	"github.com/afterwrite/afterwrite/cache/events"
	"github.com/afterwrite/afterwrite/internal/testkit"
)

func TestTheBusTellsOfEveryProcess(t *testing.T) {
	b := setup(t)
	var mu sync.Mutex
	var heard, deletions []string
	require.NoError(t, b.Another(t).Bus().On(t.Context(), b.E, func(_ context.Context, h events.Happening) {
		mu.Lock()
		defer mu.Unlock()
		heard = append(heard, string(h.What)+" "+h.ID)
	}))
	require.NoError(t, b.On(t.Context(), b.E, func(_ context.Context, h events.Happening) {
		mu.Lock()
		defer mu.Unlock()
		deletions = append(deletions, h.ID)
	}, events.Deleted))
	b.Put(t, "a", "Ann")
	b.Flush(t)
	require.NoError(t, b.Loading(t, cache.Write{Op: cache.OpDelete, ID: "a"}).Err)
	b.Flush(t)
	_, err := b.Invalidate(t.Context(), b.E, []string{"a"})
	require.NoError(t, err)
	want := []string{"updated a", "persisted a", "deleted a", "persisted a", "invalidated a"}
	testkit.Eventually(t, "all was heard", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return len(heard) == len(want) && len(deletions) == 1
	})
	require.Equal(t, want, heard)
}
