package cache_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/cache"
	"github.com/afterwrite/afterwrite/internal/testkit/whole"
	"github.com/afterwrite/afterwrite/schema"
)

// lately gives the entity a field that it did not have when its records were written,
// over a column that has been in use.
func (b *bundle) lately(t *testing.T) {
	t.Helper()
	e := *b.E
	e.Fields = append(e.Fields[:3:3], schema.Field{Name: "visits", Type: schema.Int})
	require.NoError(t, e.Init())
	b.E = &e
	for id, row := range b.Table.Copy() {
		b.Table.Set(id, append(row[:3:3], "7"))
	}
}

// What was cached before the entity got a field says nothing of the field: a persisted
// record is loaded again, to another the field is added as the row has it.
func TestI4FieldAddedToTheEntity(t *testing.T) {
	b := setup(t)
	ids := []string{"persisted", "many", "rewritten", "new", "gone"}
	for _, id := range ids {
		b.Put(t, id, "Ann")
	}
	require.NoError(t, b.Loading(t, cache.Write{Op: cache.OpDelete, ID: "gone"}).Err)
	b.Flush(t)
	pending := b.Put(t, "rewritten", "Ann")
	b.Put(t, "waiting", "Ann")
	b.lately(t)

	read := b.Got(t, "persisted")
	assert.Equal(t, cache.Filled, read.Source)
	assert.Equal(t, append(whole.Row("Ann", "30", "0"), "7"), read.Values)
	assert.Equal(t, cache.Hit, b.Got(t, "persisted").Source)

	read = b.Got(t, "rewritten")
	assert.Equal(t, cache.Hit, read.Source)
	assert.Equal(t, schema.Pending, read.Status)
	assert.Equal(t, pending, read.Version)
	assert.Equal(t, append(whole.Row("Ann", "30", "0"), "7"), read.Values)
	assert.Equal(t, append(whole.Row("Ann", "30", "0"), "null"), b.Got(t, "waiting").Values, "it has no row yet")

	reads, err := b.GetMany(t.Context(), b.E, []string{"many", "gone", "rewritten", "waiting", "persisted"})
	require.NoError(t, err)
	for i, last := range []string{"7", "", "7", "null", "7"} {
		if last == "" {
			assert.True(t, reads[i].Deleted)
			continue
		}
		assert.Equal(t, append(whole.Row("Ann", "30", "0"), last), reads[i].Values)
	}

	for p := range b.E.Partitions {
		for _, due := range b.DueIn(t, p).Due {
			assert.Empty(t, due.Values[3], "what nobody wrote is not written")
		}
	}
}

// A record that a process without the field writes again each time while its row is read
// is not waited for without end.
func TestRecordWithoutAFieldIsNotReadForEver(t *testing.T) {
	b := setup(t)
	b.Put(t, "a", "Ann")
	earlier := *b
	b.lately(t)
	began, hold := make(chan struct{}), make(chan struct{})
	b.Table.Began, b.Table.Hold = began, hold
	failed := make(chan error, 1)
	go func() {
		_, err := b.Get(t.Context(), b.E, "a")
		failed <- err
	}()
	for {
		select {
		case <-began:
			earlier.Put(t, "a", "Ann")
			hold <- struct{}{}
		case err := <-failed:
			require.ErrorIs(t, err, schema.ErrBusy)
			require.NotErrorIs(t, err, schema.ErrUnavailable, "Redis answers")
			return
		}
	}
}

// An increment of a field that the cached record lacks asks for the row.
func TestIncrementOfAFieldAddedToTheEntity(t *testing.T) {
	b := setup(t)
	b.Put(t, "a", "Ann")
	b.Put(t, "null", "Ann")
	b.Flush(t)
	b.lately(t)
	b.Table.Set("null", append(whole.Row("Ann", "30", "0"), "null"))
	add := func(id string) cache.Written {
		w := cache.Write{Op: cache.OpIncrement, ID: id, Deltas: []cache.Delta{{Field: 3, By: 2}}}
		got, _ := b.Send(t, w)
		require.NotEmpty(t, got.Token)
		return b.Loading(t, w)
	}
	got := add("a")
	require.NoError(t, got.Err)
	assert.Equal(t, "9", got.Values[3])
	assert.Equal(t, append(whole.Row("Ann", "30", "0"), "9"), b.Got(t, "a").Values)
	require.ErrorIs(t, add("null").Err, schema.ErrInvalid)
}

// A record that is not persisted has the field as a read tells it: as its row has it, or by
// its default. What is refused leaves the record as it was.
func TestIncrementOfAFieldThatAPendingRecordLacks(t *testing.T) {
	b := setup(t)
	for _, id := range []string{"row", "null", "low"} {
		b.Put(t, id, "Ann")
	}
	b.Flush(t)
	for _, id := range []string{"row", "null", "low", "new"} {
		b.Put(t, id, "Ann")
	}
	b.lately(t)
	b.E.Fields[3].Default, b.E.Fields[3].Min = "3", "0"
	require.NoError(t, b.E.Init())
	b.Table.Set("null", append(whole.Row("Ann", "30", "0"), "null"))
	add := func(id string, deltas ...cache.Delta) cache.Written {
		w := cache.Write{Op: cache.OpIncrement, ID: id, Deltas: deltas}
		got, _ := b.Send(t, w)
		require.NotEmpty(t, got.Token)
		return b.Loading(t, w)
	}
	got := add("row", cache.Delta{Field: 3, By: 2})
	require.NoError(t, got.Err)
	assert.Equal(t, "9", got.Values[3])
	assert.Equal(t, append(whole.Row("Ann", "30", "0"), "9"), b.Got(t, "row").Values)
	got = add("new", cache.Delta{Field: 2, By: 1}, cache.Delta{Field: 3, By: 2})
	require.NoError(t, got.Err)
	assert.Equal(t, append(whole.Row("Ann", "30", "1"), "5"), b.Got(t, "new").Values)
	require.ErrorIs(t, add("null", cache.Delta{Field: 3, By: 1}).Err, schema.ErrInvalid)
	require.ErrorIs(t, add("low", cache.Delta{Field: 3, By: 1}, cache.Delta{Field: 1, By: -31}).Err,
		schema.ErrInvalid)
	b.Table.Set("low", append(whole.Row("Ann", "30", "0"), "8"))
	assert.Equal(t, append(whole.Row("Ann", "30", "0"), "8"), b.Got(t, "low").Values, "it lacks the field still")

	for p := range b.E.Partitions {
		for _, due := range b.DueIn(t, p).Due {
			assert.Equal(t, due.ID == "null" || due.ID == "low", due.Values[3] == "", due.ID)
		}
	}
	b.Total(t)
}

// The row of a record that is not persisted counts only if the record is still what it was
// before the row was read.
func TestIncrementOfALackingFieldRacesWithAWrite(t *testing.T) {
	visit := cache.Write{Op: cache.OpIncrement, ID: "a", Deltas: []cache.Delta{{Field: 3, By: 2}}}
	for name, between := range map[string]func(t *testing.T, earlier, later *bundle){
		"a newer write":                   func(t *testing.T, b, _ *bundle) { b.Put(t, "a", "Bob") },
		"a newer write that is persisted": func(t *testing.T, b, _ *bundle) { b.Put(t, "a", "Bob"); b.Flush(t) },
		"its own flush":                   func(t *testing.T, b, _ *bundle) { b.Flush(t) },
		"a deletion and a put": func(t *testing.T, b, _ *bundle) {
			b.Loading(t, cache.Write{Op: cache.OpDelete, ID: "a"})
			b.Put(t, "a", "Bob")
		},
		"a write of the field": func(t *testing.T, _,
			b *bundle) {
			require.NoError(t, b.Loading(t, visit).Err)
		},
		"a write of the field, and its flush": func(t *testing.T, _,
			b *bundle) {
			require.NoError(t, b.Loading(t, visit).Err)
			b.Flush(t)
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := setup(t)
			b.Put(t, "a", "Ann")
			earlier := *b
			b.lately(t)
			b.E.Fields[3].Default = "3"
			require.NoError(t, b.E.Init())
			got, _ := b.Send(t, visit)
			require.NotEmpty(t, got.Token)
			w := visit
			w.Token, w.Row = got.Token, &schema.Row{ID: "a", Exists: true,
				Values: append(whole.Row("Ann", "30", "0"), "100")}
			between(t, &earlier, b)
			got, _ = b.Send(t, w)
			assert.NotContains(t, got.Values, "102", "the row is of before")
		})
	}
}

// Writes behind an increment that waits for its row keep their order.
func TestWritesBehindAnIncrementOfALackingField(t *testing.T) {
	b := setup(t)
	b.Put(t, "a", "Ann")
	b.lately(t)
	b.E.Fields[3].Default = "3"
	require.NoError(t, b.E.Init())
	g := &cache.Group{Entity: b.E, Partition: b.E.Partition("a"), Writes: []cache.Write{
		{Op: cache.OpIncrement, ID: "a", Deltas: []cache.Delta{{Field: 3, By: 2}}},
		{Op: cache.OpPut, ID: "a", Values: append(whole.Row("Bob", "30", "0"), "50")},
	}}
	b.Write(t.Context(), g)
	for i := range g.Writes {
		require.NotEmpty(t, g.Results[i].Token)
		g.Writes[i].Token, g.Writes[i].Row = g.Results[i].Token, &schema.Row{ID: "a"}
	}
	b.Write(t.Context(), g)
	require.NoError(t, g.Results[0].Err)
	assert.Equal(t, "5", g.Results[0].Values[3])
	assert.Greater(t, g.Results[1].Version, g.Results[0].Version)
	assert.Equal(t, append(whole.Row("Bob", "30", "0"), "50"), b.Got(t, "a").Values)
}

// A record that was cached before the entity got the field that ranks it has the place of
// its row: in a rebuild, and when it is written without the field.
func TestRankByAFieldAddedToTheEntity(t *testing.T) {
	b := setup(t)
	for _, id := range []string{"a", "b", "gone"} {
		b.Put(t, id, "Ann")
	}
	b.Flush(t)
	require.NoError(t, b.Loading(t, cache.Write{Op: cache.OpDelete, ID: "gone"}).Err)
	b.lately(t)
	b.E.RankBy = "visits"
	require.NoError(t, b.E.Init())
	b.RebuildRank(t)

	ranked := func(want ...string) {
		t.Helper()
		places, _, err := b.Top(t.Context(), b.E, 10)
		require.NoError(t, err)
		ids := []string{}
		for _, p := range places {
			assert.EqualValues(t, 7, p.Score)
			ids = append(ids, p.ID)
		}
		assert.Equal(t, want, ids)
	}
	ranked("a", "b")
	require.NoError(t, b.Loading(t, cache.Write{Op: cache.OpPatch, ID: "a",
		Values: append(whole.Row("Bob", "", ""), "")}).Err)
	ranked("a", "b")
	require.NoError(t, b.Loading(t, cache.Write{Op: cache.OpDelete, ID: "b"}).Err)
	ranked("a")
}
