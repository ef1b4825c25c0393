package cache_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/cache"
	"github.com/afterwrite/afterwrite/cache/pending"
	"github.com/afterwrite/afterwrite/internal/fleet"
	"github.com/afterwrite/afterwrite/internal/testkit/whole"
	"github.com/afterwrite/afterwrite/schema"
)

// without is the same Redis as a process sees it whose configuration lacks the last field.
func (b *bundle) without(t *testing.T) *bundle {
	t.Helper()
	e := *b.E
	e.Fields = e.Fields[:2:2]
	require.NoError(t, e.Init())
	other := *b
	other.E = &e
	return &other
}

// unknown returns the fields for which each record that is due is left.
func (b *bundle) unknown(t *testing.T) map[string][]string {
	t.Helper()
	all := map[string][]string{}
	for p := range b.E.Partitions {
		batch := b.DueIn(t, p)
		for _, d := range batch.Due {
			all[d.ID] = nil
		}
		for _, d := range batch.Unknown {
			all[d.ID] = d.Unknown
		}
	}
	return all
}

func (b *bundle) names(t *testing.T, id, name string) {
	t.Helper()
	got, _ := b.Send(t, cache.Write{Op: cache.OpPut, ID: id, Values: schema.Values{`"` + name + `"`, "30"}})
	require.NoError(t, got.Err)
}

// A record is left for the fields that were written, and not for those that came with its row.
func TestRecordsAreLeftForWrittenFieldsOnly(t *testing.T) {
	b := setup(t)
	old := b.without(t)
	count := []string{"count"}
	b.Put(t, "put", "Ann")
	require.Equal(t, map[string][]string{"put": count}, old.unknown(t))
	old.names(t, "put", "Bob")
	require.Equal(t, map[string][]string{"put": count}, old.unknown(t), "what another accepted is still to be written")
	require.Equal(t, whole.Row("Bob", "30", "0"), b.due(t, "put").Values)
	b.Flush(t)

	// What is cached of the row is no write.
	old.names(t, "put", "Cid")
	require.Equal(t, map[string][]string{"put": nil}, old.unknown(t))
	require.Empty(t, b.due(t, "put").Values[2], "the row keeps what it has")
	b.Flush(t)
	b.Table.Set("put", whole.Row("Cid", "30", "5"))
	require.NoError(t, b.RDB.Del(t.Context(), b.RecordKey("put")).Err())
	require.Equal(t, "5", b.Got(t, "put").Values[2])

	require.NoError(t, old.Loading(t,
		cache.Write{Op: cache.OpPatch, ID: "put", Values: schema.Values{"", "7"}}).Err)
	require.Equal(t, map[string][]string{"put": nil}, old.unknown(t))
	b.add(t, "put", 2)
	require.Equal(t, map[string][]string{"put": count}, old.unknown(t))
	require.NoError(t, old.Loading(t,
		cache.Write{Op: cache.OpPatch, ID: "put", Values: schema.Values{"", "8"}}).Err)
	require.Equal(t, map[string][]string{"put": count}, old.unknown(t))
	old.names(t, "put", "Dan")
	require.Equal(t, map[string][]string{"put": count}, old.unknown(t))
	require.NoError(t, b.Loading(t, cache.Write{Op: cache.OpDelete, ID: "put"}).Err)
	require.Equal(t, map[string][]string{"put": nil}, old.unknown(t))
}

// A put over a record with changed fields keeps of those that the process does not know the
// changed ones alone.
func TestAPutDropsUnknownFieldsThatNobodyWrote(t *testing.T) {
	b := setup(t)
	old := b.without(t)
	b.Put(t, "a", "Ann")
	b.Flush(t)
	b.patch(t, "a", schema.Values{"", "7", ""})
	old.names(t, "a", "Bob")
	require.Equal(t, map[string][]string{"a": nil}, old.unknown(t))
	require.False(t, b.RDB.HExists(t.Context(), b.RecordKey("a"), "count").Val())
	version := b.Got(t, "a").Version
	b.KillAll(t)
	got := old.Loading(t, cache.Write{Op: cache.OpDiscard, ID: "a", Values: schema.Values{`"Ann"`, "30"},
		IfMatch: version})
	require.NoError(t, got.Err)
	require.Equal(t, map[string][]string{"a": nil}, old.unknown(t))
}

// A caller that waits is not told that a record is refused which is left to another worker.
func TestALeftRecordIsPendingToWhoWaits(t *testing.T) {
	b := setup(t)
	version := b.Put(t, "a", "Ann")
	d := b.due(t, "a")
	_, err := b.Hold(t.Context(), b.E, b.E.Partition("a"), []pending.Refused{{
		Change: d.Change, Left: 3, Next: time.Now().Add(-time.Second),
		Refusal: schema.Refusal{Kind: schema.KindUnknownField, Column: "nick"},
	}})
	require.NoError(t, err)
	require.Equal(t, 3, b.due(t, "a").Left)
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	state, err := b.Wait(gone, b.E, "a", version)
	require.NoError(t, err)
	require.Equal(t, schema.Pending, state.Record.Status)
	require.Nil(t, state.Refusal)
	b.Flush(t)
	state, err = b.Wait(t.Context(), b.E, "a", version)
	require.NoError(t, err)
	require.Equal(t, schema.Persisted, state.Record.Status)
}

// renames gives the field count another name.
func (b *bundle) renames(t *testing.T) *bundle {
	t.Helper()
	e := *b.E
	e.Fields = append(e.Fields[:2:2], schema.Field{Name: "visits", Type: schema.Int, Default: "0",
		RenamedFrom: "count"})
	require.NoError(t, e.Init())
	other := *b
	other.E = &e
	return &other
}

// What was accepted under the former name of a field is the field's: for readers, for writers
// and in the flush.
func TestPendingWritesOfARenamedField(t *testing.T) {
	b := setup(t)
	now := b.renames(t)
	b.Put(t, "a", "Ann")
	b.add(t, "a", 2)
	require.Equal(t, whole.Row("Ann", "30", "1"), now.Got(t, "a").Values)
	require.Equal(t, whole.Row("Ann", "30", "1"), now.due(t, "a").Values)
	state, err := now.Status(t.Context(), now.E, "a")
	require.NoError(t, err)
	require.Equal(t, whole.Row("Ann", "30", "1"), state.Record.Values)
	require.Equal(t, map[string][]string{"a": nil}, now.unknown(t))

	got, _ := now.Send(t, cache.Write{Op: cache.OpIncrement, ID: "a", Deltas: []cache.Delta{{Field: 2, By: 5}}})
	require.NoError(t, got.Err)
	require.Equal(t, schema.Values{"", "", "6"}, got.Values)
	require.Equal(t, "6", b.Got(t, "a").Values[2])
	require.Equal(t, "6", now.Got(t, "a").Values[2])

	// A process that knows the former name alone has written later.
	b.Table.Set("a", whole.Row("Ann", "30", "6"))
	require.NoError(t, b.Loading(t,
		cache.Write{Op: cache.OpPatch, ID: "a", Values: schema.Values{"", "", "9"}}).Err)
	require.Equal(t, "9", now.Got(t, "a").Values[2])
	require.Equal(t, "9", now.due(t, "a").Values[2])
	require.NoError(t, now.Loading(t,
		cache.Write{Op: cache.OpPatch, ID: "a", Values: schema.Values{"", "8", ""}}).Err)
	require.Equal(t, whole.Row("Ann", "8", "9"), now.Got(t, "a").Values)
	now.Flush(t)

	// What was changed keeps its name.
	require.NoError(t, now.Loading(t,
		cache.Write{Op: cache.OpPatch, ID: "a", Values: schema.Values{"", "7", ""}}).Err)
	require.Equal(t, []int{1}, now.due(t, "a").Only)
	now.Flush(t)
	require.NoError(t, b.RDB.Del(t.Context(), b.RecordKey("a")).Err())
	b.Table.Set("a", whole.Row("Ann", "7", "9"))
	b.Got(t, "a")
	b.add(t, "a", 2)
	require.Equal(t, []int{2}, now.due(t, "a").Only)
	require.NoError(t, now.Loading(t,
		cache.Write{Op: cache.OpPatch, ID: "a", Values: schema.Values{"", "6", ""}}).Err)
	require.Equal(t, []int{2, 1}, now.due(t, "a").Only)
	require.Equal(t, whole.Row("Ann", "6", "10"), now.due(t, "a").Values)
}

// toSeven are writes of the renamed field: after each it is 7 where it was 0.
var toSeven = map[string]cache.Write{
	"patch":     {Op: cache.OpPatch, ID: "a", Values: schema.Values{"", "", "7"}},
	"put":       {Op: cache.OpPut, ID: "a", Values: whole.Row("Ann", "30", "7")},
	"increment": {Op: cache.OpIncrement, ID: "a", Deltas: []cache.Delta{{Field: 2, By: 7}}},
}

// renaming are processes that know a field by its former name alone, by both names, and by today's alone; and a row.
func renaming(t *testing.T) (b, now, unaware *bundle) {
	t.Helper()
	b = setup(t)
	now, unaware = b.renames(t), b.renames(t)
	unaware.E.Fields[2].RenamedFrom = ""
	require.NoError(t, unaware.E.Init())
	b.Table.Set("a", whole.Row("Ann", "30", "0"))
	return b, now, unaware
}

// A process that has a field without its former name writes it over what is pending under that
// name, or beside what is cached: its write is the newer one, whatever it was.
func TestAWriteUnderTodaysNameIsTheNewerOne(t *testing.T) {
	for name, write := range toSeven {
		t.Run(name, func(t *testing.T) {
			b, now, unaware := renaming(t)

			former := cache.Write{Op: cache.OpPatch, ID: "a", Values: schema.Values{"", "", "5"}}
			require.NoError(t, b.Loading(t, former).Err)
			require.NoError(t, unaware.Loading(t, write).Err)
			require.True(t, b.RDB.HExists(t.Context(), b.RecordKey("a"), "count").Val())
			want := whole.Row("Ann", "30", "7")
			require.Equal(t, want, now.Got(t, "a").Values)
			require.Equal(t, want, now.due(t, "a").Values)
			state, err := now.Status(t.Context(), now.E, "a")
			require.NoError(t, err)
			require.Equal(t, want, state.Record.Values)

			// The former name is written again: it is the newer one now.
			require.NoError(t, b.Loading(t,
				cache.Write{Op: cache.OpPut, ID: "a", Values: whole.Row("Bob", "31", "9")}).Err)
			require.Equal(t, whole.Row("Bob", "31", "9"), now.Got(t, "a").Values)
			require.Equal(t, whole.Row("Bob", "31", "9"), now.due(t, "a").Values)
			require.Nil(t, now.due(t, "a").Only, "a put writes all")
			require.NoError(t, unaware.Loading(t, write).Err)
			last := map[bool]string{true: "14", false: "7"}[name == "increment"]
			require.Equal(t, last, now.Got(t, "a").Values[2])
			patch := cache.Write{Op: cache.OpPatch, ID: "a", Values: schema.Values{"", "8", ""}}
			require.NoError(t, now.Loading(t, patch).Err)
			require.Equal(t, last, now.due(t, "a").Values[2])
			require.Equal(t, last, b.Got(t, "a").Values[2])
		})
	}
}

// A process that knows the former name alone reads what was written under today's, and adds to that. One that knows
// today's alone takes the former for no field of its own.
func TestAWriteUnderTodaysNameIsReadUnderTheFormer(t *testing.T) {
	for name, write := range toSeven {
		t.Run(name, func(t *testing.T) {
			b, now, unaware := renaming(t)
			count := cache.Write{Op: cache.OpIncrement, ID: "a", Deltas: []cache.Delta{{Field: 2, By: 1}}}
			none := map[string][]string{"a": nil}

			require.NoError(t, now.Loading(t, write).Err)
			require.Equal(t, whole.Row("Ann", "30", "7"), b.Got(t, "a").Values)
			require.Equal(t, map[string][]string{"a": {"visits"}}, b.unknown(t))
			require.Equal(t, none, unaware.unknown(t))
			require.NoError(t, unaware.Loading(t, cache.Write{Op: cache.OpPatch, ID: "a",
				Values: schema.Values{"", "31", ""}}).Err)
			require.Equal(t, none, unaware.unknown(t))

			got, _ := b.Send(t, count)
			require.NoError(t, got.Err)
			require.Equal(t, schema.Values{"", "", "8"}, got.Values)
			require.Equal(t, whole.Row("Ann", "31", "8"), now.due(t, "a").Values)
			require.Equal(t, map[string][]string{"a": {"count"}}, unaware.unknown(t))
			got, _ = now.Send(t, count)
			require.NoError(t, got.Err)
			require.Equal(t, schema.Values{"", "", "9"}, got.Values)
			require.Equal(t, whole.Row("Ann", "31", "9"), b.Got(t, "a").Values)
			require.Equal(t, none, unaware.unknown(t))

			unaware.E.Fields[2].Default = "0"
			got, _ = unaware.Send(t, cache.Write{Op: cache.OpPut, ID: "a", Values: whole.Row("Bob", "32", "5")})
			require.NoError(t, got.Err)
			require.Equal(t, none, unaware.unknown(t))
			require.Equal(t, whole.Row("Bob", "32", "5"), now.due(t, "a").Values)
		})
	}
}

// A persisted record with two values under two names does not tell which is the row's: it is read again.
func TestAPersistedRecordOfTwoNamesIsReadAgain(t *testing.T) {
	b := setup(t)
	now, unaware := b.renames(t), b.renames(t)
	unaware.E.Fields[2].RenamedFrom = ""
	require.NoError(t, unaware.E.Init())
	b.Table.Set("a", whole.Row("Ann", "30", "5"))
	b.Got(t, "a")
	require.NoError(t, unaware.Loading(t,
		cache.Write{Op: cache.OpPatch, ID: "a", Values: schema.Values{"", "", "7"}}).Err)
	unaware.Flush(t)
	b.Table.Set("a", whole.Row("Ann", "30", "7"))
	require.Equal(t, "5", b.RDB.HGet(t.Context(), b.RecordKey("a"), "count").Val())
	require.Equal(t, whole.Row("Ann", "30", "7"), now.Got(t, "a").Values)
	require.NoError(t, now.Loading(t,
		cache.Write{Op: cache.OpPatch, ID: "a", Values: schema.Values{"", "8", ""}}).Err)
	require.Equal(t, whole.Row("Ann", "8", "7"), now.Got(t, "a").Values)
}

// Processes publish their fields: which differ, and which process knows which, is read from that.
func TestFieldsOfProcesses(t *testing.T) {
	b := setup(t)
	old := b.without(t)
	say := func(kind, id string, e *schema.Entity, more map[string]string) {
		info := map[string]string{fleet.FieldsInfo: fleet.Fields([]*schema.Entity{e})}
		for k, v := range more {
			info[k] = v
		}
		require.NoError(t, b.Beat(t.Context(), kind, id, info, time.Minute))
	}
	alive := func() []fleet.Process {
		all, err := b.Alive(t.Context())
		require.NoError(t, err)
		return all
	}
	say("api", "1", b.E, nil)
	say("worker", "2", old.E, map[string]string{fleet.UnknownInfo: `{"user":["count"]}`})
	require.Equal(t, []string{"user: worker 2 has no count in column count"}, fleet.Differences(alive()))
	require.Equal(t, []fleet.Unknown{{Entity: "user", Fields: []string{"count"}, Workers: []string{"2"}}},
		fleet.Unknowns(alive()))
	require.Contains(t, fleet.Unknowns(alive())[0].String(), "no living worker has it")
	say("worker", "3", b.E, nil)
	require.Equal(t, 1, fleet.Unknowns(alive())[0].Know)
	say("worker", "2", b.E, nil)
	require.Empty(t, fleet.Differences(alive()))
	require.Empty(t, fleet.Unknowns(alive()))
}
