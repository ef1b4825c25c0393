package pending_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/cache"
	"github.com/afterwrite/afterwrite/internal/testkit"
	"github.com/afterwrite/afterwrite/schema"
)

// traced puts a record in a traced request, and returns the origin that its flush should find.
func (b *bundle) traced(t *testing.T, id, name string, n byte) *schema.Origin {
	t.Helper()
	o := &schema.Origin{TraceID: [16]byte{n, 1}, SpanID: [8]byte{n, 2}, Request: "request-" + string('0'+rune(n))}
	got, _ := b.write(t, cache.Write{Op: cache.OpPut, ID: id, Values: values(name, "30", "0"), Origin: o})
	require.NoError(t, got.Err)
	o.Version = got.Version
	return o
}

func (b *bundle) increment(t *testing.T, id string) {
	t.Helper()
	got := b.loading(t, cache.Write{Op: cache.OpIncrement, ID: id, Deltas: []schema.Delta{{Field: 2, By: 1}}})
	require.NoError(t, got.Err)
}

// origin is what a flush finds with the one record that is due.
func (b *bundle) origin(t *testing.T, id string) *schema.Origin {
	t.Helper()
	batch := b.read(t, b.e.Partition(id))
	require.Len(t, batch.Due, 1)
	return batch.Due[0].Origin
}

// stored are the fields of a record that hold an origin.
func (b *bundle) stored(t *testing.T, id string) map[string]string {
	t.Helper()
	all, err := b.rdb.HGetAll(t.Context(), b.key(id)).Result()
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
	b.flush(t)
	require.Empty(t, b.stored(t, "a"))
	b.put(t, "a", "two")
	require.Nil(t, b.origin(t, "a"), "an untraced write stores nothing")
	require.Empty(t, b.stored(t, "a"))
	b.flush(t)

	for _, w := range []cache.Write{
		{Op: cache.OpPatch, ID: "a", Values: schema.Values{`"three"`, "", ""}},
		{Op: cache.OpIncrement, ID: "a", Deltas: []schema.Delta{{Field: 2, By: 1}}},
		{Op: cache.OpPut, ID: "a", Values: values("four", "1", "1"), Key: "k", KeyHash: "h"},
		{Op: cache.OpDelete, ID: "a"},
		{Op: cache.OpCreate, ID: "a", Values: values("five", "1", "1")},
	} {
		w.Origin = &schema.Origin{TraceID: [16]byte{7}, SpanID: [8]byte{8}}
		got := b.loading(t, w)
		require.NoError(t, got.Err, w.Op)
		require.Equal(t, &schema.Origin{TraceID: [16]byte{7}, SpanID: [8]byte{8}, Version: got.Version},
			b.origin(t, "a"), w.Op)
		b.flush(t)
		require.Empty(t, b.stored(t, "a"), w.Op)
	}
}

// A newer write without a trace leaves the origin of the older one, whose state it contains or replaces: a counter that
// many write would else never show the flush of the one that is sampled.
func TestAnOriginStaysThroughUntracedWrites(t *testing.T) {
	b := setup(t)
	b.put(t, "a", "zero")
	first := b.traced(t, "a", "one", 1)
	b.put(t, "a", "two")
	require.Equal(t, first, b.origin(t, "a"))
	batch := b.read(t, b.e.Partition("a"))
	b.put(t, "a", "three")
	n, err := b.Ack(t.Context(), b.e, b.e.Partition("a"), batch, b.commit(batch))
	require.NoError(t, err)
	require.Zero(t, n)
	require.Empty(t, b.stored(t, "a"), "the traced write is persisted, though the record is pending")
	second := b.traced(t, "a", "four", 2)
	batch = b.read(t, b.e.Partition("a"))
	third := b.traced(t, "a", "five", 3)
	_, err = b.Ack(t.Context(), b.e, b.e.Partition("a"), batch, b.commit(batch))
	require.NoError(t, err)
	require.NotEqual(t, second, third)
	require.Equal(t, third, b.origin(t, "a"), "the ack of an older write leaves that of a newer one")
}

// A worker of a build that does not know origins leaves them behind its ack. They are void then.
func TestAnOriginThatAnOlderWorkerLeft(t *testing.T) {
	b := setup(t)
	b.traced(t, "a", "one", 1)
	batch := b.read(t, b.e.Partition("a"))
	changes := b.commit(batch)
	changes[0].Origin = nil
	n, err := b.Ack(t.Context(), b.e, b.e.Partition("a"), batch, changes)
	require.NoError(t, err)
	require.Equal(t, 1, n)
	require.Len(t, b.stored(t, "a"), 2)
	testkit.Eventually(t, "the next millisecond", func() bool { // pending times are in ms, versions in µs
		now, err := b.rdb.Time(t.Context()).Result()
		require.NoError(t, err)
		return now.UnixMilli() > int64(changes[0].Version)/1000
	})
	b.increment(t, "a")
	require.Nil(t, b.origin(t, "a"))
	b.flush(t)
	b.put(t, "a", "two")
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
		got, _ := b.write(t, cache.Write{Op: cache.OpPut, ID: "a", Values: values("one", "30", "0"), Origin: o})
		require.NoError(t, got.Err)
		found := b.origin(t, "a")
		require.NotNil(t, found)
		require.Empty(t, found.Request, request)
	}
}

// Events of a traced write name its origin; of other records of the same message they do not.
func TestEventsNameTheOrigin(t *testing.T) {
	b := setup(t, func(e *schema.Entity, _ *cache.Config) { e.Partitions = 1 })
	sub, err := b.Subscribe(t.Context(), b.e)
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
	b.put(t, "a", "one")
	want := b.traced(t, "b", "one", 1)
	b.put(t, "c", "one")
	b.holdAll(t, 0)
	require.Equal(t, map[string]*schema.Origin{"a": nil, "b": want, "c": nil}, next("held"))
	b.flush(t)
	require.Equal(t, map[string]*schema.Origin{"a": nil, "b": want, "c": nil}, next("persisted"))
	want = b.traced(t, "b", "two", 2)
	b.holdAll(t, 0)
	require.Equal(t, map[string]*schema.Origin{"b": want}, next("held"))
	b.killAll(t)
	require.Equal(t, map[string]*schema.Origin{"b": want}, next("dead"))
	kept := 0
	for message, err := range b.Events(t.Context(), []*schema.Entity{b.e}, time.Now().Add(-time.Minute)) {
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
