package pending_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/cache"
	"github.com/afterwrite/afterwrite/internal/testkit/whole"
	"github.com/afterwrite/afterwrite/schema"
)

func TestPausedPartitionHasNoTask(t *testing.T) {
	b := setup(t, func(e *schema.Entity, _ *cache.Config) { e.Partitions = 1 })
	_, before := b.Send(t, cache.Write{Op: cache.OpPut, ID: "a", Values: whole.Row("x", "1", "1")})
	require.False(t, before.None())
	n, err := b.Pause(t.Context(), b.E)
	require.NoError(t, err)
	assert.Equal(t, 1, n)
	assert.True(t, b.Total(t).Paused)
	live, err := b.Begin(t.Context(), before, time.Minute)
	require.NoError(t, err)
	assert.True(t, live.None(), "a task that was ordered before does not work")
	_, order := b.Send(t, cache.Write{Op: cache.OpPut, ID: "b", Values: whole.Row("x", "1", "1")})
	assert.True(t, order.None(), "a write is accepted and orders none")
	orders, err := b.Sweep(t.Context(), []*schema.Entity{b.E})
	require.NoError(t, err)
	assert.Empty(t, orders)
	n, err = b.Resume(t.Context(), b.E, 0)
	require.NoError(t, err)
	assert.Equal(t, 1, n)
	orders, err = b.Sweep(t.Context(), []*schema.Entity{b.E})
	require.NoError(t, err)
	require.Len(t, orders, 1)
	live, err = b.Begin(t.Context(), orders[0], time.Minute)
	require.NoError(t, err)
	assert.False(t, live.None())
	assert.EqualValues(t, 2, b.Total(t).Pending)
}
