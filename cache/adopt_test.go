package cache_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/cache"
	"github.com/afterwrite/afterwrite/internal/testkit"
	"github.com/afterwrite/afterwrite/schema"
)

func TestWaitEndsWithTheEvent(t *testing.T) {
	b := setup(t)
	version := b.put(t, "a", "x")
	sub, err := b.Subscribe(t.Context(), b.e) // the waiter's feed is up
	require.NoError(t, err)
	defer sub.Close()
	states := make(chan cache.State)
	go func() {
		state, err := b.Wait(t.Context(), b.e, "a", version)
		assert.NoError(t, err)
		states <- state
	}()
	b.flush(t)
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
	require.NoError(t, b.Adopt(t.Context(), b.e))
	b.put(t, "a", "x")
	other := *b.e
	other.Partitions = 7
	require.ErrorIs(t, b.Adopt(t.Context(), &other), schema.ErrPartitionsChanged)
	b.put(t, "b", "the old number goes on")
	b.flush(t)
	require.NoError(t, b.Adopt(t.Context(), &other))
	assert.Zero(t, b.rdb.Exists(t.Context(), b.key("a")).Val(), "what the old partitions cached is gone")
	got, _ := b.write(t, cache.Write{Op: cache.OpPut, ID: "a", Values: values("x", "1", "1")})
	require.ErrorIs(t, got.Err, schema.ErrPartitionsChanged, "a process with the old number is refused")

	// It reads from the database, since no process would keep fresh what it cached.
	for _, row := range []string{`"old"`, `"new"`} {
		b.table.set("a", schema.Values{row, "1", "1"})
		read, err := b.Get(t.Context(), b.e, "a")
		require.NoError(t, err)
		require.Equal(t, row, read.Values[0])
	}
}
