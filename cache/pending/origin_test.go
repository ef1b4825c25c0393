package pending_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/cache"
	"github.com/afterwrite/afterwrite/internal/testkit"
	"github.com/afterwrite/afterwrite/internal/testkit/whole"
	"github.com/afterwrite/afterwrite/schema"
)

// traced puts a record in a traced request, and returns the origin that its flush should find.
func (b *bundle) traced(t *testing.T, id, name string, n byte) *schema.Origin {
	t.Helper()
	o := &schema.Origin{TraceID: [16]byte{n, 1}, SpanID: [8]byte{n, 2}, Request: "request-" + string('0'+rune(n))}
	got, _ := b.Send(t, cache.Write{Op: cache.OpPut, ID: id, Values: whole.Row(name, "30", "0"), Origin: o})
	require.NoError(t, got.Err)
	o.Version = got.Version
	return o
}

func (b *bundle) increment(t *testing.T, id string) {
	t.Helper()
	got := b.Loading(t, cache.Write{Op: cache.OpIncrement, ID: id, Deltas: []cache.Delta{{Field: 2, By: 1}}})
	require.NoError(t, got.Err)
}

// origin is what a flush finds with the one record that is due.
func (b *bundle) origin(t *testing.T, id string) *schema.Origin {
	t.Helper()
	batch := b.DueIn(t, b.E.Partition(id))
	require.Len(t, batch.Due, 1)
	return batch.Due[0].Origin
}

// stored are the fields of a record that hold an origin.
func (b *bundle) stored(t *testing.T, id string) map[string]string {
	t.Helper()
	all, err := b.RDB.HGetAll(t.Context(), b.RecordKey(id)).Result()
	require.NoError(t, err)
	for name := range all {
		if name != "_t" && name != "_q" {
			delete(all, name)
		}
	}
	return all
}

// An origin is found by the flush of its write, whatever the operation, and the ack removes it.
func TestAnOriginStaysUntilTheAck(t *testing.T) {
	b := setup(t)
	want := b.traced(t, "a", "one", 1)
	require.Equal(t, want, b.origin(t, "a"))
	for name, value := range b.stored(t, "a") {
		require.LessOrEqual(t, len(value), 64, "%s: a longer value makes a hash several times as large", name)
	}
	require.Len(t, b.stored(t, "a"), 2)
	b.Flush(t)
	require.Empty(t, b.stored(t, "a"))
	b.Put(t, "a", "two")
	require.Nil(t, b.origin(t, "a"), "an untraced write stores nothing")
	require.Empty(t, b.stored(t, "a"))
	b.Flush(t)

	for _, w := range []cache.Write{
		{Op: cache.OpPatch, ID: "a", Values: schema.Values{`"three"`, "", ""}},
		{Op: cache.OpIncrement, ID: "a", Deltas: []cache.Delta{{Field: 2, By: 1}}},
		{Op: cache.OpPut, ID: "a", Values: whole.Row("four", "1", "1"), Key: "k", KeyHash: "h"},
		{Op: cache.OpDelete, ID: "a"},
		{Op: cache.OpCreate, ID: "a", Values: whole.Row("five", "1", "1")},
	} {
		w.Origin = &schema.Origin{TraceID: [16]byte{7}, SpanID: [8]byte{8}}
		got := b.Loading(t, w)
		require.NoError(t, got.Err, w.Op)
		require.Equal(t, &schema.Origin{TraceID: [16]byte{7}, SpanID: [8]byte{8}, Version: got.Version},
			b.origin(t, "a"), w.Op)
		b.Flush(t)
		require.Empty(t, b.stored(t, "a"), w.Op)
	}
}

// A newer write without a trace leaves the origin of the older one, whose state it contains or replaces: a counter that
// many write would else never show the flush of the one that is sampled.
func TestAnOriginStaysThroughUntracedWrites(t *testing.T) {
	b := setup(t)
	b.Put(t, "a", "zero")
	first := b.traced(t, "a", "one", 1)
	b.Put(t, "a", "two")
	require.Equal(t, first, b.origin(t, "a"))
	batch := b.DueIn(t, b.E.Partition("a"))
	b.Put(t, "a", "three")
	n, err := b.Ack(t.Context(), b.E, b.E.Partition("a"), batch, b.Commit(batch))
	require.NoError(t, err)
	require.Zero(t, n)
	require.Empty(t, b.stored(t, "a"), "the traced write is persisted, though the record is pending")
	second := b.traced(t, "a", "four", 2)
	batch = b.DueIn(t, b.E.Partition("a"))
	third := b.traced(t, "a", "five", 3)
	_, err = b.Ack(t.Context(), b.E, b.E.Partition("a"), batch, b.Commit(batch))
	require.NoError(t, err)
	require.NotEqual(t, second, third)
	require.Equal(t, third, b.origin(t, "a"), "the ack of an older write leaves that of a newer one")
}

// A worker of a build that does not know origins leaves them behind its ack. They are void then.
func TestAnOriginThatAnOlderWorkerLeft(t *testing.T) {
	b := setup(t)
	b.traced(t, "a", "one", 1)
	batch := b.DueIn(t, b.E.Partition("a"))
	changes := b.Commit(batch)
	changes[0].Origin = nil
	n, err := b.Ack(t.Context(), b.E, b.E.Partition("a"), batch, changes)
	require.NoError(t, err)
	require.Equal(t, 1, n)
	require.Len(t, b.stored(t, "a"), 2)
	testkit.Eventually(t, "the next millisecond", func() bool { // pending times are in ms, versions in µs
		now, err := b.RDB.Time(t.Context()).Result()
		require.NoError(t, err)
		return now.UnixMilli() > int64(changes[0].Version)/1000
	})
	b.increment(t, "a")
	require.Nil(t, b.origin(t, "a"))
	b.Flush(t)
	b.Put(t, "a", "two")
	require.Nil(t, b.origin(t, "a"))
	require.Empty(t, b.stored(t, "a"), "a put takes them off")
	again := b.traced(t, "a", "three", 2)
	require.Equal(t, again, b.origin(t, "a"))
}

// A request id that is too long, or that an event could not have as it is, is not stored; its trace is.
func TestAnOriginIsBounded(t *testing.T) {
	b := setup(t)
	for _, request := range []string{strings.Repeat("x", 65), `a"b`, "a;b", "a b", "ä", "a\n"} {
		o := &schema.Origin{TraceID: [16]byte{1}, SpanID: [8]byte{2}, Request: request}
		got, _ := b.Send(t, cache.Write{Op: cache.OpPut, ID: "a", Values: whole.Row("one", "30", "0"), Origin: o})
		require.NoError(t, got.Err)
		found := b.origin(t, "a")
		require.NotNil(t, found)
		require.Empty(t, found.Request, request)
	}
}

// Events of a traced write name its origin; of other records of the same message they do not.
func TestEventsNameTheOrigin(t *testing.T) {
	b := setup(t, func(e *schema.Entity, _ *cache.Config) { e.Partitions = 1 })
	sub, err := b.Subscribe(t.Context(), b.E)
	require.NoError(t, err)
	t.Cleanup(sub.Close)
	next := func(kind string) map[string]*schema.Origin {
		t.Helper()
		origins := map[string]*schema.Origin{}
		testkit.Eventually(t, kind, func() bool {
			select {
			case events := <-sub.C():
				for _, e := range events {
					if e.Type == kind {
						origins[e.ID] = e.Origin
					}
				}
			default:
			}
			return len(origins) > 0
		})
		return origins
	}
	b.Put(t, "a", "one")
	want := b.traced(t, "b", "one", 1)
	b.Put(t, "c", "one")
	b.HoldAll(t, 0)
	require.Equal(t, map[string]*schema.Origin{"a": nil, "b": want, "c": nil}, next("held"))
	b.Flush(t)
	require.Equal(t, map[string]*schema.Origin{"a": nil, "b": want, "c": nil}, next("persisted"))
	want = b.traced(t, "b", "two", 2)
	b.HoldAll(t, 0)
	require.Equal(t, map[string]*schema.Origin{"b": want}, next("held"))
	b.KillAll(t)
	require.Equal(t, map[string]*schema.Origin{"b": want}, next("dead"))
	kept := 0
	for message, err := range b.Events(t.Context(), []*schema.Entity{b.E}, time.Now().Add(-time.Minute)) {
		require.NoError(t, err)
		for _, e := range message.Events {
			if e.Type == "dead" {
				kept++
				require.Equal(t, want, e.Origin)
			}
		}
	}
	require.Equal(t, 1, kept)
}
