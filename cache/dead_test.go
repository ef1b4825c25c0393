package cache_test

import (
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/cache"
	"github.com/afterwrite/afterwrite/cache/pending"
	"github.com/afterwrite/afterwrite/internal/testkit"
	"github.com/afterwrite/afterwrite/schema"
)

// killAll has every due record die.
func (b *bundle) killAll(t *testing.T) {
	t.Helper()
	for partition := range b.e.Partitions {
		var refused []pending.Refused
		for _, d := range b.read(t, partition).Due {
			refused = append(refused, pending.Refused{Change: d.Change, Attempts: d.Attempts + 1, Refusal: schema.Refusal{Kind: schema.KindCheck, Message: "no"}})
		}
		for want := len(refused); ; want = 0 {
			n, err := b.Die(t.Context(), b.e, partition, refused)
			require.NoError(t, err)
			require.Equal(t, want, n, "a repeat changes nothing")
			if want == 0 {
				break
			}
		}
	}
}

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
	back, _ := b.write(t, cache.Write{Op: cache.OpDiscard, ID: "a", IfMatch: got.Version, Values: values("x", "30", "0")})
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

// kept reads the kept events since a time, and whether none since is missing.
func (b *bundle) kept(t *testing.T, since time.Time) (events []cache.Event, whole bool) {
	t.Helper()
	whole = true
	for kept, err := range b.Events(t.Context(), []*schema.Entity{b.e}, since) {
		require.NoError(t, err)
		whole = whole && kept.Events != nil
		events = append(events, kept.Events...)
	}
	return events, whole
}

func TestEventsAreKeptForAWhile(t *testing.T) {
	b := setup(t)
	start := time.Now().Add(-time.Minute)
	one := b.put(t, "a", "x")
	b.flush(t)
	two := b.put(t, "a", "y")
	b.holdAll(t, 0)
	b.killAll(t)
	events, whole := b.kept(t, start)
	assert.True(t, whole)
	var got []string
	for _, event := range events {
		got = append(got, event.Type+" "+event.ID+" "+event.Version.String())
	}
	assert.Equal(t, []string{"persisted a " + one.String(), "held a " + two.String(), "dead a " + two.String()}, got)
	last := events[len(events)-1].At
	testkit.Eventually(t, "a later start leaves out what came before", func() bool {
		events, _ := b.kept(t, last.Add(time.Millisecond))
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
			require.NoError(t, b.Tell(t.Context(), b.e, i%2, "resolved", []schema.Versioned{{ID: strconv.Itoa(i), Version: 1}}))
		}
	}
	tell(0, 100)
	events, whole := b.kept(t, start)
	require.True(t, whole)
	require.Len(t, events, 100)
	for i, event := range events {
		if i > 0 {
			require.False(t, event.At.Before(events[i-1].At), "in the order of time over the partitions")
		}
	}
	seen, missed := map[string]bool{}, false
	for kept, err := range b.Events(t.Context(), []*schema.Entity{b.e}, start) {
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
	all, err := b.Subscribe(t.Context(), b.e)
	require.NoError(t, err)
	defer all.Close()
	one, err := cache.SubscribeTo(t.Context(), b.Cache, b.e, "a")
	require.NoError(t, err)
	defer one.Close()
	require.Greater(t, cap(all.C()), 1)
	require.Equal(t, 1, cap(one.C()))
	b.put(t, "b", "x")
	b.put(t, "a", "x")
	b.flush(t)
	require.Equal(t, "a", (<-one.C())[0].ID, "it hears of its own record alone")
}
