package pending_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/cache"
	"github.com/afterwrite/afterwrite/cache/pending"
	"github.com/afterwrite/afterwrite/internal/testkit/whole"
	"github.com/afterwrite/afterwrite/schema"
)

func TestDeadRecordStaysReadableAndPinned(t *testing.T) {
	b := setup(t)
	b.Put(t, "a", "x")
	b.HoldAll(t, 0)
	b.KillAll(t)
	read := b.Got(t, "a")
	assert.Equal(t, schema.Dead, read.Status)
	assert.Equal(t, whole.Row("x", "30", "0"), read.Values)
	assert.Negative(t, b.Life(t, "a"))
	n, err := b.Invalidate(t.Context(), b.E, []string{"a"})
	require.NoError(t, err)
	assert.Zero(t, n)
	state, err := b.Status(t.Context(), b.E, "a")
	require.NoError(t, err)
	assert.Equal(t, 2, state.Attempts)
	assert.Equal(t, schema.KindCheck, state.Refusal.Kind)
	assert.WithinDuration(t, time.Now(), state.DiedAt, time.Minute)
	assert.EqualValues(t, 1, b.Total(t).Dead)
	assert.Empty(t, b.DueIn(t, b.E.Partition("a")).Due)
}

func TestRetryPutsTheNamedVersionBack(t *testing.T) {
	b := setup(t)
	version := b.Put(t, "a", "x")
	b.KillAll(t)
	partition := b.E.Partition("a")
	back, order, err := b.Retry(t.Context(), b.E, partition, []schema.Versioned{{ID: "a", Version: version - 1}})
	require.NoError(t, err)
	assert.Equal(t, []bool{false}, back)
	assert.True(t, order.None())
	require.NoError(t, b.RDB.HSet(t.Context(), b.StatsKey(partition), "u", 0).Err())
	back, order, err = b.Retry(t.Context(), b.E, partition, []schema.Versioned{{ID: "a", Version: version}})
	require.NoError(t, err)
	assert.Equal(t, []bool{true}, back)
	assert.False(t, order.None())
	due := b.DueIn(t, partition).Due
	require.Len(t, due, 1)
	assert.Zero(t, due[0].Attempts, "attempts from scratch")
	b.Flush(t)
	assert.EqualValues(t, 1, b.Total(t).Persisted)
}

func TestDiscardPutsTheRowBack(t *testing.T) {
	row := whole.Row("row", "1", "1")
	for name, c := range map[string]struct {
		row  schema.Values
		dead bool
	}{"dead with a row": {row, true}, "dead without a row": {nil, true}, "held with a row": {row, false}} {
		t.Run(name, func(t *testing.T) {
			b := setup(t)
			if c.row != nil {
				b.Table.Set("a", c.row)
			}
			version := b.Put(t, "a", "refused")
			if c.dead {
				b.KillAll(t)
			} else {
				b.HoldAll(t, time.Hour)
			}
			wrong, _ := b.Send(t, cache.Write{Op: cache.OpDiscard, ID: "a", IfMatch: version - 1, Values: c.row})
			require.ErrorIs(t, wrong.Err, schema.ErrVersionMismatch)
			got, _ := b.Send(t, cache.Write{Op: cache.OpDiscard, ID: "a", IfMatch: version, Values: c.row})
			require.NoError(t, got.Err)
			read := b.Got(t, "a")
			assert.Equal(t, schema.Pending, read.Status)
			assert.Equal(t, c.row == nil, read.Deleted)
			total := b.Total(t)
			assert.EqualValues(t, 2, total.Accepted)
			assert.EqualValues(t, 1, total.Discarded)
			assert.Zero(t, total.Dead+total.Held)
			again, _ := b.Send(t, cache.Write{Op: cache.OpDiscard, ID: "a", IfMatch: version, Values: c.row})
			require.ErrorIs(t, again.Err, schema.ErrVersionMismatch, "once")
			b.Flush(t)
			b.Total(t)
			assert.Equal(t, c.row, b.Table.Copy()["a"])
		})
	}
}

func TestDiscardOfADeadDeletion(t *testing.T) {
	b := setup(t)
	b.Table.Set("a", whole.Row("row", "1", "1"))
	b.Put(t, "a", "x")
	b.Flush(t)
	got := b.Loading(t, cache.Write{Op: cache.OpDelete, ID: "a"})
	require.NoError(t, got.Err)
	b.KillAll(t)
	assert.True(t, b.Got(t, "a").Deleted)
	back, _ := b.Send(t, cache.Write{Op: cache.OpDiscard, ID: "a", IfMatch: got.Version,
		Values: whole.Row("x", "30", "0")})
	require.NoError(t, back.Err)
	assert.Equal(t, whole.Row("x", "30", "0"), b.Got(t, "a").Values)
	b.Flush(t)
	b.Total(t)
}

func TestRescheduleMovesWhatHasNotMoved(t *testing.T) {
	b := setup(t, func(e *schema.Entity, _ *cache.Config) { e.Partitions = 1 })
	b.Put(t, "a", "x")
	b.Put(t, "b", "x")
	b.HoldAll(t, time.Hour)
	waiting, err := b.Waiting(t.Context(), b.E, 0, 0, 10)
	require.NoError(t, err)
	require.Len(t, waiting, 2)
	assert.Equal(t, 1, waiting[0].Attempts)
	assert.Equal(t, schema.KindUnique, waiting[0].Refusal.Kind)
	assert.WithinDuration(t, time.Now(), waiting[0].At, time.Minute)
	n, err := b.Reschedule(t.Context(), b.E, 0, []pending.Move{
		{ID: waiting[0].ID, From: waiting[0].Next, To: time.Now().Add(-time.Second)},
		{ID: waiting[1].ID, From: waiting[1].Next.Add(-time.Second), To: time.Now()},
		{ID: "nobody", From: time.Now(), To: time.Now()},
	})
	require.NoError(t, err)
	assert.Equal(t, 1, n)
	assert.Len(t, b.DueIn(t, 0).Due, 1)
}
