package cache_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/cache"
	"github.com/afterwrite/afterwrite/schema"
)

// lately gives the entity a field that it did not have when its records were written,
// over a column that has been in use.
func (b *bundle) lately(t *testing.T) {
	t.Helper()
	e := *b.e
	e.Fields = append(e.Fields[:3:3], schema.Field{Name: "visits", Type: schema.Int})
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
	assert.Equal(t, schema.Pending, read.Status)
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
			require.ErrorIs(t, err, schema.ErrBusy)
			require.NotErrorIs(t, err, schema.ErrUnavailable, "Redis answers")
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
		w := cache.Write{Op: cache.OpIncrement, ID: id, Deltas: []schema.Delta{{Field: 3, By: 2}}}
		got, _ := b.write(t, w)
		require.NotEmpty(t, got.Token)
		return b.loading(t, w)
	}
	got := add("a")
	require.NoError(t, got.Err)
	assert.Equal(t, "9", got.Values[3])
	assert.Equal(t, append(values("Ann", "30", "0"), "9"), b.get(t, "a").Values)
	require.ErrorIs(t, add("null").Err, schema.ErrInvalid)
}

// A record that is not persisted has the field as a read tells it: as its row has it, or by
// its default. What is refused leaves the record as it was.
func TestIncrementOfAFieldThatAPendingRecordLacks(t *testing.T) {
	b := setup(t)
	for _, id := range []string{"row", "null", "low"} {
		b.put(t, id, "Ann")
	}
	b.flush(t)
	for _, id := range []string{"row", "null", "low", "new"} {
		b.put(t, id, "Ann")
	}
	b.lately(t)
	b.e.Fields[3].Default, b.e.Fields[3].Min = "3", "0"
	require.NoError(t, b.e.Init())
	b.table.set("null", append(values("Ann", "30", "0"), "null"))
	add := func(id string, deltas ...schema.Delta) cache.Written {
		w := cache.Write{Op: cache.OpIncrement, ID: id, Deltas: deltas}
		got, _ := b.write(t, w)
		require.NotEmpty(t, got.Token)
		return b.loading(t, w)
	}
	got := add("row", schema.Delta{Field: 3, By: 2})
	require.NoError(t, got.Err)
	assert.Equal(t, "9", got.Values[3])
	assert.Equal(t, append(values("Ann", "30", "0"), "9"), b.get(t, "row").Values)
	got = add("new", schema.Delta{Field: 2, By: 1}, schema.Delta{Field: 3, By: 2})
	require.NoError(t, got.Err)
	assert.Equal(t, append(values("Ann", "30", "1"), "5"), b.get(t, "new").Values)
	require.ErrorIs(t, add("null", schema.Delta{Field: 3, By: 1}).Err, schema.ErrInvalid)
	require.ErrorIs(t, add("low", schema.Delta{Field: 3, By: 1}, schema.Delta{Field: 1, By: -31}).Err,
		schema.ErrInvalid)
	b.table.set("low", append(values("Ann", "30", "0"), "8"))
	assert.Equal(t, append(values("Ann", "30", "0"), "8"), b.get(t, "low").Values, "it lacks the field still")

	for p := range b.e.Partitions {
		for _, due := range b.read(t, p).Due {
			assert.Equal(t, due.ID == "null" || due.ID == "low", due.Values[3] == "", due.ID)
		}
	}
	b.total(t)
}

// The row of a record that is not persisted counts only if the record is still what it was
// before the row was read.
func TestIncrementOfALackingFieldRacesWithAWrite(t *testing.T) {
	visit := cache.Write{Op: cache.OpIncrement, ID: "a", Deltas: []schema.Delta{{Field: 3, By: 2}}}
	for name, between := range map[string]func(t *testing.T, earlier, later *bundle){
		"a newer write":                   func(t *testing.T, b, _ *bundle) { b.put(t, "a", "Bob") },
		"a newer write that is persisted": func(t *testing.T, b, _ *bundle) { b.put(t, "a", "Bob"); b.flush(t) },
		"its own flush":                   func(t *testing.T, b, _ *bundle) { b.flush(t) },
		"a deletion and a put": func(t *testing.T, b, _ *bundle) {
			b.loading(t, cache.Write{Op: cache.OpDelete, ID: "a"})
			b.put(t, "a", "Bob")
		},
		"a write of the field": func(t *testing.T, _,
			b *bundle) {
			require.NoError(t, b.loading(t, visit).Err)
		},
		"a write of the field, and its flush": func(t *testing.T, _,
			b *bundle) {
			require.NoError(t, b.loading(t, visit).Err)
			b.flush(t)
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := setup(t)
			b.put(t, "a", "Ann")
			earlier := *b
			b.lately(t)
			b.e.Fields[3].Default = "3"
			require.NoError(t, b.e.Init())
			got, _ := b.write(t, visit)
			require.NotEmpty(t, got.Token)
			w := visit
			w.Token, w.Row = got.Token, &schema.Row{ID: "a", Exists: true,
				Values: append(values("Ann", "30", "0"), "100")}
			between(t, &earlier, b)
			got, _ = b.write(t, w)
			assert.NotContains(t, got.Values, "102", "the row is of before")
		})
	}
}

// Writes behind an increment that waits for its row keep their order.
func TestWritesBehindAnIncrementOfALackingField(t *testing.T) {
	b := setup(t)
	b.put(t, "a", "Ann")
	b.lately(t)
	b.e.Fields[3].Default = "3"
	require.NoError(t, b.e.Init())
	g := &cache.Group{Entity: b.e, Partition: b.e.Partition("a"), Writes: []cache.Write{
		{Op: cache.OpIncrement, ID: "a", Deltas: []schema.Delta{{Field: 3, By: 2}}},
		{Op: cache.OpPut, ID: "a", Values: append(values("Bob", "30", "0"), "50")},
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
	assert.Equal(t, append(values("Bob", "30", "0"), "50"), b.get(t, "a").Values)
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
	require.NoError(t, b.loading(t, cache.Write{Op: cache.OpPatch, ID: "a",
		Values: append(values("Bob", "", ""), "")}).Err)
	ranked("a", "b")
	require.NoError(t, b.loading(t, cache.Write{Op: cache.OpDelete, ID: "b"}).Err)
	ranked("a")
}
