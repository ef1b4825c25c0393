package pending_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/cache"
	"github.com/afterwrite/afterwrite/cache/pending"
	"github.com/afterwrite/afterwrite/internal/testkit"
	"github.com/afterwrite/afterwrite/internal/testkit/whole"
	"github.com/afterwrite/afterwrite/schema"
)

// What waits for its flush delay, or for its next attempt, is due at once; the task that
// was ordered for later is stale, and later writes keep to the delay.
func TestFlushNowWaitsForNothing(t *testing.T) {
	b := setup(t, func(e *schema.Entity, _ *cache.Config) { e.Partitions = 1 })
	_, before := b.Send(t, cache.Write{Op: cache.OpPut, ID: "held", Values: whole.Row("x", "1", "1")})
	b.HoldAll(t, time.Hour)
	b.E.Flush.Delay = time.Hour
	b.Put(t, "a", "x")
	since := b.Total(t).OldestPending
	require.Empty(t, b.DueIn(t, 0).Due)

	now, err := b.FlushNow(t.Context(), b.E)
	require.NoError(t, err)
	require.EqualValues(t, 1, now.Pending)
	require.EqualValues(t, 1, now.Held)
	require.Len(t, now.Orders, 1)
	require.Zero(t, now.Orders[0].Delay)
	stale, err := b.Begin(t.Context(), before, time.Minute)
	require.NoError(t, err)
	require.True(t, stale.None())
	live, err := b.Begin(t.Context(), now.Orders[0], time.Minute)
	require.NoError(t, err)
	require.False(t, live.None())
	require.Len(t, b.DueIn(t, 0).Due, 2)
	require.Equal(t, since, b.Total(t).OldestPending, "the lag is told as it is")
	ending, err := b.End(t.Context(), live, false)
	require.NoError(t, err)
	require.True(t, ending.More, "the task goes on until they are flushed")

	again, err := b.FlushNow(t.Context(), b.E)
	require.NoError(t, err)
	require.Zero(t, again.Held, "it is due already")
	b.Flush(t)
	testkit.Eventually(t, "the millisecond of that word is over", func() bool {
		said, err := b.RDB.HGet(t.Context(), b.StatsKey(0), "f").Int64()
		return err == nil && b.RDB.Time(t.Context()).Val().UnixMilli() > said
	})
	b.Put(t, "later", "x")
	require.Empty(t, b.DueIn(t, 0).Due)
	ending, err = b.End(t.Context(), again.Orders[0], false)
	require.NoError(t, err)
	require.Positive(t, ending.Next.Delay)
}

// A lost order of it is repeated by the sweeper, and nothing is ordered where nothing
// waits, or where flushing is paused.
func TestFlushNowIsSwept(t *testing.T) {
	b := setup(t, func(e *schema.Entity, cfg *cache.Config) {
		e.Partitions, e.Flush.Delay, cfg.FlagMargin = 1, time.Hour, time.Millisecond
	})
	nothing, err := b.FlushNow(t.Context(), b.E)
	require.NoError(t, err)
	require.Empty(t, nothing.Orders)
	b.Put(t, "a", "x")
	_, err = b.Pause(t.Context(), b.E)
	require.NoError(t, err)
	paused, err := b.FlushNow(t.Context(), b.E)
	require.NoError(t, err)
	require.Equal(t, pending.Now{Paused: 1}, paused)
	_, err = b.Resume(t.Context(), b.E)
	require.NoError(t, err)
	lost, err := b.FlushNow(t.Context(), b.E)
	require.NoError(t, err)
	require.Len(t, lost.Orders, 1)
	testkit.Eventually(t, "the order is repeated", func() bool {
		orders, err := b.Sweep(t.Context(), []*schema.Entity{b.E})
		require.NoError(t, err)
		return len(orders) == 1 && orders[0].Delay == 0
	})
}

// More held records than one step moves.
func TestFlushNowTakesAllHeld(t *testing.T) {
	b := setup(t, func(e *schema.Entity, _ *cache.Config) { e.Partitions = 1 })
	const many = 2100
	refused := make([]pending.Refused, many)
	for i := range refused {
		name := string(rune('a'+i%26)) + time.Duration(i).String()
		refused[i] = pending.Refused{Change: schema.Change{ID: name, Version: b.Put(t, name, "x")}, Attempts: 1,
			Next: time.Now().Add(time.Hour)}
	}
	n, err := b.Hold(t.Context(), b.E, 0, refused)
	require.NoError(t, err)
	require.Equal(t, many, n)
	now, err := b.FlushNow(t.Context(), b.E)
	require.NoError(t, err)
	require.EqualValues(t, many, now.Held)
	require.Len(t, now.Orders, 1)
	live, err := b.Begin(t.Context(), now.Orders[0], time.Minute)
	require.NoError(t, err)
	require.False(t, live.None(), "the last order is the live one")
}
