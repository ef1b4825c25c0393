package producer_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/cache"
	"github.com/afterwrite/afterwrite/cache/pending"
	"github.com/afterwrite/afterwrite/internal/testkit"
	"github.com/afterwrite/afterwrite/internal/testkit/flush"
	"github.com/afterwrite/afterwrite/internal/testkit/whole"
	"github.com/afterwrite/afterwrite/producer"
	"github.com/afterwrite/afterwrite/schema"
	"github.com/afterwrite/afterwrite/store"
)

// first is a producer whose user entity is written to a real database first.
type first struct {
	*producer.Producer
	cache   *cache.Cache
	backlog *pending.Backlog
	store   *store.Store
	rdb     *redis.Client
	user    *schema.Entity
	prefix  string
	faults  *testkit.RedisFaults
	sql     *testkit.SQLFaults
}

func firstly(t *testing.T, mode schema.WriteMode, run func(t *testing.T, b *first)) {
	testkit.AllDatabases(t, func(t *testing.T, url string) {
		server := testkit.SharedRedis(t)
		b := &first{user: testkit.Entity(t, "user"), rdb: server.Client(t), prefix: testkit.Prefix(t),
			faults: &testkit.RedisFaults{}, sql: &testkit.SQLFaults{}}
		b.user.Write = mode
		all := []*schema.Entity{b.user}
		var err error
		b.store, err = store.Open(store.Config{URL: url, Log: testkit.Logger(t), Wrap: b.sql.Wrap}, all)
		require.NoError(t, err)
		_, err = b.store.Migrate(t.Context(), false)
		require.NoError(t, err)
		b.cache, err = cache.New(cache.Config{URL: server.URL(), Prefix: b.prefix, Loader: b.store,
			Log: testkit.Logger(t), Hooks: []redis.Hook{b.faults}})
		require.NoError(t, err)
		b.backlog = whole.Of(b.cache).Backlog
		b.Producer, err = producer.New(producer.Config{Entities: all, Cache: b.cache, Loader: b.store,
			Database: b.store, Timeout: 5 * time.Second, Log: testkit.Logger(t)})
		require.NoError(t, err)
		t.Cleanup(func() {
			require.NoError(t, b.Close())
			require.NoError(t, b.cache.Close())
			require.NoError(t, b.store.Close())
		})
		run(t, b)
		stats, err := b.backlog.Stats(t.Context(), b.user)
		require.NoError(t, err)
		require.Zero(t, pending.Total(stats).Imbalance(), "I7 conserved")
	})
}

// row is the name in the database, "" without a row.
func (b *first) row(t *testing.T, id string) string {
	t.Helper()
	rows, err := b.store.Load(t.Context(), b.user, []string{id})
	require.NoError(t, err)
	if rows[id] == nil {
		return ""
	}
	return rows[id][0]
}

func (b *first) read(t *testing.T, id string) cache.Read {
	t.Helper()
	read, err := b.cache.Get(t.Context(), b.user, id)
	require.NoError(t, err)
	return read
}

func TestThroughAndAroundWriteTheDatabaseFirst(t *testing.T) {
	for _, mode := range []schema.WriteMode{schema.WriteThrough, schema.WriteAround} {
		t.Run(string(mode), func(t *testing.T) {
			firstly(t, mode, func(t *testing.T, b *first) {
				ctx := t.Context()
				put, err := b.Put(ctx, "user", "1", schema.Fields{"name": "one", "age": 1})
				require.NoError(t, err)
				assert.Equal(t, schema.Persisted, put.Status)
				assert.Equal(t, `"one"`, b.row(t, "1"))
				want := cache.Hit
				if mode == schema.WriteAround {
					want = cache.Filled
				}
				read := b.read(t, "1")
				assert.Equal(t, want, read.Source)
				assert.Equal(t, `"one"`, read.Values[0])

				_, err = b.Create(ctx, "user", "1", schema.Fields{"name": "x"})
				require.ErrorIs(t, err, schema.ErrExists)
				added, err := b.Increment(ctx, "user", "1", schema.Fields{"login_count": 5})
				require.NoError(t, err)
				assert.Equal(t, "5", added.Values[3])
				_, err = b.Increment(ctx, "user", "1", schema.Fields{"age": 150})
				require.ErrorIs(t, err, schema.ErrInvalid)
				_, err = b.Patch(ctx, "user", "1", schema.Fields{"age": 2})
				require.NoError(t, err)
				_, err = b.Patch(ctx, "user", "nobody", schema.Fields{"age": 2})
				require.ErrorIs(t, err, schema.ErrNotFound)
				read = b.read(t, "1")
				assert.Equal(t, []string{"2", "5"}, []string{read.Values[2], read.Values[3]})

				_, err = b.Do(ctx, producer.Request{Op: cache.OpPut, Entity: "user", ID: "1",
					Fields: schema.Fields{"name": "x"}, IfMatch: read.Version - 1})
				require.ErrorIs(t, err, schema.ErrVersionMismatch)
				read = b.read(t, "1")
				_, err = b.Do(ctx, producer.Request{Op: cache.OpPut, Entity: "user", ID: "1",
					Fields: schema.Fields{"name": "two"}, IfMatch: read.Version})
				require.NoError(t, err)
				assert.Equal(t, `"two"`, b.row(t, "1"))

				_, err = b.Delete(ctx, "user", "1")
				require.NoError(t, err)
				assert.Empty(t, b.row(t, "1"))
				assert.True(t, b.read(t, "1").Deleted)
				_, err = b.Do(ctx, producer.Request{Op: cache.OpPut, Entity: "user", ID: "1",
					Fields: schema.Fields{"name": "x"}, Key: "k"})
				require.ErrorIs(t, err, schema.ErrInvalid)
				results := b.DoAll(ctx, []producer.Request{
					{Op: cache.OpPut, Entity: "user", ID: "2", Fields: schema.Fields{"name": "two"}},
					{Op: cache.OpPatch, Entity: "user", ID: "2", Fields: schema.Fields{"age": 7}},
				})
				require.NoError(t, results[0].Err)
				require.NoError(t, results[1].Err)
				assert.Equal(t, "7", b.read(t, "2").Values[2])
			})
		})
	}
}

func TestRefusedThroughChangesNothing(t *testing.T) {
	firstly(t, schema.WriteThrough, func(t *testing.T, b *first) {
		_, err := b.Put(t.Context(), "user", "1", schema.Fields{"name": "one", "email": "e@x"})
		require.NoError(t, err)
		_, err = b.Put(t.Context(), "user", "2", schema.Fields{"name": "two", "email": "e@x"})
		var refused *producer.RefusedError
		require.ErrorAs(t, err, &refused)
		assert.Equal(t, schema.KindUnique, refused.Refusal.Kind)
		assert.Zero(t, refused.Version)
		assert.True(t, b.read(t, "2").Deleted)
		assert.Equal(t, cache.Filled, b.get2(t).Source, "no barrier is left behind")
	})
}

func (b *first) get2(t *testing.T) cache.Read {
	t.Helper()
	_, err := b.cache.Invalidate(t.Context(), b.user, []string{"2"})
	require.NoError(t, err)
	return b.read(t, "2")
}

// A read that loads while a write is between its barrier and its commit must not cache
// the old row.
func TestI4FillDuringAWriteThrough(t *testing.T) {
	firstly(t, schema.WriteThrough, func(t *testing.T, b *first) {
		_, err := b.Put(t.Context(), "user", "1", schema.Fields{"name": "old"})
		require.NoError(t, err)
		hold := b.sql.Inject(testkit.Hold, testkit.Commit)
		done := make(chan error)
		go func() {
			_, err := b.Put(context.WithoutCancel(t.Context()), "user", "1", schema.Fields{"name": "new"})
			done <- err
		}()
		<-hold.Hit()
		read := b.read(t, "1")
		assert.Equal(t, `"old"`, read.Values[0])
		assert.Equal(t, cache.Missed, read.Source, "it is not cached")
		_, err = b.cache.Invalidate(t.Context(), b.user, []string{"1"})
		require.NoError(t, err)
		assert.Equal(t, cache.Missed, b.read(t, "1").Source, "an invalidation leaves the barrier alone")
		hold.Release()
		require.NoError(t, <-done)
		assert.Equal(t, `"new"`, b.read(t, "1").Values[0])
	})
}

// The process dies between COMMIT and the cache: the barrier ends, and nothing is stale.
func TestI4CrashAfterCommit(t *testing.T) {
	firstly(t, schema.WriteThrough, func(t *testing.T, b *first) {
		_, err := b.Put(t.Context(), "user", "1", schema.Fields{"name": "old"})
		require.NoError(t, err)
		b.faults.Inject(testkit.Refuse, testkit.Script(t, "unbar"), testkit.Always())
		_, err = b.Put(t.Context(), "user", "1", schema.Fields{"name": "new"})
		require.NoError(t, err)
		read := b.read(t, "1")
		assert.Equal(t, `"new"`, read.Values[0])
		assert.Equal(t, cache.Missed, read.Source)
		b.faults.Clear()
		key := fmt.Sprintf("%s:{user/%d}:r:1", b.prefix, b.user.Partition("1"))
		assert.Positive(t, b.rdb.PTTL(t.Context(), key).Val())
		require.NoError(t, b.rdb.PExpire(t.Context(), key, time.Millisecond).Err())
		testkit.Eventually(t, "the barrier ends", func() bool { return b.read(t, "1").Source == cache.Filled })
		assert.Equal(t, cache.Hit, b.read(t, "1").Source)
	})
}

// States get into the cache in the order of their commits, however late they get there.
func TestI3ThroughCachesInTheOrderOfCommits(t *testing.T) {
	firstly(t, schema.WriteThrough, func(t *testing.T, b *first) {
		hold := b.faults.Inject(testkit.Hold, testkit.Script(t, "unbar"))
		done := make(chan error)
		go func() {
			_, err := b.Put(context.WithoutCancel(t.Context()), "user", "1", schema.Fields{"name": "one"})
			done <- err
		}()
		<-hold.Hit()
		_, err := b.Put(t.Context(), "user", "1", schema.Fields{"name": "two"})
		require.NoError(t, err)
		hold.Release()
		require.NoError(t, <-done)
		assert.Equal(t, `"two"`, b.row(t, "1"))
		assert.Equal(t, `"two"`, b.read(t, "1").Values[0])
	})
}

func TestIncrementsThroughAreExact(t *testing.T) {
	firstly(t, schema.WriteThrough, func(t *testing.T, b *first) {
		_, err := b.Put(t.Context(), "user", "1", schema.Fields{"name": "one"})
		require.NoError(t, err)
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				for range 10 {
					_, err := b.Increment(t.Context(), "user", "1", schema.Fields{"login_count": 1})
					assert.NoError(t, err)
				}
			})
		}
		wg.Wait()
		assert.Equal(t, "80", b.read(t, "1").Values[3])
	})
}

// A record that is pending was accepted behind: its newest state is in Redis alone, so
// the write goes behind it, and waits.
func TestThroughAPendingRecordGoesBehindIt(t *testing.T) {
	firstly(t, schema.WriteThrough, func(t *testing.T, b *first) {
		behind := *b.user
		behind.Write = schema.WriteBehind
		p, err := producer.New(producer.Config{Entities: []*schema.Entity{&behind}, Cache: b.cache, Loader: b.store})
		require.NoError(t, err)
		defer func() { require.NoError(t, p.Close()) }()
		_, err = p.Put(t.Context(), "user", "1", schema.Fields{"name": "behind"})
		require.NoError(t, err)
		done := make(chan producer.Accepted)
		go func() {
			got, err := b.Patch(t.Context(), "user", "1", schema.Fields{"age": 9})
			assert.NoError(t, err)
			done <- got
		}()
		testkit.Eventually(t, "both are accepted", func() bool {
			stats, err := b.backlog.Stats(t.Context(), b.user)
			return err == nil && pending.Total(stats).Accepted == 2
		})
		partition := b.user.Partition("1")
		batch, err := b.backlog.Due(t.Context(), b.user, partition, 10, 1<<20)
		require.NoError(t, err)
		flushed, err := flush.Partition(t.Context(), b.store.Begin, b.user, partition,
			func(context.Context) ([]schema.Change, error) {
				return []schema.Change{batch.Due[0].Change}, nil
			})
		require.NoError(t, err)
		_, err = b.backlog.Ack(t.Context(), b.user, partition, batch, flushed.Persisted)
		require.NoError(t, err)
		got := <-done
		assert.Equal(t, schema.Persisted, got.Status)
		assert.Equal(t, `"behind"`, b.row(t, "1"))
		assert.Equal(t, "9", b.read(t, "1").Values[2])
	})
}
