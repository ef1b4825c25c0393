package pending_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/cache"
	"github.com/afterwrite/afterwrite/cache/pending"
	"github.com/afterwrite/afterwrite/internal/testkit"
	"github.com/afterwrite/afterwrite/internal/testkit/whole"
	"github.com/afterwrite/afterwrite/schema"
)

func TestI3NewerWriteDuringAFlushStaysPending(t *testing.T) {
	b := setup(t)
	b.Put(t, "a", "one")
	partition := b.E.Partition("a")
	batch := b.DueIn(t, partition)
	version := b.Put(t, "a", "two")
	n, err := b.Ack(t.Context(), b.E, partition, batch, b.Commit(batch))
	require.NoError(t, err)
	assert.Zero(t, n)
	state, err := b.Status(t.Context(), b.E, "a")
	require.NoError(t, err)
	assert.Equal(t, schema.Pending, state.Record.Status)
	assert.False(t, state.PendingSince.Before(batch.ReadAt), "what was accepted before the read is in the database")
	b.Flush(t)
	state, err = b.Status(t.Context(), b.E, "a")
	require.NoError(t, err)
	assert.Equal(t, schema.Persisted, state.Record.Status)
	assert.Equal(t, version, state.Record.Version)
	assert.Positive(t, b.Life(t, "a"))
	assert.EqualValues(t, 1, b.Total(t).Superseded)
}

func TestI7RepeatedAckCountsOnce(t *testing.T) {
	b := setup(t)
	b.Put(t, "a", "one")
	batch := b.DueIn(t, b.E.Partition("a"))
	changes := b.Commit(batch)
	for want := 1; want >= 0; want-- {
		n, err := b.Ack(t.Context(), b.E, b.E.Partition("a"), batch, changes)
		require.NoError(t, err)
		assert.Equal(t, want, n)
	}
	assert.EqualValues(t, 1, b.Total(t).Persisted)
	require.NoError(t, b.RDB.Del(t.Context(), b.RecordKey("a")).Err())
	n, err := b.Ack(t.Context(), b.E, b.E.Partition("a"), batch, changes)
	require.NoError(t, err)
	assert.Zero(t, n, "nothing is made of an evicted record")
	assert.Zero(t, b.RDB.Exists(t.Context(), b.RecordKey("a")).Val())
}

// TestTheLastReadNotesTheTurn: Note sends nothing more then, and says what Redis has answered.
func TestTheLastReadNotesTheTurn(t *testing.T) {
	b := setup(t, func(e *schema.Entity, _ *cache.Config) { e.Partitions = 1 })
	ctx, stats := t.Context(), string(b.Prefix().Keys(b.E, 0).Stats)
	for i := range 300 { // several round trips
		b.Put(t, fmt.Sprint(i), "one")
	}
	noted := func() []any { return b.RDB.HMGet(ctx, stats, "t", "y").Val() }
	read := func(before, turn string) pending.Batch {
		t.Helper()
		batch, err := b.DueNoted(ctx, b.E, 0, 300, 1<<20, pending.Turns{Before: before, This: turn})
		require.NoError(t, err)
		require.Len(t, batch.Due, 300)
		return batch
	}
	batch := read("", "1.a")
	require.Equal(t, []any{nil, nil}, noted(), "the first turn may meet the Redis of another database")
	require.NoError(t, b.Note(ctx, b.E, 0, &batch, "", "1.a"))
	require.Equal(t, []any{"", "1.a"}, noted())

	batch = read("1.a", "2.b")
	require.Equal(t, []any{"1.a", "2.b"}, noted())
	require.Empty(t, batch.Turn)
	require.NoError(t, b.RDB.HSet(ctx, stats, "y", "x").Err())
	require.NoError(t, b.Note(ctx, b.E, 0, &batch, "1.a", "2.b"))
	require.Equal(t, "2.b", batch.Turn)
	require.Equal(t, []any{"1.a", "x"}, noted(), "it was noted before")

	batch = read("9.z", "10.z")
	require.ErrorIs(t, b.Note(ctx, b.E, 0, &batch, "9.z", "10.z"), schema.ErrOlder)
	require.Equal(t, []any{"1.a", "x"}, noted())

	require.NoError(t, b.RDB.ScriptFlush(ctx).Err())
	batch, err := b.DueNoted(ctx, b.E, 0, 1, 1<<20, pending.Turns{Before: "1.a", This: "2.c"})
	require.NoError(t, err)
	require.Equal(t, []any{"1.a", "x"}, noted(), "the script is not known")
	require.NoError(t, b.Note(ctx, b.E, 0, &batch, "1.a", "2.c"))
	require.Equal(t, []any{"1.a", "2.c"}, noted())

	// Note sends turns that no read has noted.
	require.NoError(t, b.Note(ctx, b.E, 0, &batch, "2.c", "3.d"))
	require.Equal(t, []any{"2.c", "3.d"}, noted())
}

// TestAckOfALargeBatch: a batch takes several calls. Where one of them is lost, those
// before it stand, and a repeat does the rest, each record once.
func TestAckOfALargeBatch(t *testing.T) {
	b := setup(t, func(e *schema.Entity, _ *cache.Config) { e.Partitions = 1 })
	b.Put(t, "first", "one")
	b.Flush(t) // from now on Redis knows the script
	const records = 300
	for i := range records {
		b.Put(t, fmt.Sprint(i), "one")
	}
	batch, err := b.Due(t.Context(), b.E, 0, records, 1<<20)
	require.NoError(t, err)
	changes := b.Commit(batch)
	require.Len(t, changes, records)
	second := b.Faults.Inject(testkit.Vanish, testkit.Script(t, "ack"), testkit.After(1))
	marked, err := b.Ack(t.Context(), b.E, 0, batch, changes)
	require.ErrorIs(t, err, schema.ErrUnavailable)
	require.Equal(t, 1, second.Hits())
	require.Positive(t, marked)
	require.Less(t, marked, records)
	require.EqualValues(t, 1+marked, b.Total(t).Persisted)
	require.EqualValues(t, records-marked, b.Total(t).Pending)
	rest, err := b.Ack(t.Context(), b.E, 0, batch, changes)
	require.NoError(t, err)
	require.Equal(t, records, marked+rest)
	require.Zero(t, b.Total(t).Pending)
	require.Zero(t, b.Total(t).Imbalance())
}

func TestPutDeletePutAcrossBatches(t *testing.T) {
	b := setup(t)
	b.Put(t, "a", "one")
	b.Flush(t)
	require.NoError(t, b.Loading(t, cache.Write{Op: cache.OpDelete, ID: "a"}).Err)
	b.Flush(t)
	assert.Empty(t, b.Table.Copy())
	assert.True(t, b.Got(t, "a").Deleted)
	assert.LessOrEqual(t, b.Life(t, "a"), 30*time.Second)
	b.Put(t, "a", "two")
	assert.Equal(t, whole.Row("two", "30", "0"), b.Got(t, "a").Values, "the tombstone is gone")
	assert.Negative(t, b.Life(t, "a"))
	b.Flush(t)
	assert.Equal(t, map[string]schema.Values{"a": whole.Row("two", "30", "0")}, b.Table.Copy())
	b.Total(t)
}

func TestPutDeletePutInOneBatch(t *testing.T) {
	b := setup(t)
	b.Put(t, "a", "one")
	require.NoError(t, b.Loading(t, cache.Write{Op: cache.OpDelete, ID: "a"}).Err)
	b.Put(t, "a", "two")
	require.NoError(t, b.Loading(t, cache.Write{Op: cache.OpDelete, ID: "a"}).Err)
	batch := b.DueIn(t, b.E.Partition("a"))
	require.Len(t, batch.Due, 1)
	assert.True(t, batch.Due[0].Deleted)
	assert.EqualValues(t, 3, b.Total(t).Superseded)
}

func TestDueBoundsRecordsAndBytes(t *testing.T) {
	b := setup(t, func(e *schema.Entity, _ *cache.Config) { e.Partitions = 1 })
	for i := range 10 {
		b.Put(t, fmt.Sprint(i), "0123456789")
	}
	batch, err := b.Due(t.Context(), b.E, 0, 4, 1<<20)
	require.NoError(t, err)
	assert.Len(t, batch.Due, 4)
	assert.True(t, batch.More)
	batch, err = b.Due(t.Context(), b.E, 0, 100, 30)
	require.NoError(t, err)
	assert.Len(t, batch.Due, 3-1, "about that many bytes")
	assert.True(t, batch.More)
	batch, err = b.Due(t.Context(), b.E, 0, 100, 1)
	require.NoError(t, err)
	assert.Len(t, batch.Due, 1, "never nothing")

	for i := range 300 { // more than one trip reads
		b.Put(t, fmt.Sprint("more", i), "0123456789")
	}
	batch, err = b.Due(t.Context(), b.E, 0, 1000, 1<<20)
	require.NoError(t, err)
	assert.Len(t, batch.Due, 310)
	assert.False(t, batch.More)
	batch, err = b.Due(t.Context(), b.E, 0, 1000, 15*200)
	require.NoError(t, err)
	assert.Len(t, batch.Due, 200)
	assert.True(t, batch.More)
}

// The records of a batch are read after the list that names them. What happens between
// the two is seen, or is due still.
func TestWhatHappensWhileABatchIsRead(t *testing.T) {
	for name, one := range map[string]struct {
		between func(t *testing.T, b *bundle)
		check   func(t *testing.T, b *bundle, batch pending.Batch)
	}{
		"a held record is written": {
			func(t *testing.T, b *bundle) { b.Put(t, "a", "new") },
			func(t *testing.T, b *bundle, batch pending.Batch) {
				require.Len(t, batch.Due, 1)
				d := batch.Due[0]
				assert.Equal(t, whole.Row("new", "30", "0"), d.Values)
				assert.False(t, d.Held, "what was refused is gone")
				assert.Zero(t, d.Attempts)
				assert.Empty(t, d.History)
				assert.Equal(t, batch.ReadAt, d.PendingSince)
			},
		},
		"a held record is deleted": {
			func(t *testing.T, b *bundle) {
				require.NoError(t, b.Loading(t, cache.Write{Op: cache.OpDelete, ID: "a"}).Err)
			},
			func(t *testing.T, b *bundle, batch pending.Batch) {
				require.Len(t, batch.Due, 1)
				assert.True(t, batch.Due[0].Deleted)
				assert.Nil(t, batch.Due[0].Values)
			},
		},
		"a record is lost": {
			func(t *testing.T, b *bundle) { require.NoError(t, b.RDB.Del(t.Context(), b.RecordKey("a")).Err()) },
			func(t *testing.T, b *bundle, batch pending.Batch) {
				assert.Empty(t, batch.Due)
				assert.Equal(t, []string{"a"}, batch.Missing)
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := setup(t, func(e *schema.Entity, _ *cache.Config) { e.Partitions = 1 })
			b.Put(t, "a", "old")
			b.HoldAll(t, 0)
			held := b.Faults.Inject(testkit.Hold, testkit.Command("hgetall"))
			read := make(chan pending.Batch, 1)
			go func() {
				batch, err := b.Due(t.Context(), b.E, 0, 100, 1<<20)
				assert.NoError(t, err)
				read <- batch
			}()
			<-held.Hit()
			one.between(t, b)
			held.Release()
			batch := <-read
			one.check(t, b, batch)
			b.Commit(batch)
			if len(batch.Due) > 0 {
				n, err := b.Ack(t.Context(), b.E, 0, batch, []schema.Change{batch.Due[0].Change})
				require.NoError(t, err)
				assert.Equal(t, 1, n)
				assert.Zero(t, b.Total(t).Imbalance())
			}
		})
	}
}

func TestDueWaitsTheFlushDelay(t *testing.T) {
	b := setup(t, func(e *schema.Entity, _ *cache.Config) { e.Partitions, e.Flush.Delay = 1, time.Minute })
	_, order := b.Send(t, cache.Write{Op: cache.OpPut, ID: "a", Values: whole.Row("x", "1", "1")})
	assert.Equal(t, time.Minute, order.Delay)
	assert.Empty(t, b.DueIn(t, 0).Due)
	live, err := b.Begin(t.Context(), order, 10*time.Second)
	require.NoError(t, err)
	ending, err := b.End(t.Context(), live, true)
	require.NoError(t, err)
	assert.InDelta(t, time.Minute, ending.Next.Delay, float64(10*time.Second))
	assert.Equal(t, order.Generation+1, ending.Next.Generation)
}

func TestMissingRecordIsNoDeletion(t *testing.T) {
	b := setup(t, func(e *schema.Entity, _ *cache.Config) { e.Partitions = 1 })
	b.Put(t, "a", "x")
	b.Put(t, "b", "x")
	require.NoError(t, b.RDB.Del(t.Context(), b.RecordKey("a")).Err())
	batch := b.DueIn(t, 0)
	require.Equal(t, []string{"a"}, batch.Missing)
	require.Len(t, batch.Due, 1)
	n, err := b.Drop(t.Context(), b.E, 0, []string{"a", "b"})
	require.NoError(t, err)
	assert.Equal(t, 1, n, "only what is missing")
	stats, err := b.Stats(t.Context(), b.E)
	require.NoError(t, err)
	total := pending.Total(stats)
	assert.EqualValues(t, 1, total.Lost)
	assert.EqualValues(t, 1, total.Imbalance(), "the sum shows what was lost")
}

// One record a batch: now and then it is a held one, and mostly a pending one.
func TestI5HeldRecordsHaveAShareOfSmallBatches(t *testing.T) {
	b := setup(t, func(e *schema.Entity, _ *cache.Config) { e.Partitions, e.Flush.Batch = 1, 1 })
	b.Put(t, "held", "x")
	b.HoldAll(t, 0)
	b.Put(t, "pending", "x")
	seen := map[bool]bool{}
	testkit.Eventually(t, "either has its turn", func() bool {
		batch, err := b.Due(t.Context(), b.E, 0, 1, 1<<20)
		require.NoError(t, err)
		require.Len(t, batch.Due, 1)
		seen[batch.Due[0].Held] = true
		return len(seen) == 2
	})
}

// A partition that is never empty of pending records still tries its held ones.
func TestI5HeldRecordsHaveAShareOfAFullBatch(t *testing.T) {
	b := setup(t, func(e *schema.Entity, _ *cache.Config) { e.Partitions, e.Flush.Batch = 1, 20 })
	for i := range 5 {
		b.Put(t, fmt.Sprint("held", i), "x")
	}
	b.HoldAll(t, 0)
	for i := range 30 {
		b.Put(t, fmt.Sprint("pending", i), "x")
	}
	batch, err := b.Due(t.Context(), b.E, 0, 20, 1<<20)
	require.NoError(t, err)
	held := 0
	for _, d := range batch.Due {
		if d.Held {
			held++
		}
	}
	assert.Len(t, batch.Due, 20)
	assert.Equal(t, 2, held)
	assert.True(t, batch.More)
	batch, err = b.Due(t.Context(), b.E, 0, 100, 1<<20)
	require.NoError(t, err)
	assert.Len(t, batch.Due, 35)
	assert.False(t, batch.More)
}

func TestHoldAndWhatEndsIt(t *testing.T) {
	for name, end := range map[string]func(t *testing.T, b *bundle){
		"success": func(t *testing.T, b *bundle) { b.Flush(t) },
		"a newer write": func(t *testing.T, b *bundle) {
			b.Put(t, "a", "new")
			b.Flush(t)
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := setup(t)
			b.Put(t, "a", "old")
			b.HoldAll(t, 0)
			assert.EqualValues(t, 1, b.Total(t).Held)
			assert.Negative(t, b.Life(t, "a"))
			end(t, b)
			total := b.Total(t)
			assert.Zero(t, total.Held)
			assert.EqualValues(t, 1, total.Persisted)
			assert.Zero(t, b.RDB.HLen(t.Context(), b.Under+":{user/0}:why").Val()+
				b.RDB.HLen(t.Context(), b.Under+":{user/1}:why").Val())
		})
	}
}

func TestHoldLeavesANewerVersionAlone(t *testing.T) {
	b := setup(t)
	b.Put(t, "a", "old")
	partition := b.E.Partition("a")
	refused := b.DueIn(t, partition).Due[0].Change
	b.Put(t, "a", "new")
	n, err := b.Hold(t.Context(), b.E, partition, []pending.Refused{{Change: refused, Attempts: 1, Next: time.Now()}})
	require.NoError(t, err)
	assert.Zero(t, n)
	assert.EqualValues(t, 1, b.Total(t).Pending)
}

func TestHeldAttemptsAreCountedThroughDue(t *testing.T) {
	b := setup(t)
	b.Put(t, "a", "x")
	for want := range 3 {
		due := b.DueIn(t, b.E.Partition("a")).Due
		require.Len(t, due, 1)
		assert.Equal(t, want, due[0].Attempts)
		assert.Equal(t, want > 0, due[0].Held)
		b.HoldAll(t, 0)
	}
}

// The race between the last ack and a new write: whichever comes first, a task is live
// or ordered while anything is pending.
func TestI2NoWakeUpIsLost(t *testing.T) {
	b := setup(t, func(e *schema.Entity, _ *cache.Config) { e.Partitions = 1 })
	orders := make(chan schema.Order, 10_000)
	var writers sync.WaitGroup
	for w := range 4 {
		writers.Go(func() {
			for i := range 150 {
				got, order := b.Send(t, cache.Write{Op: cache.OpPut, ID: fmt.Sprintf("%d-%d", w, i%3),
					Values: whole.Row("x", "1", fmt.Sprint(i))})
				assert.NoError(t, got.Err)
				if !order.None() {
					orders <- order
				}
			}
		})
	}
	done := make(chan struct{})
	go func() {
		writers.Wait()
		close(done)
	}()
	work := func(order schema.Order) {
		live, err := b.Begin(t.Context(), order, time.Minute)
		require.NoError(t, err)
		require.False(t, live.None(), "one task at a time, and each is the live one")
		for {
			b.Flush(t)
			ending, err := b.End(t.Context(), live, false)
			require.NoError(t, err)
			if !ending.More {
				return
			}
		}
	}
	for {
		select {
		case order := <-orders:
			work(order)
			continue
		case <-done:
		}
		break
	}
	for len(orders) > 0 {
		work(<-orders)
	}
	assert.Zero(t, b.Total(t).Pending, "nothing is pending without a task")
}

func TestStaleGenerationMayNotWork(t *testing.T) {
	b := setup(t, func(e *schema.Entity, cfg *cache.Config) { e.Partitions, cfg.FlagMargin = 1, time.Millisecond })
	_, first := b.Send(t, cache.Write{Op: cache.OpPut, ID: "a", Values: whole.Row("x", "1", "1")})
	var second []schema.Order
	testkit.Eventually(t, "the flag runs out and the sweeper orders again", func() bool {
		var err error
		second, err = b.Sweep(t.Context(), []*schema.Entity{b.E})
		require.NoError(t, err)
		return len(second) == 1
	})
	live, err := b.Begin(t.Context(), first, time.Minute)
	require.NoError(t, err)
	assert.True(t, live.None())
	live, err = b.Begin(t.Context(), second[0], time.Minute)
	require.NoError(t, err)
	assert.Equal(t, second[0].Generation, live.Generation)
	ending, err := b.End(t.Context(), first, true)
	require.NoError(t, err)
	assert.True(t, ending.Stale)
	b.Flush(t)
	ending, err = b.End(t.Context(), live, true)
	require.NoError(t, err)
	assert.True(t, ending.Next.None())
	live, err = b.Begin(t.Context(), second[0], time.Minute)
	require.NoError(t, err)
	assert.True(t, live.None(), "a task that has ended does not run again")
}

func TestEndOrdersAWakeUpForHeldRecords(t *testing.T) {
	b := setup(t, func(e *schema.Entity, _ *cache.Config) { e.Partitions = 1 })
	_, order := b.Send(t, cache.Write{Op: cache.OpPut, ID: "a", Values: whole.Row("x", "1", "1")})
	live, err := b.Begin(t.Context(), order, time.Minute)
	require.NoError(t, err)
	b.HoldAll(t, time.Hour)
	ending, err := b.End(t.Context(), live, true)
	require.NoError(t, err)
	require.False(t, ending.Next.None())
	assert.Zero(t, ending.Next.Generation)
	assert.InDelta(t, time.Hour, ending.Next.Delay, float64(time.Minute))
	assert.Contains(t, ending.Next.TaskID(), "user/0/held/")

	_, next := b.Send(t, cache.Write{Op: cache.OpPut, ID: "b", Values: whole.Row("x", "1", "1")})
	require.False(t, next.None(), "a wake-up for later does not keep a write waiting")
	wake, err := b.Begin(t.Context(), ending.Next, time.Minute)
	require.NoError(t, err)
	assert.True(t, wake.None(), "a wake-up leaves a live task alone")
	live, err = b.Begin(t.Context(), next, time.Minute)
	require.NoError(t, err)
	b.Flush(t)
	_, err = b.End(t.Context(), live, true)
	require.NoError(t, err)
	wake, err = b.Begin(t.Context(), ending.Next, time.Minute)
	require.NoError(t, err)
	assert.Equal(t, next.Generation+1, wake.Generation, "with the flag free it becomes the live task")
}

func TestSweepOrdersOverdueHeldRecords(t *testing.T) {
	b := setup(t, func(e *schema.Entity, cfg *cache.Config) { e.Partitions = 1 })
	_, order := b.Send(t, cache.Write{Op: cache.OpPut, ID: "a", Values: whole.Row("x", "1", "1")})
	live, err := b.Begin(t.Context(), order, time.Minute)
	require.NoError(t, err)
	b.HoldAll(t, 50*time.Millisecond)
	_, err = b.End(t.Context(), live, true)
	require.NoError(t, err)
	testkit.Eventually(t, "the sweeper orders the retry", func() bool {
		orders, err := b.Sweep(t.Context(), []*schema.Entity{b.E})
		require.NoError(t, err)
		return len(orders) == 1
	})
	orders, err := b.Sweep(t.Context(), []*schema.Entity{b.E})
	require.NoError(t, err)
	assert.Empty(t, orders, "once")
}

// Redis's clock was an hour ahead while records were accepted and their flag was taken, and
// their worker died: neither they nor what is written since wait for that hour.
func TestI2AClockSetBackKeepsNothingWaiting(t *testing.T) {
	b := setup(t, func(e *schema.Entity, cfg *cache.Config) { e.Partitions = 1 })
	b.Put(t, "early", "x")
	ahead := time.Now().Add(time.Hour).UnixMilli()
	base := strings.TrimSuffix(b.StatsKey(0), "stats")
	require.NoError(t, b.RDB.ZAdd(t.Context(), base+"pending", redis.Z{Score: float64(ahead), Member: "early"}).Err())
	require.NoError(t, b.RDB.HSet(t.Context(), b.StatsKey(0), "u", ahead).Err())
	b.Put(t, "late", "x")

	orders, err := b.Sweep(t.Context(), []*schema.Entity{b.E})
	require.NoError(t, err)
	require.Len(t, orders, 1, "no flag lives for an hour")
	require.Zero(t, orders[0].Delay)
	again, err := b.Sweep(t.Context(), []*schema.Entity{b.E})
	require.NoError(t, err)
	require.Empty(t, again, "its flag is live now")
	live, err := b.Begin(t.Context(), orders[0], time.Minute)
	require.NoError(t, err)
	require.False(t, live.None())

	batch, err := b.Due(t.Context(), b.E, 0, 1, 1<<20)
	require.NoError(t, err)
	require.Len(t, batch.Due, 1)
	require.Equal(t, "late", batch.Due[0].ID)
	_, err = b.Ack(t.Context(), b.E, 0, batch, []schema.Change{batch.Due[0].Change})
	require.NoError(t, err)
	ending, err := b.End(t.Context(), live, false)
	require.NoError(t, err)
	require.True(t, ending.More)
	batch, err = b.Due(t.Context(), b.E, 0, 10, 1<<20)
	require.NoError(t, err)
	require.Len(t, batch.Due, 1)
	require.Equal(t, "early", batch.Due[0].ID)
	_, err = b.Ack(t.Context(), b.E, 0, batch, []schema.Change{batch.Due[0].Change})
	require.NoError(t, err)
	ending, err = b.End(t.Context(), live, false)
	require.NoError(t, err)
	require.False(t, ending.More)
	require.True(t, ending.Next.None())
}

// An isolated record is in no batch with others, and is read alone, in the order of the times.
func TestIsolated(t *testing.T) {
	b := setup(t, func(e *schema.Entity, _ *cache.Config) { e.Partitions, e.Flush.Batch = 1, 10 })
	for _, id := range []string{"apart1", "apart2", "held"} {
		b.Put(t, id, "x")
	}
	now := time.Now()
	var refused []pending.Refused
	for i, d := range b.DueIn(t, 0).Due {
		refused = append(refused, pending.Refused{
			Change: d.Change, Refusal: schema.Refusal{Kind: schema.KindPoison}, Attempts: 1,
			Next: now.Add(-time.Duration(i+1) * time.Second), Isolated: d.ID != "held",
		})
	}
	n, err := b.Hold(t.Context(), b.E, 0, refused)
	require.NoError(t, err)
	require.Equal(t, 3, n)
	b.Put(t, "pending", "x")
	due := func() (together, alone []string) {
		batch := b.DueIn(t, 0)
		for _, d := range batch.Due {
			together = append(together, d.ID)
		}
		one, err := b.DueAlone(t.Context(), b.E, 0)
		require.NoError(t, err)
		for _, d := range one.Due {
			require.Equal(t, whole.Row("x", "30", "0"), d.Values)
			alone = append(alone, d.ID)
		}
		require.Equal(t, batch.Isolated, len(one.Due) > 0)
		return together, alone
	}
	together, alone := due()
	assert.Equal(t, []string{"pending", "held"}, together)
	assert.Equal(t, []string{"apart2"}, alone, "its time came first")

	_, err = b.Reschedule(t.Context(), b.E, 0, []pending.Move{{ID: "apart2", From: refused[1].Next,
		To: now.Add(time.Hour)}})
	require.NoError(t, err)
	_, alone = due()
	assert.Equal(t, []string{"apart1"}, alone)
	waiting, err := b.Waiting(t.Context(), b.E, 0, 0, 10)
	require.NoError(t, err)
	for _, one := range waiting {
		assert.Equal(t, one.ID != "held", one.Isolated, one.ID)
	}

	b.Put(t, "apart1", "x")
	together, alone = due()
	assert.Equal(t, []string{"pending", "apart1", "held"}, together, "a newer write is like any other")
	assert.Empty(t, alone)

	again := slices.IndexFunc(refused, func(r pending.Refused) bool { return r.Change.ID == "apart2" })
	_, _, err = b.Retry(t.Context(), b.E, 0, []schema.Versioned{{ID: "apart2", Version: refused[again].Change.Version}})
	require.NoError(t, err)
	together, _ = due()
	assert.Contains(t, together, "apart2", "and so is one that is put back")
	b.Total(t)
}
