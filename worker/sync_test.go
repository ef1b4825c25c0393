package worker

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/internal/queue"
	"github.com/afterwrite/afterwrite/internal/testkit"
	"github.com/afterwrite/afterwrite/schema"
	"github.com/afterwrite/afterwrite/store"
	"github.com/afterwrite/afterwrite/store/ledger"
)

func TestI2AcceptedRecordsArePersisted(t *testing.T) {
	onEach(t, func(t *testing.T, b *bench) {
		b.e.Partitions = 4
		b.e.Flush.Batch = 50
		w := b.worker(b.serving, func(c *Config) { b.orders = nil })
		b.orders = &orders{}
		want := map[string]string{}
		for i := range 400 {
			b.put(id(i), fmt.Sprint("n", i))
			want[id(i)] = fmt.Sprint("n", i)
		}
		// The producer's orders are lost: the sweeper finds the partitions by itself.
		stop := b.run(w)
		testkit.Eventually(t, "all are persisted", func() bool { return b.stats().Persisted == 400 })
		b.quiet(0)
		require.Equal(t, want, b.names())
		alive, err := b.redisOf().Alive(t.Context())
		require.NoError(t, err)
		require.Len(t, alive, 1)
		stop()
		alive, err = b.redisOf().Alive(t.Context())
		require.NoError(t, err)
		require.Empty(t, alive)
	})
}

func TestI3AStaleTaskTouchesNoDatabase(t *testing.T) {
	onEach(t, func(t *testing.T, b *bench) {
		w := b.worker()
		b.put("a", "1")
		stale := b.orders.take()[0]
		testkit.Eventually(t, "the flag expires and another order is given", func() bool {
			_ = w.sweepOnce(t.Context())
			return len(b.orders.given) > 0
		})
		touched := b.sql.Inject(testkit.Refuse, testkit.AnyStatement, testkit.Always())
		require.NoError(t, w.sync(t.Context(), task(stale)))
		require.Zero(t, touched.Hits())
		touched.Release()
		b.drain(w)
		require.Equal(t, map[string]string{"a": "1"}, b.names())
		require.NoError(t, w.sync(t.Context(), task(stale)), "an order that was carried out is stale too")
	})
}

func TestATaskOfAnUnknownPartitionIsDropped(t *testing.T) {
	t.Parallel()
	b := setup(t, testkit.SQLite(t))
	w := b.worker()
	for _, bad := range []queue.Task{{Entity: "nobody"}, {Entity: "user", Partition: -1},
		{Entity: "user", Partition: 1}} {
		require.NoError(t, w.sync(t.Context(), bad))
	}
}

// A worker that was left over from before the number of partitions was changed leaves the
// tasks of the others to them.
func TestI2ATaskOfAnotherNumberOfPartitionsIsLeftToOthers(t *testing.T) {
	t.Parallel()
	b := setup(t, testkit.SQLite(t))
	require.NoError(t, b.cache.Adopt(t.Context(), b.e))
	more := *b.e
	more.Partitions = 4
	require.NoError(t, b.cache.Adopt(t.Context(), &more))
	err := b.worker().sync(t.Context(), queue.Task{Entity: "user", Partition: 3, Generation: 1})
	require.ErrorAs(t, err, new(queue.Later))
	require.ErrorIs(t, err, errNumber)
}

// A write between the last ack and the end of a task is flushed, without a sweeper.
func TestI2NoWakeUpIsLost(t *testing.T) {
	t.Parallel()
	b := setup(t, testkit.SQLite(t))
	b.e.Flush.Batch = 3
	w := b.worker()
	for round := range 150 {
		b.put("first", fmt.Sprint(round))
		var writer sync.WaitGroup
		writer.Go(func() {
			for i := range 5 {
				b.put(id(i), fmt.Sprint(round))
			}
		})
		b.flush(w)
		writer.Wait()
		b.flush(w)
		require.Zero(t, b.stats().Pending, "round %d", round)
	}
	b.quiet(0)
}

// The end of a task is held back between its look and its reply, and a write comes.
func TestI2AWriteAfterTheEndOrdersItsOwnTask(t *testing.T) {
	onEach(t, func(t *testing.T, b *bench) {
		w := b.worker()
		b.put("a", "1")
		end := b.redis.Inject(testkit.HoldReply, testkit.Script(t, "end"))
		var done sync.WaitGroup
		done.Go(func() { b.flush(w) })
		<-end.Hit()
		b.put("b", "1")
		end.Release()
		done.Wait()
		b.flush(w)
		b.quiet(0)
		require.Equal(t, map[string]string{"a": "1", "b": "1"}, b.names())
	})
}

func TestI3AnewerWriteDuringAFlushStaysPending(t *testing.T) {
	onEach(t, func(t *testing.T, b *bench) {
		w := b.worker(func(c *Config) { c.Slice = time.Nanosecond })
		b.put("a", "1")
		commit := b.sql.Inject(testkit.Hold, testkit.Commit)
		first := b.orders.take()[0]
		var done sync.WaitGroup
		done.Go(func() { require.NoError(t, w.sync(t.Context(), task(first))) })
		<-commit.Hit()
		newer := b.put("a", "2")
		commit.Release()
		done.Wait()
		require.Equal(t, map[string]string{"a": "1"}, b.names())
		state, err := b.cache.Status(t.Context(), b.e, "a")
		require.NoError(t, err)
		require.Equal(t, schema.Pending, state.Record.Status)
		require.Equal(t, newer, state.Record.Version)
		b.flush(w)
		b.quiet(0)
		require.Equal(t, map[string]string{"a": "2"}, b.names())
	})
}

func TestI3PutDeletePut(t *testing.T) {
	onEach(t, func(t *testing.T, b *bench) {
		w := b.worker()
		b.put("a", "1")
		b.delete("a")
		b.put("a", "2")
		b.put("b", "1")
		b.delete("b")
		b.flush(w)
		require.Equal(t, map[string]string{"a": "2"}, b.names(), "in one batch")
		b.delete("a")
		b.flush(w)
		require.Empty(t, b.names())
		b.put("a", "3")
		b.flush(w)
		require.Equal(t, map[string]string{"a": "3"}, b.names(), "across batches")
		b.quiet(0)
	})
}

// A flusher is paused after it has read its batch, for longer than the database lets
// its transaction stay. Another writes a newer state; the first one then cannot.
func TestI3AWorkerThatLostItsLockWritesNothing(t *testing.T) {
	t.Parallel()
	b := setup(t, testkit.Postgres(t).Database(t))
	impatient, err := store.Open(store.Config{URL: b.db, IdleInTransaction: time.Second, Log: testkit.Logger(t)}, b.all)
	require.NoError(t, err)
	t.Cleanup(func() { _ = impatient.Close() })
	paused, other := b.worker(func(c *Config) { c.Store = ledger.Of(impatient) }), b.worker()
	b.put("a", "old")
	first := b.orders.take()[0]
	// Redis must know the script, or the reply that is held is that it does not.
	_, err = b.backlog.Due(t.Context(), first.Entity, first.Partition, 1, 1<<20)
	require.NoError(t, err)
	due := b.redis.Inject(testkit.HoldReply, testkit.Script(t, "due"))
	var done sync.WaitGroup
	done.Go(func() { _ = paused.sync(t.Context(), task(first)) })
	<-due.Hit()
	b.put("a", "new")
	b.delete("a")
	b.put("b", "new")
	testkit.Eventually(t, "another flusher has taken over", func() bool {
		// The paused worker's process is alive and renews its flag, so force an order.
		require.NoError(t, b.redisOf().Resign(t.Context(), sweeper, other.id))
		_, err := b.backlog.Begin(t.Context(), first, time.Millisecond)
		require.NoError(t, err)
		_ = other.sweepOnce(t.Context())
		b.flush(other)
		return b.stats().Pending == 0
	})
	require.Equal(t, map[string]string{"b": "new"}, b.names())
	due.Release()
	done.Wait()
	require.EqualValues(t, 1, testutil.ToFloat64(paused.metrics.stale),
		"it failed, and found that it is not the live task")
	require.Equal(t, map[string]string{"b": "new"}, b.names(), "no resurrection")
	b.drain(other)
	b.quiet(0)
}

// Two flushers of one partition at once, one of them with a stale batch, on any database.
func TestI3TwoFlushersKeepOrder(t *testing.T) {
	onEach(t, func(t *testing.T, b *bench) {
		slow, quick := b.worker(), b.worker()
		b.put("a", "old")
		due := b.redis.Inject(testkit.HoldReply, testkit.Script(t, "due"))
		order := b.orders.take()[0]
		var done sync.WaitGroup
		done.Go(func() { _ = slow.sync(t.Context(), task(order)) })
		<-due.Hit()
		b.put("a", "new")
		done.Go(func() { _ = quick.sync(t.Context(), task(order)) }) // the same task, delivered twice
		due.Release()
		done.Wait()
		b.drain(quick)
		b.quiet(0)
		require.Equal(t, map[string]string{"a": "new"}, b.names())
	})
}

func TestI5OneRefusedOf500(t *testing.T) {
	onEach(t, func(t *testing.T, b *bench) {
		w := b.worker()
		b.mail("owner", "x", "taken@x")
		b.drain(w)
		for i := range 499 {
			b.put(id(i), "good")
		}
		b.mail("bad", "x", "taken@x")
		orders := b.orders.take() // the last is the live one, if the first was given long ago
		require.NoError(t, w.sync(t.Context(), task(orders[len(orders)-1])))
		s := b.stats()
		require.EqualValues(t, 500, s.Persisted, "499 and the owner, in the first flush")
		state, err := b.cache.Status(t.Context(), b.e, "bad")
		require.NoError(t, err)
		require.Equal(t, schema.Held, state.Record.Status)
		require.Equal(t, schema.KindUnique, state.Refusal.Kind)
		require.Positive(t, state.Attempts)
		b.quiet(1)
	})
}

func TestAHotPartitionHandsOverAfterItsSlice(t *testing.T) {
	t.Parallel()
	b := setup(t, testkit.SQLite(t))
	b.e.Flush.Batch = 10
	w := b.worker(func(c *Config) { c.Slice = time.Nanosecond })
	for i := range 95 {
		b.put(id(i), "x")
	}
	orders := b.orders.take()
	orders = orders[len(orders)-1:] // the flag of the first may have ended during the writes
	for runs := 1; ; runs++ {
		if len(orders) == 0 {
			require.Equal(t, 10, runs-1, "ten tasks of one batch each")
			break
		}
		require.Len(t, orders, 1, "one successor at a time")
		require.NoError(t, w.sync(t.Context(), task(orders[0])))
		require.EqualValues(t, min(10*runs, 95), b.stats().Persisted)
		orders = b.orders.take()
	}
	b.quiet(0)
}

// Where a batch was full the next is read ahead, and only there: elsewhere more comes
// while a flush waits for the lock.
func TestAFullBatchHasTheNextReadAhead(t *testing.T) {
	t.Parallel()
	b := setup(t, testkit.SQLite(t))
	b.e.Flush.Batch = 10
	seen := &picky{state: b.redisOf(), store: b.store, sql: b.sql}
	w := b.worker(seen.config)
	for i := range 25 {
		b.put(id(i), "x")
	}
	b.drain(w)
	require.Equal(t, []int{10, 10, 5}, seen.sizes)
	require.Equal(t, 2, seen.ahead)
	b.put("a", "1")
	b.drain(w)
	require.Equal(t, 2, seen.ahead)
	b.quiet(0)
}

// A record that Redis lost is no deletion, keeps nobody waiting, and is counted.
func TestALostRecordIsToldAndNotDeleted(t *testing.T) {
	onEach(t, func(t *testing.T, b *bench) {
		w := b.worker()
		b.put("a", "1")
		b.drain(w)
		b.put("a", "2")
		b.put("b", "2")
		client := testkit.SharedRedis(t).Client(t)
		keys, err := client.Keys(t.Context(), b.prefix+":*:r:a").Result()
		require.NoError(t, err)
		require.Len(t, keys, 1)
		require.NoError(t, client.Del(t.Context(), keys[0]).Err())
		b.drain(w)
		require.Equal(t, map[string]string{"a": "1", "b": "2"}, b.names())
		s := b.stats()
		require.EqualValues(t, 1, s.Lost)
		require.EqualValues(t, 1, s.Imbalance(), "the sum shows what was lost")
	})
}
