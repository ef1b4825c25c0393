package fsck_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/cache"
	"github.com/afterwrite/afterwrite/cache/pending"
	"github.com/afterwrite/afterwrite/internal/fsck"
	"github.com/afterwrite/afterwrite/internal/testkit"
	"github.com/afterwrite/afterwrite/internal/testkit/flush"
	"github.com/afterwrite/afterwrite/internal/testkit/whole"
	"github.com/afterwrite/afterwrite/schema"
	"github.com/afterwrite/afterwrite/store"
)

// bundle is one entity on a real Redis and a real database.
type bundle struct {
	entity  *schema.Entity
	cache   *cache.Cache
	backlog *pending.Backlog
	store   *store.Store
	redis   *redis.Client
	prefix  string
}

func setup(t *testing.T, url string) *bundle {
	t.Helper()
	b := &bundle{entity: testkit.Entity(t, "user"), prefix: testkit.Prefix(t)}
	server := testkit.SharedRedis(t)
	b.redis = server.Client(t)
	var err error
	b.store, err = store.Open(store.Config{URL: url, Log: testkit.Logger(t)}, []*schema.Entity{b.entity})
	require.NoError(t, err)
	t.Cleanup(func() { _ = b.store.Close() })
	_, err = b.store.Migrate(t.Context(), false)
	require.NoError(t, err)
	b.cache, err = cache.New(cache.Config{URL: server.URL(), Prefix: b.prefix, Loader: b.store, Log: testkit.Logger(t)})
	require.NoError(t, err)
	b.backlog = whole.Of(b.cache).Backlog
	t.Cleanup(func() { _ = b.cache.Close() })
	return b
}

func (b *bundle) write(ctx context.Context, op cache.Op, id, name string) error {
	w := cache.Write{Op: op, ID: id}
	if op == cache.OpPut {
		values, err := b.entity.Whole(schema.Fields{"name": name})
		if err != nil {
			return err
		}
		w.Values = values
	}
	g := &cache.Group{Entity: b.entity, Partition: b.entity.Partition(id), Writes: []cache.Write{w}}
	b.cache.Write(ctx, g)
	return g.Results[0].Err
}

// flush persists what is pending in one partition, as a worker does.
func (b *bundle) flush(ctx context.Context, partition int) error {
	var batch pending.Batch
	flushed, err := flush.Partition(ctx, b.store.Begin, b.entity, partition,
		func(ctx context.Context) ([]schema.Change, error) {
			var err error
			batch, err = b.backlog.Due(ctx, b.entity, partition, 1000, 1<<20)
			changes := make([]schema.Change, len(batch.Due))
			for i, d := range batch.Due {
				changes[i] = d.Change
			}
			return changes, err
		})
	if err != nil {
		return err
	}
	_, err = b.backlog.Ack(ctx, b.entity, partition, batch, flushed.Persisted)
	return err
}

// around changes a row behind the cache's back.
func (b *bundle) around(t *testing.T, change schema.Change) {
	t.Helper()
	_, err := flush.Partition(t.Context(), b.store.Begin, b.entity, b.entity.Partition(change.ID),
		func(context.Context) ([]schema.Change, error) { return []schema.Change{change}, nil })
	require.NoError(t, err)
}

func (b *bundle) key(id, part string) string {
	return fmt.Sprintf("%s:{%s/%d}:%s", b.prefix, b.entity.Name, b.entity.Partition(id), part)
}

func (b *bundle) check(t *testing.T) fsck.Entity {
	t.Helper()
	report, err := fsck.Run(t.Context(), b.cache, b.backlog, b.store, []*schema.Entity{b.entity},
		fsck.Options{Page: 7, Rechecks: 2, Pause: time.Millisecond})
	require.NoError(t, err)
	require.Len(t, report.Entities, 1)
	require.Equal(t, report.Entities[0].OK(), report.OK())
	return report.Entities[0]
}

// populate leaves persisted, deleted and pending records.
func (b *bundle) populate(t *testing.T) {
	t.Helper()
	for i := range 60 {
		require.NoError(t, b.write(t.Context(), cache.OpPut, fmt.Sprintf("id %d/é:{}*", i), "n"))
	}
	for _, id := range []string{"a", "b", "c", "gone"} {
		require.NoError(t, b.write(t.Context(), cache.OpPut, id, "n"))
	}
	require.NoError(t, b.write(t.Context(), cache.OpDelete, "gone", ""))
	for p := range b.entity.Partitions {
		require.NoError(t, b.flush(t.Context(), p))
	}
	require.NoError(t, b.write(t.Context(), cache.OpPut, "waits", "n"))
}

func TestAgreement(t *testing.T) {
	t.Parallel()
	testkit.Databases(t, func(t *testing.T, url string) {
		t.Parallel()
		b := setup(t, url)
		b.populate(t)
		found := b.check(t)
		require.True(t, found.OK(), "%+v", found.Differences)
		require.EqualValues(t, 64, found.Compared)
		require.EqualValues(t, 1, found.Waiting)
		require.Equal(t, fsck.Sum{Accepted: 66, Persisted: 64, Superseded: 1, Pending: 1}, found.Sum)
	})
}

// Each way in which the two sides can differ is found, and named.
func TestDifferences(t *testing.T) {
	t.Parallel()
	values := schema.Values{`"other"`, "null", "null", "0", "null"}
	spoil := map[fsck.Reason]func(t *testing.T, b *bundle){
		fsck.FieldsDiffer: func(t *testing.T, b *bundle) { b.around(t, schema.Change{ID: "a", Values: values}) },
		fsck.RowMissing:   func(t *testing.T, b *bundle) { b.around(t, schema.Change{ID: "a", Deleted: true}) },
		fsck.RowLeft:      func(t *testing.T, b *bundle) { b.around(t, schema.Change{ID: "gone", Values: values}) },
		fsck.Immortal: func(t *testing.T, b *bundle) {
			require.NoError(t, b.redis.Persist(t.Context(), b.key("a", "r:a")).Err())
		},
		fsck.Evictable: func(t *testing.T, b *bundle) {
			require.NoError(t, b.redis.Expire(t.Context(), b.key("waits", "r:waits"), time.Hour).Err())
		},
		fsck.RecordMissing: func(t *testing.T, b *bundle) {
			require.NoError(t, b.redis.Del(t.Context(), b.key("waits", "r:waits")).Err())
		},
		fsck.WrongList: func(t *testing.T, b *bundle) {
			require.NoError(t, b.redis.ZAdd(t.Context(), b.key("a", "dead"), redis.Z{Score: 1, Member: "a"}).Err())
		},
		fsck.Unlisted: func(t *testing.T, b *bundle) {
			require.NoError(t, b.redis.ZRem(t.Context(), b.key("waits", "pending"), "waits").Err())
		},
		fsck.SumBroken: func(t *testing.T, b *bundle) { b.bump(t, "a", 1) },
		fsck.WritesLost: func(t *testing.T, b *bundle) {
			require.NoError(t, b.redis.Del(t.Context(), b.key("waits", "r:waits")).Err())
			n, err := b.backlog.Drop(t.Context(), b.entity, b.entity.Partition("waits"), []string{"waits"})
			require.NoError(t, err)
			require.Equal(t, 1, n)
		},
	}
	for _, reason := range slices.Sorted(maps.Keys(spoil)) {
		t.Run(string(reason), func(t *testing.T) {
			t.Parallel()
			b := setup(t, testkit.SQLite(t))
			b.populate(t)
			spoil[reason](t, b)
			found := b.check(t)
			var reasons []string
			for _, d := range found.Differences {
				reasons = append(reasons, string(d.Reason))
			}
			require.Contains(t, reasons, string(reason))
			require.Equal(t, len(found.Differences), found.Different)
			if reason == fsck.FieldsDiffer {
				require.Equal(t, []fsck.Field{{Name: "name", Cached: `"n"`, Database: `"other"`}},
					found.Differences[0].Fields)
			}
		})
	}
}

// bump adds to a partition's counter of accepted writes, wherever it is kept.
func (b *bundle) bump(t *testing.T, id string, by int64) {
	t.Helper()
	stats, err := b.redis.HGetAll(t.Context(), b.key(id, "stats")).Result()
	require.NoError(t, err)
	for field := range stats {
		if strings.HasPrefix(field, "a") {
			require.NoError(t, b.redis.HIncrBy(t.Context(), b.key(id, "stats"), field, by).Err())
			return
		}
	}
	t.Fatalf("no counter of accepted writes in %v", stats)
}

func TestRedactedValuesAreHidden(t *testing.T) {
	t.Parallel()
	b := setup(t, testkit.SQLite(t))
	b.entity.Fields[0].Redact = true
	b.populate(t)
	b.around(t, schema.Change{ID: "a", Values: schema.Values{`"secret"`, "null", "null", "0", "null"}})
	found := b.check(t)
	require.Equal(t, []fsck.Field{{Name: "name", Cached: "(redacted)", Database: "(redacted)"}},
		found.Differences[0].Fields)
}

func TestReportIsBounded(t *testing.T) {
	t.Parallel()
	b := setup(t, testkit.SQLite(t))
	b.populate(t)
	for _, id := range []string{"a", "b", "c"} {
		b.around(t, schema.Change{ID: id, Deleted: true})
	}
	report, err := fsck.Run(t.Context(), b.cache, b.backlog, b.store, []*schema.Entity{b.entity},
		fsck.Options{MaxDifferences: 2, Rechecks: 1, Pause: time.Millisecond})
	require.NoError(t, err)
	require.Len(t, report.Entities[0].Differences, 2)
	require.Equal(t, 3, report.Entities[0].Different)
}

// Writers and flushers that go on meanwhile are no difference.
func TestLiveTrafficIsNoDifference(t *testing.T) {
	t.Parallel()
	b := setup(t, testkit.SQLite(t))
	b.populate(t)
	ctx, stop := context.WithCancel(t.Context())
	failed := make(chan error, 2)
	go func() { failed <- b.churn(ctx) }()
	go func() { failed <- b.flushAll(ctx) }()
	for range 10 {
		found := b.check(t)
		require.True(t, found.OK(), "%+v", found.Differences)
	}
	stop()
	for range 2 {
		require.NoError(t, <-failed)
	}
}

func (b *bundle) churn(ctx context.Context) error {
	for i := 0; ctx.Err() == nil; i++ {
		id := fmt.Sprintf("id %d/é:{}*", i%60)
		if err := b.write(ctx, cache.OpPut, id, fmt.Sprint(i)); err != nil && ctx.Err() == nil {
			return err
		}
		if i%7 != 0 {
			continue
		}
		if err := b.write(ctx, cache.OpDelete, id, ""); err != nil && ctx.Err() == nil {
			return err
		}
	}
	return nil
}

func (b *bundle) flushAll(ctx context.Context) error {
	for i := 0; ctx.Err() == nil; i++ {
		if err := b.flush(ctx, i%b.entity.Partitions); err != nil && ctx.Err() == nil {
			return err
		}
	}
	return nil
}

// A check that cannot read is an error, not an agreement.
func TestUnreadableIsAnError(t *testing.T) {
	t.Parallel()
	b := setup(t, testkit.SQLite(t))
	b.populate(t)
	require.NoError(t, b.store.Close())
	_, err := fsck.Run(t.Context(), b.cache, b.backlog, b.store, []*schema.Entity{b.entity}, fsck.Options{})
	require.ErrorContains(t, err, "check user")
}

// A record that was cached before its entity got a field says nothing of that field.
func TestAFieldAddedLaterDoesNotDiffer(t *testing.T) {
	t.Parallel()
	testkit.Databases(t, func(t *testing.T, url string) {
		t.Parallel()
		b := setup(t, url)
		b.populate(t)
		b.around(t, schema.Change{ID: "a", Values: schema.Values{`"n"`, `"mail"`, "null", "0", "null"}})
		require.False(t, b.check(t).OK())
		require.NoError(t, b.redis.HDel(t.Context(), b.key("a", "r:a"), "email").Err())
		require.True(t, b.check(t).OK())
	})
}
