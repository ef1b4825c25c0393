package cache_test

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
	require.NoError(t, b.another(t).Bus().On(t.Context(), b.e, func(_ context.Context, h events.Happening) {
		mu.Lock()
		defer mu.Unlock()
		heard = append(heard, string(h.What)+" "+h.ID)
	}))
	require.NoError(t, b.On(t.Context(), b.e, func(_ context.Context, h events.Happening) {
		mu.Lock()
		defer mu.Unlock()
		deletions = append(deletions, h.ID)
	}, events.Deleted))
	b.put(t, "a", "Ann")
	b.flush(t)
	require.NoError(t, b.loading(t, cache.Write{Op: cache.OpDelete, ID: "a"}).Err)
	b.flush(t)
	_, err := b.Invalidate(t.Context(), b.e, []string{"a"})
	require.NoError(t, err)
	want := []string{"updated a", "persisted a", "deleted a", "persisted a", "invalidated a"}
	testkit.Eventually(t, "all was heard", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return len(heard) == len(want) && len(deletions) == 1
	})
	require.Equal(t, want, heard)
}
