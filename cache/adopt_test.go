package cache_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/cache"
	"github.com/afterwrite/afterwrite/internal/testkit"
	"github.com/afterwrite/afterwrite/internal/testkit/whole"
	"github.com/afterwrite/afterwrite/schema"
)

func TestWaitEndsWithTheEvent(t *testing.T) {
	b := setup(t)
	version := b.Put(t, "a", "x")
	sub, err := b.Subscribe(t.Context(), b.E) // the waiter's feed is up
	require.NoError(t, err)
	defer sub.Close()
	states := make(chan cache.State)
	go func() {
		state, err := b.Wait(t.Context(), b.E, "a", version)
		assert.NoError(t, err)
		states <- state
	}()
	b.Flush(t)
	assert.Equal(t, schema.Persisted, (<-states).Record.Status)
	testkit.Eventually(t, "the event is delivered", func() bool {
		select {
		case events := <-sub.C():
			event := events[0]
			return event.Type == "persisted" && event.Entity == "user" && !event.At.IsZero() && event.ID == "a" &&
				event.Version == version
		default:
			return false
		}
	})
}

func TestAdoptRefusesWhileSomethingIsPending(t *testing.T) {
	b := setup(t)
	require.NoError(t, b.Adopt(t.Context(), b.E))
	b.Put(t, "a", "x")
	other := *b.E
	other.Partitions = 7
	require.ErrorIs(t, b.Adopt(t.Context(), &other), schema.ErrPartitionsChanged)
	b.Put(t, "b", "the old number goes on")
	b.Flush(t)
	require.NoError(t, b.Adopt(t.Context(), &other))
	assert.Zero(t, b.RDB.Exists(t.Context(), b.RecordKey("a")).Val(), "what the old partitions cached is gone")
	got, _ := b.Send(t, cache.Write{Op: cache.OpPut, ID: "a", Values: whole.Row("x", "1", "1")})
	require.ErrorIs(t, got.Err, schema.ErrPartitionsChanged, "a process with the old number is refused")

	// It reads from the database, since no process would keep fresh what it cached.
	for _, row := range []string{`"old"`, `"new"`} {
		b.Table.Set("a", schema.Values{row, "1", "1"})
		read, err := b.Get(t.Context(), b.E, "a")
		require.NoError(t, err)
		require.Equal(t, row, read.Values[0])
	}
}
