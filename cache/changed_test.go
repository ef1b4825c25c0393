package cache_test

import (
	"fmt"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/afterwrite/afterwrite/cache"
	"github.com/afterwrite/afterwrite/cache/pending"
	"github.com/afterwrite/afterwrite/schema"
)

// The fields of a bundle's entity.
const (
	name  = 0
	age   = 1
	count = 2
)

// due is the one record that a flush of it would write.
func (b *bundle) due(t *testing.T, id string) pending.Due {
	t.Helper()
	batch := b.DueIn(t, b.E.Partition(id))
	require.Len(t, batch.Due, 1)
	return batch.Due[0]
}

func (b *bundle) patch(t *testing.T, id string, v schema.Values) schema.Version {
	t.Helper()
	got := b.Loading(t, cache.Write{Op: cache.OpPatch, ID: id, Values: v})
	require.NoError(t, got.Err)
	return got.Version
}

func (b *bundle) add(t *testing.T, id string, field int) schema.Version {
	t.Helper()
	got := b.Loading(t, cache.Write{Op: cache.OpIncrement, ID: id, Deltas: []cache.Delta{{Field: field, By: 1}}})
	require.NoError(t, got.Err)
	return got.Version
}

// ack acks a record as it was flushed at some version, whatever it is now.
func (b *bundle) ack(t *testing.T, d pending.Due) {
	t.Helper()
	_, err := b.Ack(t.Context(), b.E, b.E.Partition(d.ID), pending.Batch{ReadAt: time.Now()}, []schema.Change{d.Change})
	require.NoError(t, err)
}

func TestAFlushNamesWhatWasChanged(t *testing.T) {
	b := setup(t)
	b.Put(t, "a", "one")
	require.Nil(t, b.due(t, "a").Only, "a put writes all")
	b.add(t, "a", count)
	require.Nil(t, b.due(t, "a").Only, "the put is not flushed yet")
	b.Flush(t)
	b.add(t, "a", count)
	require.Equal(t, []int{count}, b.due(t, "a").Only)
	b.add(t, "a", count)
	require.Equal(t, []int{count}, b.due(t, "a").Only)
	b.patch(t, "a", schema.Values{"", "7", ""})
	require.Equal(t, []int{count, age}, b.due(t, "a").Only)
	b.patch(t, "a", schema.Values{`"x"`, "", "1"})
	require.Equal(t, []int{age, name, count}, b.due(t, "a").Only)
	b.Put(t, "a", "two")
	require.Nil(t, b.due(t, "a").Only)
	b.Flush(t)
	require.Zero(t, b.RDB.HExists(t.Context(), b.RecordKey("a"), "_c").Val())

	// An uncached record is loaded, and patched in the same step.
	require.NoError(t, b.RDB.Del(t.Context(), b.RecordKey("a")).Err())
	b.patch(t, "a", schema.Values{"", "9", ""})
	require.Equal(t, []int{age}, b.due(t, "a").Only)
	b.Flush(t)
	require.Zero(t, b.RDB.HExists(t.Context(), b.RecordKey("a"), "_c").Val(), "persisted: nothing is changed")
	require.NoError(t, b.Loading(t, cache.Write{Op: cache.OpDelete, ID: "a"}).Err)
	b.Put(t, "a", "three")
	require.Nil(t, b.due(t, "a").Only)
}

// A record that is written again during each of its flushes names what was changed since
// the flush, and not what it ever changed.
func TestAnAckOfAnOlderVersionKeepsWhatChangedSince(t *testing.T) {
	b := setup(t)
	b.Put(t, "a", "one")
	d := b.due(t, "a")
	b.patch(t, "a", schema.Values{"", "7", ""})
	b.ack(t, d)
	d = b.due(t, "a")
	require.Equal(t, []int{age}, d.Only)
	b.add(t, "a", count)
	between := b.due(t, "a")
	b.patch(t, "a", schema.Values{`"x"`, "8", ""})
	b.ack(t, d)
	require.Equal(t, []int{count, name, age}, b.due(t, "a").Only)
	b.ack(t, d)
	require.Equal(t, []int{count, name, age}, b.due(t, "a").Only, "a late ack takes nothing more")
	b.ack(t, between)
	require.Equal(t, []int{name, age}, b.due(t, "a").Only)
	require.EqualValues(t, 1, b.Total(t).Pending)
}

// What is refused, dies and is sent back still names what was changed before, and a discard
// takes back the same.
func TestRefusedRecordsNameWhatWasChanged(t *testing.T) {
	b := setup(t)
	b.Put(t, "a", "one")
	b.Flush(t)
	b.patch(t, "a", schema.Values{"", "7", ""})
	b.HoldAll(t, 0)
	require.Equal(t, []int{age}, b.due(t, "a").Only)
	b.add(t, "a", count)
	b.HoldAll(t, 0)
	b.KillAll(t)
	version := b.Got(t, "a").Version
	partition := b.E.Partition("a")
	_, _, err := b.Retry(t.Context(), b.E, partition, []schema.Versioned{{ID: "a", Version: version}})
	require.NoError(t, err)
	require.Equal(t, []int{age, count}, b.due(t, "a").Only)
	b.KillAll(t)
	got := b.Loading(t, cache.Write{Op: cache.OpPatch, ID: "a", Values: schema.Values{`"edited"`, "", ""},
		IfMatch: version})
	require.NoError(t, got.Err)
	require.Equal(t, []int{age, count, name}, b.due(t, "a").Only)
	b.KillAll(t)
	got = b.Loading(t, cache.Write{Op: cache.OpDiscard, ID: "a", Values: b.Table.Copy()["a"], IfMatch: got.Version})
	require.NoError(t, got.Err)
	require.Equal(t, []int{age, count, name}, b.due(t, "a").Only)
	b.Put(t, "a", "two")
	b.KillAll(t)
	got = b.Loading(t, cache.Write{Op: cache.OpDiscard, ID: "a", Values: b.Table.Copy()["a"],
		IfMatch: b.Got(t, "a").Version})
	require.NoError(t, got.Err)
	require.Nil(t, b.due(t, "a").Only)
}

// A process of an older build does not keep what was changed: after its write, all fields are written.
func TestWritesWithoutMarksWriteAll(t *testing.T) {
	b := setup(t)
	b.Put(t, "a", "one")
	b.Flush(t)
	b.patch(t, "a", schema.Values{"", "7", ""})
	require.NoError(t, b.RDB.HSet(t.Context(), b.RecordKey("a"), "name", `"old"`, "_v", "9007199254740000").Err())
	require.Nil(t, b.due(t, "a").Only)
	b.add(t, "a", count)
	require.Nil(t, b.due(t, "a").Only)
}

// TestModelOfChangedFields writes, flushes, acks in any order or never, holds, discards and
// has another program write the row, and compares with what should be there: a field that
// was accepted is never lost, and a value that the other program gave a field stays, if all
// that Afterwrite had written to it was acked, until Afterwrite writes that field again.
func TestModelOfChangedFields(t *testing.T) {
	b := setup(t, func(e *schema.Entity, _ *cache.Config) { e.Partitions = 1 })
	round := 0
	rapid.Check(t, func(rt *rapid.T) {
		round++
		m := &changedModel{b: b, t: t, id: "r" + strconv.Itoa(round), written: map[int]schema.Version{},
			theirs: map[int]string{}}
		m.put()
		m.flush()
		m.acked(0)
		for range rapid.IntRange(10, 40).Draw(rt, "steps") {
			switch rapid.IntRange(0, 12).Draw(rt, "step") {
			case 0:
				m.put()
			case 1, 2, 3:
				m.patch(rapid.IntRange(1, 7).Draw(rt, "fields"))
			case 4:
				m.add()
			case 5, 6:
				m.flush()
			case 7:
				if len(m.flushed) > 0 {
					m.acked(rapid.IntRange(max(0, len(m.flushed)-3), len(m.flushed)-1).Draw(rt, "which"))
				}
			case 8:
				m.other(rapid.IntRange(0, 2).Draw(rt, "field"))
			case 9:
				b.HoldAll(t, 0)
			case 10, 11, 12: // written again between its flush and the ack
				m.flush()
				m.patch(rapid.IntRange(1, 7).Draw(rt, "fields"))
				if len(m.flushed) > 0 {
					m.acked(len(m.flushed) - 1)
				}
				m.other(rapid.IntRange(0, 2).Draw(rt, "field"))
			}
		}
		for m.pending() {
			m.flush()
			m.acked(len(m.flushed) - 1)
		}
		m.check(rt)
	})
}

type changedModel struct {
	b       *bundle
	t       *testing.T
	id      string
	n       int
	want    schema.Values          // that Afterwrite accepted last
	written map[int]schema.Version // field → of its last write
	acks    schema.Version         // of the newest flush that was acked
	theirs  map[int]string         // field → value of the other program, newer than any of ours
	must    [3]bool                // it must stay: all that Afterwrite wrote before is persisted, and known to be
	flushed []pending.Due
}

func (m *changedModel) value(field int) string {
	m.n++
	if field == name {
		return strconv.Quote(fmt.Sprint("v", m.n))
	}
	return strconv.Itoa(m.n % 150)
}

func (m *changedModel) wrote(v schema.Version, fields ...int) {
	for _, f := range fields {
		m.written[f] = v
		delete(m.theirs, f)
		m.must[f] = false
	}
}

func (m *changedModel) put() {
	m.want = schema.Values{m.value(name), m.value(age), m.value(count)}
	got, _ := m.b.Send(m.t, cache.Write{Op: cache.OpPut, ID: m.id, Values: slices.Clone(m.want)})
	require.NoError(m.t, got.Err)
	m.wrote(got.Version, name, age, count)
}

func (m *changedModel) patch(which int) {
	some, fields := schema.Values{"", "", ""}, []int{}
	for f := range 3 {
		if which&(1<<f) != 0 {
			some[f] = m.value(f)
			m.want[f] = some[f]
			fields = append(fields, f)
		}
	}
	m.wrote(m.b.patch(m.t, m.id, some), fields...)
}

func (m *changedModel) add() {
	n, err := strconv.Atoi(m.want[count])
	require.NoError(m.t, err)
	m.want[count] = strconv.Itoa(n + 1)
	m.wrote(m.b.add(m.t, m.id, count), count)
}

// flush commits what is due; its ack may come later, or never.
func (m *changedModel) flush() {
	for _, d := range m.b.DueIn(m.t, 0).Due {
		if d.ID == m.id {
			row := slices.Clone(m.b.Table.Copy()[m.id])
			if row == nil {
				require.Nil(m.t, d.Only, "there is no row to update")
				row = make(schema.Values, 3)
			}
			for f := range row {
				if d.Writes(f) {
					row[f] = d.Values[f]
				}
			}
			m.b.Table.Set(m.id, row)
			m.flushed = append(m.flushed, d)
		}
	}
}

func (m *changedModel) acked(i int) {
	m.b.ack(m.t, m.flushed[i])
	m.acks = max(m.acks, m.flushed[i].Version)
}

// other is a write of the other program. It must stay if all that Afterwrite wrote to the
// field is known to be persisted.
func (m *changedModel) other(field int) {
	rows := m.b.Table.Copy()
	row := slices.Clone(rows[m.id])
	row[field] = m.value(field)
	m.b.Table.Set(m.id, row)
	m.theirs[field] = row[field]
	m.must[field] = m.written[field] <= m.acks
}

func (m *changedModel) pending() bool {
	state, err := m.b.Status(m.t.Context(), m.b.E, m.id)
	require.NoError(m.t, err)
	return state.Record.Status != schema.Persisted
}

func (m *changedModel) check(rt *rapid.T) {
	row := m.b.Table.Copy()[m.id]
	for f := range 3 {
		if m.must[f] && row[f] != m.theirs[f] {
			rt.Fatalf("field %d: the other program's %s became %s", f, m.theirs[f], row[f])
		}
		if row[f] != m.want[f] && row[f] != m.theirs[f] {
			rt.Fatalf("field %d: accepted %s, the row has %s", f, m.want[f], row[f])
		}
	}
	m.b.Total(m.t)
}
