package events_test

import (
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/internal/testkit"
	"github.com/afterwrite/afterwrite/schema"
)

func TestEventsAreKeptForAWhile(t *testing.T) {
	b := setup(t)
	start := time.Now().Add(-time.Minute)
	one := b.Put(t, "a", "x")
	b.Flush(t)
	two := b.Put(t, "a", "y")
	b.HoldAll(t, 0)
	b.KillAll(t)
	events, whole := b.Kept(t, start)
	assert.True(t, whole)
	var got []string
	for _, event := range events {
		got = append(got, event.Type+" "+event.ID+" "+event.Version.String())
	}
	assert.Equal(t, []string{"persisted a " + one.String(), "held a " + two.String(), "dead a " + two.String()}, got)
	last := events[len(events)-1].At
	testkit.Eventually(t, "a later start leaves out what came before", func() bool {
		events, _ := b.Kept(t, last.Add(time.Millisecond))
		return len(events) == 0
	})
}

// Whoever reads kept events slowly is told where they were dropped meanwhile, and holds
// few of them.
func TestEventsDroppedWhileTheyAreRead(t *testing.T) {
	b := setup(t)
	start := time.Now().Add(-time.Minute)
	tell := func(from, to int) {
		for i := from; i < to; i++ {
			require.NoError(t, b.Tell(t.Context(), b.E, i%2, "resolved",
				[]schema.Versioned{{ID: strconv.Itoa(i), Version: 1}}))
		}
	}
	tell(0, 100)
	events, whole := b.Kept(t, start)
	require.True(t, whole)
	require.Len(t, events, 100)
	for i, event := range events {
		if i > 0 {
			require.False(t, event.At.Before(events[i-1].At), "in the order of time over the partitions")
		}
	}
	seen, missed := map[string]bool{}, false
	for kept, err := range b.Events(t.Context(), []*schema.Entity{b.E}, start) {
		require.NoError(t, err)
		if len(seen) == 0 {
			tell(100, 3000) // far more than are kept
		}
		missed = missed || kept.Events == nil
		for _, event := range kept.Events {
			require.False(t, seen[event.ID], event.ID)
			seen[event.ID] = true
		}
	}
	require.True(t, missed)
	require.True(t, seen["2999"])
	require.Less(t, len(seen), 2000)
}

// Waiting for a record costs little memory, however many wait.
func TestI6WaitersAreSmall(t *testing.T) {
	b := setup(t)
	all, err := b.Subscribe(t.Context(), b.E)
	require.NoError(t, err)
	defer all.Close()
	one, err := b.SubscribeTo(t.Context(), b.E, "a")
	require.NoError(t, err)
	defer one.Close()
	require.Greater(t, cap(all.C()), 1)
	require.Equal(t, 1, cap(one.C()))
	b.Put(t, "b", "x")
	b.Put(t, "a", "x")
	b.Flush(t)
	require.Equal(t, "a", (<-one.C())[0].ID, "it hears of its own record alone")
}
