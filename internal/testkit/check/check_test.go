package check_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/cache"
	"github.com/afterwrite/afterwrite/cache/pending"
	"github.com/afterwrite/afterwrite/internal/testkit"
	"github.com/afterwrite/afterwrite/internal/testkit/check"
	"github.com/afterwrite/afterwrite/internal/testkit/flush"
	"github.com/afterwrite/afterwrite/internal/testkit/whole"
	"github.com/afterwrite/afterwrite/producer"
	"github.com/afterwrite/afterwrite/schema"
	"github.com/afterwrite/afterwrite/store"
)

// bench is a deployment without processes: writes and flushes are calls.
type bench struct {
	t       *testing.T
	e       *schema.Entity
	redis   *testkit.RedisFaults
	prefix  string
	cache   *cache.Cache
	backlog *pending.Backlog
	store   *store.Store
	ledger  *check.Ledger
}

func setup(t *testing.T, url string) *bench {
	b := &bench{t: t, e: testkit.Entity(t, "user"), redis: &testkit.RedisFaults{}, prefix: testkit.Prefix(t),
		ledger: &check.Ledger{}}
	var err error
	b.store, err = store.Open(store.Config{URL: url, Log: testkit.Logger(t)}, []*schema.Entity{b.e})
	require.NoError(t, err)
	t.Cleanup(func() { _ = b.store.Close() })
	_, err = b.store.Migrate(t.Context(), false)
	require.NoError(t, err)
	b.cache, err = cache.New(cache.Config{
		URL: testkit.SharedRedis(t).URL(), Prefix: b.prefix, Loader: b.store, Log: testkit.Logger(t),
		Hooks: []redis.Hook{b.redis},
	})
	require.NoError(t, err)
	b.backlog = whole.Of(b.cache).Backlog
	t.Cleanup(func() { _ = b.cache.Close() })
	return b
}

func (b *bench) write(op cache.Op, id string, fields schema.Fields) error {
	b.t.Helper()
	w := cache.Write{Op: op, ID: id}
	var err error
	switch op {
	case cache.OpPut:
		w.Values, err = b.e.Whole(fields)
	case cache.OpPatch:
		w.Values, err = b.e.Partial(fields)
	case cache.OpIncrement:
		w.Deltas, err = producer.Deltas(b.e, fields)
	}
	require.NoError(b.t, err)
	g := &cache.Group{Entity: b.e, Partition: b.e.Partition(id), Writes: []cache.Write{w}}
	b.cache.Write(b.t.Context(), g)
	b.ledger.Answer(b.e, op, id, fields, g.Results[0].Version, g.Results[0].Err)
	return g.Results[0].Err
}

func (b *bench) flush() {
	b.t.Helper()
	for p := range b.e.Partitions {
		var batch pending.Batch
		flushed, err := flush.Partition(b.t.Context(), b.store.Begin, b.e, p,
			func(ctx context.Context) ([]schema.Change, error) {
				var err error
				batch, err = b.backlog.Due(ctx, b.e, p, 100, 1<<20)
				changes := make([]schema.Change, len(batch.Due))
				for i, d := range batch.Due {
					changes[i] = d.Change
				}
				return changes, err
			})
		require.NoError(b.t, err)
		_, err = b.backlog.Ack(b.t.Context(), b.e, p, batch, flushed.Persisted)
		require.NoError(b.t, err)
	}
}

func (b *bench) check(t testing.TB) {
	check.All(t, check.Deployment{Entities: []*schema.Entity{b.e}, Cache: b.cache, Store: b.store, Ledger: b.ledger})
}

// complaints runs the check and returns what it says instead of failing the test.
func (b *bench) complaints() string {
	r := &recorder{TB: b.t}
	b.check(r)
	return strings.Join(r.said, "\n")
}

type recorder struct {
	testing.TB
	said []string
}

func (r *recorder) Errorf(format string, args ...any) {
	r.said = append(r.said, fmt.Sprintf(format, args...))
}

func ada(n int) schema.Fields { return schema.Fields{"name": "Ada", "login_count": n} }

func TestAllPassesAtEveryStage(t *testing.T) {
	t.Parallel()
	testkit.Databases(t, func(t *testing.T, url string) {
		b := setup(t, url)
		require.NoError(t, b.write(cache.OpPut, "1", ada(1)))
		require.NoError(t, b.write(cache.OpPut, "2", ada(2)))
		b.check(t) // pending
		b.flush()
		b.check(t) // persisted
		require.NoError(t, b.write(cache.OpIncrement, "1", schema.Fields{"login_count": 4}))
		require.NoError(t, b.write(cache.OpPatch, "1", schema.Fields{"age": 36}))
		require.NoError(t, b.write(cache.OpDelete, "2", nil))
		b.flush()
		b.check(t)
		require.Equal(t, 5, b.ledger.Len())
	})
}

// A lost reply may or may not have been a write: both are right.
func TestAllAcceptsBothOutcomesOfALostReply(t *testing.T) {
	t.Parallel()
	b := setup(t, testkit.SQLite(t))
	require.NoError(t, b.write(cache.OpPut, "1", ada(1)))
	for _, mode := range []testkit.Mode{testkit.LoseReply, testkit.Vanish, testkit.LoseReply} {
		b.redis.Inject(mode, testkit.Script(t, "write"))
		require.ErrorIs(t, b.write(cache.OpIncrement, "1", schema.Fields{"login_count": 10}), schema.ErrOutcomeUnknown)
		require.NoError(t, b.write(cache.OpIncrement, "1", schema.Fields{"login_count": 1}))
		b.check(t)
	}
	b.flush()
	b.check(t)
	require.NoError(t, b.write(cache.OpPatch, "1", schema.Fields{"age": 1}))
	rows, err := b.store.Load(t.Context(), b.e, []string{"1"})
	require.NoError(t, err)
	position, _ := b.e.Field("login_count")
	require.Equal(t, "24", rows["1"][position], "1, three acknowledged, two of three lost")
}

func TestAllFindsWhatIsWrong(t *testing.T) {
	t.Parallel()
	testkit.Databases(t, func(t *testing.T, url string) {
		b := setup(t, url)
		require.NoError(t, b.write(cache.OpPut, "1", ada(1)))
		b.flush()
		b.check(t)

		// A write that was never made, but acknowledged.
		w := cache.Write{Op: cache.OpDelete, ID: "1"}
		b.ledger.Enter(b.e, w, 1<<52, nil)
		require.Contains(t, b.complaints(), "went back")

		// A pending record that is gone, as after an eviction.
		require.NoError(t, b.write(cache.OpPut, "2", ada(2)))
		client := testkit.SharedRedis(t).Client(t)
		keys, err := client.Keys(t.Context(), b.prefix+":*:2").Result()
		require.NoError(t, err)
		require.NotEmpty(t, keys)
		require.NoError(t, client.Del(t.Context(), keys...).Err())
		complaints := b.complaints()
		require.Contains(t, complaints, "record_missing")
		require.Contains(t, complaints, "the answers allow")
	})
}
