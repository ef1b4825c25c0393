package cache_test

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/cache"
	"github.com/afterwrite/afterwrite/internal/testkit"
	"github.com/afterwrite/afterwrite/internal/testkit/whole"
	"github.com/afterwrite/afterwrite/schema"
)

func TestI1AcceptedIsVisibleAndPending(t *testing.T) {
	b := setup(t)
	version := b.Put(t, "a", "Ann")
	read := b.Got(t, "a")
	assert.Equal(t, cache.Hit, read.Source)
	assert.Equal(t, schema.Pending, read.Status)
	assert.Equal(t, version, read.Version)
	assert.Equal(t, whole.Row("Ann", "30", "0"), read.Values)
	assert.Negative(t, b.Life(t, "a"), "a pending record has no time to live")
	batch := b.DueIn(t, b.E.Partition("a"))
	require.Len(t, batch.Due, 1)
	assert.Equal(t, version, batch.Due[0].Version)
	assert.WithinDuration(t, time.Now(), batch.Due[0].PendingSince, time.Minute)
}

func TestWriteConditions(t *testing.T) {
	b := setup(t)
	v := whole.Row("Ann", "30", "0")
	got := b.Loading(t, cache.Write{Op: cache.OpPatch, ID: "a", Values: v})
	require.ErrorIs(t, got.Err, schema.ErrNotFound)
	got = b.Loading(t, cache.Write{Op: cache.OpDelete, ID: "a"})
	require.ErrorIs(t, got.Err, schema.ErrNotFound)
	got = b.Loading(t, cache.Write{Op: cache.OpIncrement, ID: "a", Deltas: []cache.Delta{{Field: 2, By: 1}}})
	require.ErrorIs(t, got.Err, schema.ErrNotFound)
	got = b.Loading(t, cache.Write{Op: cache.OpPut, ID: "a", Values: v, IfMatch: cache.AnyVersion})
	require.ErrorIs(t, got.Err, schema.ErrVersionMismatch)
	created := b.Loading(t, cache.Write{Op: cache.OpCreate, ID: "a", Values: v})
	require.NoError(t, created.Err)
	got = b.Loading(t, cache.Write{Op: cache.OpCreate, ID: "a", Values: v})
	require.ErrorIs(t, got.Err, schema.ErrExists)
	got = b.Loading(t, cache.Write{Op: cache.OpPut, ID: "a", Values: v, IfMatch: created.Version - 1})
	require.ErrorIs(t, got.Err, schema.ErrVersionMismatch)
	put := b.Loading(t, cache.Write{Op: cache.OpPut, ID: "a", Values: v, IfMatch: created.Version})
	require.NoError(t, put.Err)
	assert.Greater(t, put.Version, created.Version)
	patched := b.Loading(t, cache.Write{Op: cache.OpPatch, ID: "a", Values: schema.Values{"", "31", ""}})
	require.NoError(t, patched.Err)
	assert.Equal(t, whole.Row("Ann", "31", "0"), b.Got(t, "a").Values)
	deleted := b.Loading(t, cache.Write{Op: cache.OpDelete, ID: "a", IfMatch: patched.Version})
	require.NoError(t, deleted.Err)
	assert.True(t, b.Got(t, "a").Deleted)
	got = b.Loading(t, cache.Write{Op: cache.OpDelete, ID: "a"})
	require.ErrorIs(t, got.Err, schema.ErrNotFound)
	require.NoError(t, b.Loading(t, cache.Write{Op: cache.OpCreate, ID: "a", Values: v}).Err)
	total := b.Total(t)
	assert.EqualValues(t, 5, total.Accepted)
	assert.EqualValues(t, 4, total.Superseded)
	assert.EqualValues(t, 1, total.Pending)
}

// Groups of one entity share a call of the script, and each has its own results and order.
// Two groups of one partition do not: the script looks at a partition once.
func TestGroupsShareACall(t *testing.T) {
	b := setup(t, func(e *schema.Entity, _ *cache.Config) { e.Partitions = 4 })
	groups := map[int]*cache.Group{}
	var all []*cache.Group
	for i := range 40 {
		id := fmt.Sprint("id", i)
		p := b.E.Partition(id)
		if groups[p] == nil {
			groups[p] = &cache.Group{Entity: b.E, Partition: p}
			all = append(all, groups[p])
		}
		op := cache.OpPut
		if i%10 == 9 {
			op = cache.OpDelete // needs a record that is not cached
		}
		groups[p].Writes = append(groups[p].Writes, cache.Write{Op: op, ID: id, Values: whole.Row(id, "30", "0")})
	}
	require.Len(t, all, 4)
	again := &cache.Group{Entity: b.E, Partition: all[0].Partition,
		Writes: []cache.Write{{Op: cache.OpPut, ID: all[0].Writes[0].ID, Values: whole.Row("again", "30", "0")}}}
	b.Write(t.Context(), append(all, again)...)
	for _, g := range all {
		assert.False(t, g.Order.None(), "the first write of a partition orders its flush")
		for i, got := range g.Results {
			require.NoError(t, got.Err)
			if g.Writes[i].Op == cache.OpDelete {
				assert.NotEmpty(t, got.Token)
			} else {
				assert.Positive(t, got.Version)
				assert.Contains(t, []schema.Values{g.Writes[i].Values, again.Writes[0].Values},
					b.Got(t, g.Writes[i].ID).Values)
			}
		}
	}
	require.NoError(t, again.Results[0].Err)
	assert.True(t, again.Order.None())
	assert.Equal(t, again.Writes[0].Values, b.Got(t, again.Writes[0].ID).Values)
	total := b.Total(t)
	assert.EqualValues(t, 37, total.Accepted)
	assert.EqualValues(t, 1, total.Superseded)
	assert.EqualValues(t, 36, total.Pending)
	assert.Zero(t, total.Imbalance())
}

// A key of another type, made by somebody else, ends the script after its first write:
// nobody may say that nothing was written.
func TestAWriteBrokenOffIsOfUnknownOutcome(t *testing.T) {
	b := setup(t)
	require.NoError(t, b.RDB.Set(t.Context(), strings.TrimSuffix(b.StatsKey(0), "stats")+"pending", "x", 0).Err())
	group := &cache.Group{Entity: b.E, Partition: 0, Writes: []cache.Write{{Op: cache.OpPut, ID: b.in(0),
		Values: whole.Row("x", "1", "0")}}}
	b.Write(t.Context(), group)
	require.ErrorIs(t, group.Results[0].Err, schema.ErrOutcomeUnknown)
	require.NotErrorIs(t, group.Results[0].Err, schema.ErrUnavailable)
}

// One partition with another number of partitions refuses all that shares its call, before
// anything is written.
func TestASharedCallIsRefusedWhole(t *testing.T) {
	b := setup(t)
	require.NoError(t, b.RDB.HSet(t.Context(), b.StatsKey(1), "n", "7").Err())
	groups := []*cache.Group{
		{Entity: b.E, Partition: 0, Writes: []cache.Write{{Op: cache.OpPut, ID: b.in(0),
			Values: whole.Row("x", "1", "0")}}},
		{Entity: b.E, Partition: 1, Writes: []cache.Write{{Op: cache.OpPut, ID: b.in(1),
			Values: whole.Row("x", "1", "0")}}},
	}
	b.Write(t.Context(), groups...)
	for _, g := range groups {
		require.ErrorIs(t, g.Results[0].Err, schema.ErrPartitionsChanged)
	}
	assert.Zero(t, b.RDB.Exists(t.Context(), b.RecordKey(b.in(0)), b.RecordKey(b.in(1))).Val())
}

// in is an id of the partition.
func (b *bundle) in(partition int) string {
	for i := 0; ; i++ {
		if id := fmt.Sprint("in", i); b.E.Partition(id) == partition {
			return id
		}
	}
}

func TestWritesLoadWhatIsNotCached(t *testing.T) {
	b := setup(t)
	b.Table.Set("a", whole.Row("Ann", "30", "7"))
	got := b.Loading(t, cache.Write{Op: cache.OpIncrement, ID: "a", Deltas: []cache.Delta{{Field: 2, By: 5}}})
	require.NoError(t, got.Err)
	assert.Equal(t, "12", got.Values[2])
	assert.Equal(t, whole.Row("Ann", "30", "12"), b.Got(t, "a").Values)
	assert.Negative(t, b.Life(t, "a"), "the installed row's time to live is gone")

	b.Table.Set("b", whole.Row("Bob", "40", "0"))
	refused := b.Loading(t, cache.Write{Op: cache.OpCreate, ID: "b", Values: whole.Row("Eve", "1", "1")})
	require.ErrorIs(t, refused.Err, schema.ErrExists)
	assert.Positive(t, b.Life(t, "b"), "a row installed without a write is persisted, and expires")
	assert.Equal(t, whole.Row("Bob", "40", "0"), b.Got(t, "b").Values)
	assert.Equal(t, cache.Hit, b.Got(t, "b").Source)
}

// A writer's row is refused when anything happened to the record since its lease.
func TestI4StaleRowIsNotInstalled(t *testing.T) {
	b := setup(t)
	b.Table.Set("a", whole.Row("old", "30", "7"))
	add := cache.Write{Op: cache.OpIncrement, ID: "a", Deltas: []cache.Delta{{Field: 2, By: 1}}}
	miss, _ := b.Send(t, add)
	require.NotEmpty(t, miss.Token)
	_, err := b.Invalidate(t.Context(), b.E, []string{"a"})
	require.NoError(t, err)
	b.Table.Set("a", whole.Row("new", "30", "100"))
	add.Row, add.Token = &schema.Row{ID: "a", Exists: true, Values: whole.Row("old", "30", "7")}, miss.Token
	again, _ := b.Send(t, add)
	require.NotEmpty(t, again.Token, "the old lease is no lease")
	require.NotEqual(t, miss.Token, again.Token)
	add.Row, add.Token = &schema.Row{ID: "a", Exists: true, Values: whole.Row("new", "30", "100")}, again.Token
	done, _ := b.Send(t, add)
	require.NoError(t, done.Err)
	assert.Equal(t, "101", done.Values[2])
}

// Writers that share a lease are not starved: the first installs, the others apply.
func TestWritersShareOneLease(t *testing.T) {
	b := setup(t)
	b.Table.Set("a", whole.Row("Ann", "30", "0"))
	add := cache.Write{Op: cache.OpIncrement, ID: "a", Deltas: []cache.Delta{{Field: 2, By: 1}}}
	first, _ := b.Send(t, add)
	second, _ := b.Send(t, add)
	require.Equal(t, first.Token, second.Token)
	add.Row, add.Token = &schema.Row{ID: "a", Exists: true, Values: whole.Row("Ann", "30", "0")}, first.Token
	for want := range 2 {
		done, _ := b.Send(t, add)
		require.NoError(t, done.Err)
		assert.Equal(t, fmt.Sprint(want+1), done.Values[2])
	}
}

func TestIncrementIsExactAndWhole(t *testing.T) {
	b := setup(t, func(e *schema.Entity, _ *cache.Config) {
		e.Fields = append(e.Fields, schema.Field{Name: "big", Type: schema.Int})
	})
	ctx := func(count, big string) {
		got, _ := b.Send(t, cache.Write{Op: cache.OpPut, ID: "a", Values: append(whole.Row("Ann", "100", count), big)})
		require.NoError(t, got.Err)
	}
	add := func(deltas ...cache.Delta) cache.Written {
		return b.Loading(t, cache.Write{Op: cache.OpIncrement, ID: "a", Deltas: deltas})
	}
	for _, c := range []struct {
		name     string
		big      string
		by       int64
		want     string // "" refused
		mentions string
	}{
		{"above 2^53", "9007199254740993", 2, "9007199254740995", ""},
		{"to the top", fmt.Sprint(math.MaxInt64 - 1), 1, fmt.Sprint(math.MaxInt64), ""},
		{"over the top", fmt.Sprint(math.MaxInt64), 1, "", "overflow"},
		{"to the bottom", "-1", math.MinInt64 + 1, fmt.Sprint(math.MinInt64), ""},
		{"under the bottom", "-2", math.MinInt64 + 1, "", "overflow"},
		{"the lowest delta", "0", math.MinInt64, fmt.Sprint(math.MinInt64), ""},
		{"nothing", "5", 0, "5", ""},
		{"null", "null", 1, "", "null"},
	} {
		t.Run(c.name, func(t *testing.T) {
			ctx("1", c.big)
			got := add(cache.Delta{Field: 2, By: 1}, cache.Delta{Field: 3, By: c.by})
			read := b.Got(t, "a")
			if c.want == "" {
				var invalid *schema.InvalidError
				require.ErrorAs(t, got.Err, &invalid)
				assert.Equal(t, "big", invalid.Fields[0].Field)
				assert.Contains(t, invalid.Error(), c.mentions)
				assert.Equal(t, "1", read.Values[2], "all or nothing")
				assert.Equal(t, c.big, read.Values[3])
				return
			}
			require.NoError(t, got.Err)
			assert.Equal(t, c.want, got.Values[3])
			assert.Equal(t, c.want, read.Values[3])
			assert.Equal(t, "2", read.Values[2])
		})
	}
	t.Run("bounds", func(t *testing.T) {
		ctx("1", "0")
		require.ErrorIs(t, add(cache.Delta{Field: 1, By: 51}).Err, schema.ErrInvalid)
		require.ErrorIs(t, add(cache.Delta{Field: 1, By: -101}).Err, schema.ErrInvalid)
		require.NoError(t, add(cache.Delta{Field: 1, By: 50}).Err)
		assert.Equal(t, "150", b.Got(t, "a").Values[1])
	})
	b.Total(t)
}

func TestIncrementsOf64CallersAreExact(t *testing.T) {
	b := setup(t)
	b.Table.Set("a", whole.Row("Ann", "30", "0"))
	var wg sync.WaitGroup
	for range 64 {
		wg.Go(func() {
			for range 20 {
				got := b.Loading(t, cache.Write{Op: cache.OpIncrement, ID: "a",
					Deltas: []cache.Delta{{Field: 2, By: 1}}})
				assert.NoError(t, got.Err)
			}
		})
	}
	wg.Wait()
	assert.Equal(t, "1280", b.Got(t, "a").Values[2])
	assert.EqualValues(t, 1280, b.Total(t).Accepted)
}

// A version after a clock step: the partition's last version leads, not the clock.
func TestI3VersionsGrowThroughAClockStep(t *testing.T) {
	b := setup(t)
	before := b.Put(t, "a", "Ann")
	ahead := int64(before) + time.Hour.Microseconds()
	require.NoError(t, b.RDB.HSet(t.Context(), b.StatsKey(b.E.Partition("a")), "v", ahead).Err())
	assert.EqualValues(t, ahead+1, b.Put(t, "a", "Ann"), "the clock is an hour behind the last version")
	require.NoError(t, b.RDB.HSet(t.Context(), b.StatsKey(b.E.Partition("a")), "v", int64(before)).Err())
	assert.Greater(t, b.Put(t, "a", "Ann"), before+1, "the clock is ahead of the last version")
}

func TestI1OperationIDAppliesOnce(t *testing.T) {
	b := setup(t)
	b.Put(t, "a", "Ann")
	add := cache.Write{Op: cache.OpIncrement, ID: "a", Deltas: []cache.Delta{{Field: 2, By: 3}}, Key: "k1",
		KeyHash: "h1"}
	first := b.Loading(t, add)
	require.NoError(t, first.Err)
	second := b.Loading(t, add)
	require.NoError(t, second.Err)
	assert.True(t, second.Again)
	assert.Equal(t, first.Version, second.Version)
	assert.Equal(t, "3", second.Values[2])
	assert.Equal(t, "3", b.Got(t, "a").Values[2])
	add.KeyHash = "h2"
	require.ErrorIs(t, b.Loading(t, add).Err, schema.ErrKeyReused)
	for i := range 8 { // in whatever partition
		other := fmt.Sprint("other", i)
		b.Put(t, other, "Bob")
		add.ID = other
		got := b.Loading(t, add)
		require.NoError(t, got.Err, "a key is one record's")
		assert.False(t, got.Again)
	}
	assert.Negative(t, b.RDB.PTTL(t.Context(), strings.TrimSuffix(b.StatsKey(b.E.Partition("a")), "stats")+"ops").Val(),
		"operation ids have no time to live: an evicted one would apply twice")
}

// A lost reply to an increment: unknown to the caller, never sent again by the client,
// applied once when it is repeated with its operation id.
func TestI1LostReplyToAnIncrement(t *testing.T) {
	b := setup(t)
	b.Put(t, "a", "Ann")
	add := cache.Write{Op: cache.OpIncrement, ID: "a", Deltas: []cache.Delta{{Field: 2, By: 1}}, Key: "k",
		KeyHash: "h"}
	b.Faults.Inject(testkit.LoseReply, testkit.Script(t, "write"))
	got, _ := b.Send(t, add)
	require.ErrorIs(t, got.Err, schema.ErrOutcomeUnknown)
	assert.Equal(t, "1", b.Got(t, "a").Values[2], "it was applied, and once")
	got, _ = b.Send(t, add)
	require.NoError(t, got.Err)
	assert.True(t, got.Again)
	assert.Equal(t, "1", b.Got(t, "a").Values[2])
}

// An operation id is honoured for its age: where as many are kept as may be, a write with a
// new one is rejected, and applied once one of the others is beyond its age.
func TestOperationIDsAreHonouredOrRejected(t *testing.T) {
	b := setup(t, func(e *schema.Entity, cfg *cache.Config) { e.Partitions, cfg.KeptOps, cfg.OpAge = 1, 10, time.Hour })
	keyed := func(key string) cache.Written {
		got, _ := b.Send(t, cache.Write{Op: cache.OpPut, ID: "a", Values: whole.Row("Ann", "1", "1"), Key: key,
			KeyHash: "h"})
		return got
	}
	for i := range 10 {
		require.NoError(t, keyed(fmt.Sprint(i)).Err)
	}
	ops := strings.TrimSuffix(b.StatsKey(0), "stats") + "ops"
	require.ErrorIs(t, keyed("more").Err, schema.ErrKeysFull)
	require.True(t, keyed("0").Again, "the first is still honoured")
	_, err := b.Reserve(t.Context(), b.E, "key", "", "one")
	require.ErrorIs(t, err, schema.ErrKeysFull)
	b.Put(t, "b", "without a key")
	b.aged(t, ops, 2*time.Hour)
	require.NoError(t, keyed("more").Err, "there is room when they are beyond their age")
	require.LessOrEqual(t, b.RDB.HLen(t.Context(), ops).Val(), int64(10))
	b.aged(t, ops, 2*time.Hour)
	_, err = b.Sweep(t.Context(), []*schema.Entity{b.E})
	require.NoError(t, err)
	require.Zero(t, b.RDB.Exists(t.Context(), ops, ops+"At").Val(), "the sweeper forgets them")
}

// aged makes operation ids older.
func (b *bundle) aged(t *testing.T, ops string, by time.Duration) {
	t.Helper()
	for _, key := range b.RDB.ZRange(t.Context(), ops+"At", 0, -1).Val() {
		require.NoError(t, b.RDB.ZIncrBy(t.Context(), ops+"At", -float64(by.Milliseconds()), key).Err())
	}
}

// One owner's operation ids leave half of the room to others, and what is forgotten makes room for it again.
func TestAnOwnerOfOperationIDsLeavesRoomToOthers(t *testing.T) {
	b := setup(t, func(e *schema.Entity, cfg *cache.Config) {
		e.Partitions, cfg.KeptOps, cfg.OpAge = 1, 10, time.Hour
	})
	keyed := func(owner, key string) error {
		got, _ := b.Send(t, cache.Write{Op: cache.OpPut, ID: "a", Values: whole.Row("Ann", "1", "1"), Key: key,
			KeyHash: "h", Owner: owner})
		return got.Err
	}
	for i := range 4 {
		require.NoError(t, keyed("greedy", fmt.Sprint(i)))
	}
	_, err := b.Reserve(t.Context(), b.E, "made", "greedy", "one")
	require.NoError(t, err)
	require.ErrorIs(t, keyed("greedy", "more"), schema.ErrKeysFull)
	_, err = b.Reserve(t.Context(), b.E, "more", "greedy", "one")
	require.ErrorIs(t, err, schema.ErrKeysFull)
	require.NoError(t, keyed("greedy", "0"), "what is kept is honoured")
	require.NoError(t, keyed("modest", "1\x01x"))
	require.NoError(t, keyed("", "nobody's"))

	base := strings.TrimSuffix(b.StatsKey(0), "stats")
	require.Equal(t, int64(2), b.RDB.HLen(t.Context(), base+"opsOf").Val())
	b.aged(t, base+"ops", 2*time.Hour)
	require.NoError(t, keyed("greedy", "more"), "there is room when they are beyond their age")
	b.aged(t, base+"ops", 2*time.Hour)
	_, err = b.Sweep(t.Context(), []*schema.Entity{b.E})
	require.NoError(t, err)
	require.Zero(t, b.RDB.Exists(t.Context(), base+"ops", base+"opsAt", base+"opsOf").Val(), "all are forgotten")
}

// A long operation id takes no more room than a short one.
func TestLongOperationIDsAreHashed(t *testing.T) {
	b := setup(t, func(e *schema.Entity, _ *cache.Config) { e.Partitions = 1 })
	long := strings.Repeat("k", 255)
	for again := range 2 {
		got, _ := b.Send(t, cache.Write{Op: cache.OpPut, ID: "a", Values: whole.Row("Ann", "1", "1"), Key: long,
			KeyHash: "h"})
		require.NoError(t, got.Err)
		require.Equal(t, again == 1, got.Again)
	}
	kept := b.RDB.HKeys(t.Context(), strings.TrimSuffix(b.StatsKey(0), "stats")+"ops").Val()
	require.Len(t, kept, 1)
	require.Less(t, len(kept[0]), 64)
}

func TestReserveKeepsTheFirstID(t *testing.T) {
	b := setup(t)
	first, err := b.Reserve(t.Context(), b.E, "key", "", "one")
	require.NoError(t, err)
	second, err := b.Reserve(t.Context(), b.E, "key", "", "two")
	require.NoError(t, err)
	assert.Equal(t, []string{"one", "one"}, []string{first, second})
}

func TestI6BacklogRefusesNewIDsOnly(t *testing.T) {
	b := setup(t, func(e *schema.Entity, _ *cache.Config) { e.Partitions, e.Flush.MaxPending = 1, 4 })
	require.Equal(t, 5, b.E.PartitionLimit())
	for i := range 5 {
		b.Put(t, fmt.Sprint(i), "x")
	}
	got, _ := b.Send(t, cache.Write{Op: cache.OpPut, ID: "new", Values: whole.Row("x", "1", "1")})
	require.ErrorIs(t, got.Err, schema.ErrBacklogFull)
	assert.True(t, b.Got(t, "new").Deleted)
	b.Put(t, "3", "a pending record can be rewritten")
	b.Flush(t)
	b.Put(t, "new", "room again")
	b.Total(t)
}

func TestI6BacklogCountsHeldRecords(t *testing.T) {
	b := setup(t, func(e *schema.Entity, _ *cache.Config) { e.Partitions, e.Flush.MaxPending = 1, 4 })
	for i := range 5 {
		b.Put(t, fmt.Sprint(i), "x")
	}
	b.HoldAll(t, time.Hour)
	got, _ := b.Send(t, cache.Write{Op: cache.OpPut, ID: "new", Values: whole.Row("x", "1", "1")})
	require.ErrorIs(t, got.Err, schema.ErrBacklogFull)
}

func TestGroupKeepsTheOrderOfARecord(t *testing.T) {
	b := setup(t, func(e *schema.Entity, _ *cache.Config) { e.Partitions = 1 })
	b.Table.Set("a", whole.Row("Ann", "30", "1"))
	g := &cache.Group{Entity: b.E, Writes: []cache.Write{
		{Op: cache.OpIncrement, ID: "a", Deltas: []cache.Delta{{Field: 2, By: 1}}},
		{Op: cache.OpPut, ID: "b", Values: whole.Row("Bob", "1", "1")},
		{Op: cache.OpPut, ID: "a", Values: whole.Row("Ann", "31", "100")},
	}}
	b.Write(t.Context(), g)
	assert.NotEmpty(t, g.Results[0].Token)
	assert.NoError(t, g.Results[1].Err)
	assert.NotZero(t, g.Results[1].Version)
	assert.Equal(t, g.Results[0].Token, g.Results[2].Token, "the put waits for the increment before it")
	assert.Zero(t, g.Results[2].Version)
}

func TestOneOrderUntilTheTaskEnds(t *testing.T) {
	b := setup(t, func(e *schema.Entity, _ *cache.Config) { e.Partitions = 1 })
	_, first := b.Send(t, cache.Write{Op: cache.OpPut, ID: "a", Values: whole.Row("x", "1", "1")})
	require.False(t, first.None())
	_, second := b.Send(t, cache.Write{Op: cache.OpPut, ID: "b", Values: whole.Row("x", "1", "1")})
	assert.True(t, second.None(), "a task is ordered already")
}

func TestIDsOfAnyCharacter(t *testing.T) {
	b := setup(t)
	for _, id := range []string{"/", ":", "{", "}", "{}", "a*b?", "[x]", "%20", "a b", "line\nbreak", "é", "日本", `"\`,
		strings.Repeat("x", 64)} {
		b.Put(t, id, "first")
		b.Flush(t)
		assert.Equal(t, schema.Persisted, b.Got(t, id).Status, "%q", id)
		require.NoError(t, b.RDB.Del(t.Context(), b.RecordKey(id)).Err())
		read := b.Got(t, id)
		assert.Equal(t, cache.Filled, read.Source, "%q", id)
		assert.Equal(t, whole.Row("first", "30", "0"), read.Values)
		n, err := b.Invalidate(t.Context(), b.E, []string{id})
		require.NoError(t, err)
		assert.Equal(t, 1, n, "%q", id)
	}
}

func TestWriteErrorsSayWhetherAnythingWasWritten(t *testing.T) {
	b := setup(t)
	b.Put(t, "a", "Ann")
	b.Faults.Inject(testkit.Refuse, testkit.Script(t, "write"), testkit.Err(errors.New("OOM")))
	got, _ := b.Send(t, cache.Write{Op: cache.OpPut, ID: "a", Values: whole.Row("x", "1", "1")})
	require.Error(t, got.Err)
	assert.Equal(t, whole.Row("Ann", "30", "0"), b.Got(t, "a").Values)
}

func TestRedisFullRefusesAndWritesNothing(t *testing.T) {
	t.Parallel()
	server := testkit.Redis(t, testkit.MaxMemory("3mb"), testkit.MaxMemoryPolicy("noeviction"))
	b := &bundle{whole.Bundle{RDB: server.Client(t), Under: "aw"}}
	b.E = &schema.Entity{Name: "user", Partitions: 1, Fields: []schema.Field{
		{Name: "name", Type: schema.Text}, {Name: "n", Type: schema.Int},
	}}
	require.NoError(t, b.E.Init())
	c, err := cache.New(cache.Config{URL: server.URL(), Log: testkit.Logger(t)})
	require.NoError(t, err)
	b.Redis = whole.Of(c)
	t.Cleanup(func() { _ = b.Close() })
	accepted := int64(0)
	for i := 0; ; i++ {
		got, _ := b.Send(t, cache.Write{Op: cache.OpPut, ID: fmt.Sprint(i),
			Values: schema.Values{`"` + strings.Repeat("x", 10_000) + `"`, "1"}})
		if got.Err != nil {
			require.ErrorIs(t, got.Err, schema.ErrUnavailable)
			break
		}
		accepted++
	}
	require.NoError(t, b.RDB.ConfigSet(t.Context(), "maxmemory", "2mb").Err()) // full for small writes, too
	require.NotContains(t, b.Writable(t.Context()).Error(), "\n", "it is one line")
	state, err := b.Status(t.Context(), b.E, "0")
	require.NoError(t, err, "what only reads goes on")
	require.Equal(t, schema.Pending, state.Record.Status)
	require.False(t, state.PendingSince.IsZero())
	for op, w := range map[string]cache.Write{
		"increment": {Op: cache.OpIncrement, ID: "0", Deltas: []cache.Delta{{Field: 1, By: 1}}},
		"patch":     {Op: cache.OpPatch, ID: "0", Values: schema.Values{"", "2"}},
	} {
		got, _ := b.Send(t, w)
		require.ErrorIs(t, got.Err, schema.ErrUnavailable, op)
	}
	total := b.Total(t)
	assert.Equal(t, accepted, total.Accepted)
	assert.Equal(t, accepted, total.Pending)
}

// The barrier of a write through the database is gone before its COMMIT, and a reader has
// cached the row from before: the end of the write takes it away.
func TestI4ABarrierThatIsLostLeavesNothingOld(t *testing.T) {
	for name, keep := range map[string]bool{"through": true, "around": false} {
		t.Run(name, func(t *testing.T) {
			b := setup(t)
			b.Table.Set("a", whole.Row("old", "1", "1"))
			barrier, err := b.Bar(t.Context(), b.E, "a", 0, time.Minute, cache.Turn{})
			require.NoError(t, err)
			require.NoError(t, b.RDB.Del(t.Context(), b.RecordKey("a")).Err()) // as an eviction does
			require.Equal(t, `"old"`, b.Got(t, "a").Values[0], "nothing is committed yet")
			b.Table.Set("a", whole.Row("new", "1", "1"))
			change := schema.Change{ID: "a", Version: barrier.Version, Values: whole.Row("new", "1", "1")}
			require.NoError(t, b.Unbar(t.Context(), barrier, &change, keep))
			require.Equal(t, `"new"`, b.Got(t, "a").Values[0])
		})
	}
}
