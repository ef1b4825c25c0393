package cache_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite"
	"github.com/afterwrite/afterwrite/cache"
)

// lately gives the entity a field that it did not have when its records were written,
// over a column that has been in use.
func (b *bundle) lately(t *testing.T) {
	t.Helper()
	e := *b.e
	e.Fields = append(e.Fields[:3:3], afterwrite.Field{Name: "visits", Type: afterwrite.Int})
	require.NoError(t, e.Init())
	b.e = &e
	for id, row := range b.table.copy() {
		b.table.set(id, append(row[:3:3], "7"))
	}
}

// What was cached before the entity got a field says nothing of the field: a persisted
// record is loaded anew, to another the field is added as the row has it.
func TestI4FieldAddedToTheEntity(t *testing.T) {
	b := setup(t)
	ids := []string{"persisted", "many", "rewritten", "new", "gone"}
	for _, id := range ids {
		b.put(t, id, "Ann")
	}
	require.NoError(t, b.loading(t, cache.Write{Op: cache.OpDelete, ID: "gone"}).Err)
	b.flush(t)
	pending := b.put(t, "rewritten", "Ann")
	b.put(t, "waiting", "Ann")
	b.lately(t)

	read := b.get(t, "persisted")
	assert.Equal(t, cache.Filled, read.Source)
	assert.Equal(t, append(values("Ann", "30", "0"), "7"), read.Values)
	assert.Equal(t, cache.Hit, b.get(t, "persisted").Source)

	read = b.get(t, "rewritten")
	assert.Equal(t, cache.Hit, read.Source)
	assert.Equal(t, afterwrite.Pending, read.Status)
	assert.Equal(t, pending, read.Version)
	assert.Equal(t, append(values("Ann", "30", "0"), "7"), read.Values)
	assert.Equal(t, append(values("Ann", "30", "0"), "null"), b.get(t, "waiting").Values, "it has no row yet")

	reads, err := b.GetMany(t.Context(), b.e, []string{"many", "gone", "rewritten", "waiting", "persisted"})
	require.NoError(t, err)
	for i, last := range []string{"7", "", "7", "null", "7"} {
		if last == "" {
			assert.True(t, reads[i].Deleted)
			continue
		}
		assert.Equal(t, append(values("Ann", "30", "0"), last), reads[i].Values)
	}

	for p := range b.e.Partitions {
		for _, due := range b.read(t, p).Due {
			assert.Empty(t, due.Values[3], "what nobody wrote is not written")
		}
	}
}

// A record that a process without the field writes again each time while its row is read
// is not waited for without end.
func TestRecordWithoutAFieldIsNotReadForEver(t *testing.T) {
	b := setup(t)
	b.put(t, "a", "Ann")
	earlier := *b
	b.lately(t)
	began, hold := make(chan struct{}), make(chan struct{})
	b.table.began, b.table.hold = began, hold
	failed := make(chan error, 1)
	go func() {
		_, err := b.Get(t.Context(), b.e, "a")
		failed <- err
	}()
	for {
		select {
		case <-began:
			earlier.put(t, "a", "Ann")
			hold <- struct{}{}
		case err := <-failed:
			require.ErrorIs(t, err, afterwrite.ErrBusy)
			require.NotErrorIs(t, err, afterwrite.ErrUnavailable, "Redis answers")
			return
		}
	}
}

// An increment of a field that the cached record lacks asks for the row.
func TestIncrementOfAFieldAddedToTheEntity(t *testing.T) {
	b := setup(t)
	b.put(t, "a", "Ann")
	b.put(t, "null", "Ann")
	b.flush(t)
	b.lately(t)
	b.table.set("null", append(values("Ann", "30", "0"), "null"))
	add := func(id string) cache.Written {
		w := cache.Write{Op: cache.OpIncrement, ID: id, Deltas: []afterwrite.Delta{{Field: 3, By: 2}}}
		got, _ := b.write(t, w)
		require.NotEmpty(t, got.Token)
		return b.loading(t, w)
	}
	got := add("a")
	require.NoError(t, got.Err)
	assert.Equal(t, "9", got.Values[3])
	assert.Equal(t, append(values("Ann", "30", "0"), "9"), b.get(t, "a").Values)
	require.ErrorIs(t, add("null").Err, afterwrite.ErrInvalid)
}

// A record that was cached before the entity got the field that ranks it has the place of
// its row: in a rebuild, and when it is written without the field.
func TestRankByAFieldAddedToTheEntity(t *testing.T) {
	b := setup(t)
	for _, id := range []string{"a", "b", "gone"} {
		b.put(t, id, "Ann")
	}
	b.flush(t)
	require.NoError(t, b.loading(t, cache.Write{Op: cache.OpDelete, ID: "gone"}).Err)
	b.lately(t)
	b.e.RankBy = "visits"
	require.NoError(t, b.e.Init())
	b.rebuild(t)

	ranked := func(want ...string) {
		t.Helper()
		places, _, err := b.Top(t.Context(), b.e, 10)
		require.NoError(t, err)
		ids := []string{}
		for _, p := range places {
			assert.EqualValues(t, 7, p.Score)
			ids = append(ids, p.ID)
		}
		assert.Equal(t, want, ids)
	}
	ranked("a", "b")
	require.NoError(t, b.loading(t, cache.Write{Op: cache.OpPatch, ID: "a", Values: append(values("Bob", "", ""), "")}).Err)
	ranked("a", "b")
	require.NoError(t, b.loading(t, cache.Write{Op: cache.OpDelete, ID: "b"}).Err)
	ranked("a")
}
