package pending_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/cache"
	"github.com/afterwrite/afterwrite/cache/pending"
	"github.com/afterwrite/afterwrite/schema"
)

func TestDeadRecordStaysReadableAndPinned(t *testing.T) {
	b := setup(t)
	b.put(t, "a", "x")
	b.holdAll(t, 0)
	b.killAll(t)
	read := b.get(t, "a")
	assert.Equal(t, schema.Dead, read.Status)
	assert.Equal(t, values("x", "30", "0"), read.Values)
	assert.Negative(t, ttl(t, b, "a"))
	n, err := b.Invalidate(t.Context(), b.e, []string{"a"})
	require.NoError(t, err)
	assert.Zero(t, n)
	state, err := b.Status(t.Context(), b.e, "a")
	require.NoError(t, err)
	assert.Equal(t, 2, state.Attempts)
	assert.Equal(t, schema.KindCheck, state.Refusal.Kind)
	assert.WithinDuration(t, time.Now(), state.DiedAt, time.Minute)
	assert.EqualValues(t, 1, b.total(t).Dead)
	assert.Empty(t, b.read(t, b.e.Partition("a")).Due)
}

func TestRetryPutsTheNamedVersionBack(t *testing.T) {
	b := setup(t)
	version := b.put(t, "a", "x")
	b.killAll(t)
	partition := b.e.Partition("a")
	back, order, err := b.Retry(t.Context(), b.e, partition, []schema.Versioned{{ID: "a", Version: version - 1}})
	require.NoError(t, err)
	assert.Equal(t, []bool{false}, back)
	assert.True(t, order.None())
	require.NoError(t, b.rdb.HSet(t.Context(), b.statsKey(partition), "u", 0).Err())
	back, order, err = b.Retry(t.Context(), b.e, partition, []schema.Versioned{{ID: "a", Version: version}})
	require.NoError(t, err)
	assert.Equal(t, []bool{true}, back)
	assert.False(t, order.None())
	due := b.read(t, partition).Due
	require.Len(t, due, 1)
	assert.Zero(t, due[0].Attempts, "attempts anew")
	b.flush(t)
	assert.EqualValues(t, 1, b.total(t).Persisted)
}

func TestDiscardPutsTheRowBack(t *testing.T) {
	row := values("row", "1", "1")
	for name, c := range map[string]struct {
		row  schema.Values
		dead bool
	}{"dead with a row": {row, true}, "dead without a row": {nil, true}, "held with a row": {row, false}} {
		t.Run(name, func(t *testing.T) {
			b := setup(t)
			if c.row != nil {
				b.table.set("a", c.row)
			}
			version := b.put(t, "a", "refused")
			if c.dead {
				b.killAll(t)
			} else {
				b.holdAll(t, time.Hour)
			}
			wrong, _ := b.write(t, cache.Write{Op: cache.OpDiscard, ID: "a", IfMatch: version - 1, Values: c.row})
			require.ErrorIs(t, wrong.Err, schema.ErrVersionMismatch)
			got, _ := b.write(t, cache.Write{Op: cache.OpDiscard, ID: "a", IfMatch: version, Values: c.row})
			require.NoError(t, got.Err)
			read := b.get(t, "a")
			assert.Equal(t, schema.Pending, read.Status)
			assert.Equal(t, c.row == nil, read.Deleted)
			total := b.total(t)
			assert.EqualValues(t, 2, total.Accepted)
			assert.EqualValues(t, 1, total.Discarded)
			assert.Zero(t, total.Dead+total.Held)
			again, _ := b.write(t, cache.Write{Op: cache.OpDiscard, ID: "a", IfMatch: version, Values: c.row})
			require.ErrorIs(t, again.Err, schema.ErrVersionMismatch, "once")
			b.flush(t)
			b.total(t)
			assert.Equal(t, c.row, b.table.copy()["a"])
		})
	}
}

func TestDiscardOfADeadDeletion(t *testing.T) {
	b := setup(t)
	b.table.set("a", values("row", "1", "1"))
	b.put(t, "a", "x")
	b.flush(t)
	got := b.loading(t, cache.Write{Op: cache.OpDelete, ID: "a"})
	require.NoError(t, got.Err)
	b.killAll(t)
	assert.True(t, b.get(t, "a").Deleted)
	back, _ := b.write(t, cache.Write{Op: cache.OpDiscard, ID: "a", IfMatch: got.Version,
		Values: values("x", "30", "0")})
	require.NoError(t, back.Err)
	assert.Equal(t, values("x", "30", "0"), b.get(t, "a").Values)
	b.flush(t)
	b.total(t)
}

func TestRescheduleMovesWhatHasNotMoved(t *testing.T) {
	b := setup(t, func(e *schema.Entity, _ *cache.Config) { e.Partitions = 1 })
	b.put(t, "a", "x")
	b.put(t, "b", "x")
	b.holdAll(t, time.Hour)
	waiting, err := b.Waiting(t.Context(), b.e, 0, 0, 10)
	require.NoError(t, err)
	require.Len(t, waiting, 2)
	assert.Equal(t, 1, waiting[0].Attempts)
	assert.Equal(t, schema.KindUnique, waiting[0].Refusal.Kind)
	assert.WithinDuration(t, time.Now(), waiting[0].At, time.Minute)
	n, err := b.Reschedule(t.Context(), b.e, 0, []pending.Move{
		{ID: waiting[0].ID, From: waiting[0].Next, To: time.Now().Add(-time.Second)},
		{ID: waiting[1].ID, From: waiting[1].Next.Add(-time.Second), To: time.Now()},
		{ID: "nobody", From: time.Now(), To: time.Now()},
	})
	require.NoError(t, err)
	assert.Equal(t, 1, n)
	assert.Len(t, b.read(t, 0).Due, 1)
}
