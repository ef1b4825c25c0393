package operate_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/cache"
	"github.com/afterwrite/afterwrite/cache/pending"
	"github.com/afterwrite/afterwrite/internal/operate"
	"github.com/afterwrite/afterwrite/internal/testkit"
	"github.com/afterwrite/afterwrite/internal/testkit/flush"
	"github.com/afterwrite/afterwrite/internal/testkit/whole"
	"github.com/afterwrite/afterwrite/producer"
	"github.com/afterwrite/afterwrite/schema"
	"github.com/afterwrite/afterwrite/store"
	"github.com/afterwrite/afterwrite/store/ledger"
)

var ann = ledger.Actor{Name: "ann", Origin: "cli"}

// bundle is a operator on a real Redis and a real database. There is no worker: a test
// makes dead letters, and flushes, when it wants to.
type bundle struct {
	*operate.Operator
	t        *testing.T
	prefix   string
	url      string // of the database
	entities map[string]*schema.Entity
	user     *schema.Entity
	cache    *cache.Cache
	backlog  *pending.Backlog
	faults   *testkit.RedisFaults
	store    *faultyStore
	producer *producer.Producer
	queue    *orders
}

// orders keeps what was enqueued.
type orders struct{ list []schema.Order }

func (o *orders) Enqueue(_ context.Context, order schema.Order) error {
	o.list = append(o.list, order)
	return nil
}

// faultyStore fails the second half of an action while broken: the process crashes
// between the two, as far as anybody else can see. What is meanwhile happens once, after
// letters were read and before who asked for them goes on.
type faultyStore struct {
	*ledger.Ledger
	broken    atomic.Bool
	meanwhile func()
}

func (s *faultyStore) happen() {
	if f := s.meanwhile; f != nil {
		s.meanwhile = nil
		f()
	}
}

func (s *faultyStore) Letter(ctx context.Context, number int64) (ledger.Letter, error) {
	defer s.happen()
	return s.Ledger.Letter(ctx, number)
}

func (s *faultyStore) Letters(ctx context.Context, f ledger.LetterFilter, before int64, limit int) ([]ledger.Letter,
	error) {
	defer s.happen()
	return s.Ledger.Letters(ctx, f, before, limit)
}

var errCrash = errors.New("crashed")

func (s *faultyStore) Retried(ctx context.Context, numbers []int64, by ledger.Actor) (int, error) {
	if s.broken.Load() {
		return 0, errCrash
	}
	return s.Ledger.Retried(ctx, numbers, by)
}

func (s *faultyStore) Resolve(ctx context.Context, numbers []int64, as ledger.Resolution, by ledger.Actor) (int,
	error) {
	if s.broken.Load() {
		return 0, errCrash
	}
	return s.Ledger.Resolve(ctx, numbers, as, by)
}

// onEach runs a test on each database.
func onEach(t *testing.T, fn func(t *testing.T, b *bundle)) {
	t.Parallel()
	testkit.Databases(t, func(t *testing.T, url string) {
		t.Parallel()
		fn(t, setup(t, url))
	})
}

func setup(t *testing.T, url string) *bundle {
	t.Helper()
	entities := testkit.Entities(t)
	b := &bundle{t: t, entities: map[string]*schema.Entity{}, faults: &testkit.RedisFaults{}, queue: &orders{},
		prefix: testkit.Prefix(t), url: url}
	for _, e := range entities {
		b.entities[e.Name] = e
	}
	b.user = b.entities["user"]
	log := testkit.Logger(t)
	opened, err := store.Open(store.Config{URL: url, Log: log}, entities)
	require.NoError(t, err)
	t.Cleanup(func() { _ = opened.Close() })
	_, err = opened.Migrate(t.Context(), false)
	require.NoError(t, err)
	b.store = &faultyStore{Ledger: ledger.Of(opened)}
	b.cache, err = cache.New(cache.Config{
		URL: testkit.SharedRedis(t).URL(), Prefix: b.prefix, Loader: opened, Log: log, Hooks: []redis.Hook{b.faults}})
	require.NoError(t, err)
	b.backlog = whole.Of(b.cache).Backlog
	t.Cleanup(func() { _ = b.cache.Close() })
	b.producer, err = producer.New(producer.Config{Entities: entities, Cache: b.cache, Loader: opened, Log: log})
	require.NoError(t, err)
	t.Cleanup(func() { _ = b.producer.Close() })
	b.Operator, err = operate.New(operate.Config{
		Entities: entities, Letters: b.store, Records: whole.Of(b.cache), Writes: b.producer, Queue: b.queue,
		Rate: 1_000_000, Log: log})
	require.NoError(t, err)
	return b
}

// put accepts users named n<i> with the email, and returns their ids.
func (b *bundle) put(n int, email string) []string {
	b.t.Helper()
	requests := make([]producer.Request, n)
	ids := make([]string, n)
	for i := range requests {
		ids[i] = fmt.Sprintf("u%04d", i)
		requests[i] = producer.Request{Op: cache.OpPut, Entity: "user", ID: ids[i],
			Fields: schema.Fields{"name": fmt.Sprintf("n%d", i), "email": email + ids[i]}}
	}
	for _, r := range b.producer.DoAll(b.t.Context(), requests) {
		require.NoError(b.t, r.Err)
	}
	return ids
}

var taken = schema.Refusal{Kind: schema.KindUnique, Constraint: "uq_users_email", Column: "email",
	Message: "duplicate email"}

// kill gives everything pending of users a dead letter, as a worker does whose policy is
// exhausted.
func (b *bundle) kill() {
	b.t.Helper()
	for partition := range b.user.Partitions {
		batch, err := b.backlog.Due(b.t.Context(), b.user, partition, 10_000, 1<<26)
		require.NoError(b.t, err)
		var letters []ledger.Letter
		var refused []pending.Refused
		for _, d := range batch.Due {
			now := time.Now()
			var changed []string
			for _, i := range d.Only {
				changed = append(changed, b.user.Fields[i].Name)
			}
			letters = append(letters, ledger.Letter{Entity: "user", ID: d.ID, Version: d.Version, Deleted: d.Deleted,
				Payload: string(b.user.AppendFields(nil, d.Values)), Refusal: taken, Attempts: 2, AcceptedAt: now,
				DiedAt: now, Changed: changed,
				History: []schema.Attempt{{Number: 1, At: now, Kind: taken.Kind, Message: taken.Message, Worker: "w"}}})
			refused = append(refused, pending.Refused{Change: d.Change, Refusal: taken, Attempts: 2})
		}
		if len(letters) == 0 {
			continue
		}
		require.NoError(b.t, b.store.InsertDead(b.t.Context(), letters))
		n, err := b.backlog.Die(b.t.Context(), b.user, partition, refused)
		require.NoError(b.t, err)
		require.Equal(b.t, len(refused), n)
	}
}

// dead makes n dead letters.
func (b *bundle) dead(n int) []string {
	b.t.Helper()
	ids := b.put(n, "dead-")
	b.kill()
	return ids
}

// flush persists what is pending; the database must take all.
func (b *bundle) flush() {
	b.t.Helper()
	for partition := range b.user.Partitions {
		var batch pending.Batch
		flushed, err := flush.Partition(b.t.Context(), b.store.Begin, b.user, partition,
			func(ctx context.Context) (changes []schema.Change, err error) {
				batch, err = b.backlog.Due(ctx, b.user, partition, 10_000, 1<<26)
				for _, due := range batch.Due {
					changes = append(changes, due.Change)
				}
				return changes, err
			})
		require.NoError(b.t, err)
		require.Empty(b.t, flushed.Refused)
		_, err = b.backlog.Ack(b.t.Context(), b.user, partition, batch, flushed.Persisted)
		require.NoError(b.t, err)
	}
}

// total is the figures of the users, which must balance.
func (b *bundle) total() pending.Stats {
	b.t.Helper()
	stats, err := b.backlog.Stats(b.t.Context(), b.user)
	require.NoError(b.t, err)
	total := pending.Total(stats)
	require.Zero(b.t, total.Imbalance())
	return total
}

func (b *bundle) count(f ledger.LetterFilter) int {
	b.t.Helper()
	n, err := b.Count(b.t.Context(), f)
	require.NoError(b.t, err)
	return n
}

func (b *bundle) numbers(f ledger.LetterFilter) []int64 {
	b.t.Helper()
	letters, err := b.List(b.t.Context(), f, 0, 10_000)
	require.NoError(b.t, err)
	numbers := make([]int64, len(letters))
	for i, l := range letters {
		numbers[i] = l.Number
	}
	return numbers
}

func (b *bundle) row(id string) schema.Values {
	b.t.Helper()
	rows, err := b.store.Load(b.t.Context(), b.user, []string{id})
	require.NoError(b.t, err)
	return rows[id]
}
