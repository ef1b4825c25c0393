package worker

import (
	"context"
	"errors"
	commandline "flag"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/afterwrite/afterwrite/cache"
	"github.com/afterwrite/afterwrite/cache/pending"
	"github.com/afterwrite/afterwrite/internal/queue"
	"github.com/afterwrite/afterwrite/internal/testkit"
	"github.com/afterwrite/afterwrite/internal/testkit/whole"
	"github.com/afterwrite/afterwrite/schema"
	"github.com/afterwrite/afterwrite/store"
	"github.com/afterwrite/afterwrite/store/ledger"
)

func TestMain(m *testing.M) {
	// These tests wait more than they work: for flags and leases to end, for backoffs.
	commandline.Parse()
	_ = commandline.Set("test.parallel", "6")
	// It looks once a second whether its pool was closed.
	dial := goleak.IgnoreAnyFunction("github.com/redis/go-redis/v9/internal/pool.(*ConnPool).tryDial")
	goleak.VerifyTestMain(m, testkit.Goroutines(), dial)
}

// flagLife is how long a dead worker's partition waits in these tests.
const flagLife = 300 * time.Millisecond

// bench is one deployment: a prefix of the shared Redis, a database of its own, and
// whatever happens to the orders that are given.
type bench struct {
	t       testing.TB
	e       *schema.Entity   // the entity that the methods are about
	all     []*schema.Entity // that workers know
	redis   *testkit.RedisFaults
	sql     *testkit.SQLFaults
	cache   *cache.Cache
	backlog *pending.Backlog
	store   *ledger.Ledger
	url     string // of Redis
	db      string // URL of the database
	prefix  string
	orders  *orders
}

// onEach runs fn with a bench on each database.
func onEach(t *testing.T, fn func(t *testing.T, b *bench)) {
	t.Helper()
	t.Parallel()
	testkit.AllDatabases(t, func(t *testing.T, url string) {
		t.Parallel()
		fn(t, setup(t, url))
	})
}

// setup opens a bench whose entity has one partition and is retried at once.
func setup(t testing.TB, url string) *bench {
	t.Helper()
	return setupOn(t, url, testkit.SharedRedis(t))
}

func setupOn(t testing.TB, url string, server *testkit.RedisServer) *bench {
	t.Helper()
	e := testkit.Entity(t, "user")
	e.Partitions = 1
	e.Retry = quick
	return setupFor(t, url, server.URL(), e)
}

// quick is a policy that is exhausted in no time.
var quick = schema.RetryPolicy{
	MaxAttempts: 3, Base: 20 * time.Millisecond, Factor: 1, Cap: 20 * time.Millisecond,
	Jitter: schema.JitterNone, Timeout: 10 * time.Second,
}

// setupFor opens a bench for entities, of which its methods are about the first.
func setupFor(t testing.TB, url, redisURL string, entities ...*schema.Entity) *bench {
	t.Helper()
	b := &bench{
		t: t, e: entities[0], all: entities, db: url, redis: &testkit.RedisFaults{}, sql: &testkit.SQLFaults{},
		url: redisURL, prefix: testkit.Prefix(t), orders: &orders{},
	}
	var err error
	b.store, err = ledger.Open(store.Config{
		URL: url, Wrap: b.sql.Wrap, Log: testkit.Logger(t),
	}, entities)
	require.NoError(t, err)
	t.Cleanup(func() { _ = b.store.Close() })
	_, err = b.store.Migrate(t.Context(), false)
	require.NoError(t, err)
	b.cache, err = cache.New(cache.Config{
		URL: b.url, Prefix: b.prefix, Loader: b.store, FlagMargin: flagLife, Log: testkit.Logger(t),
		Hooks: []redis.Hook{b.redis},
	})
	require.NoError(t, err)
	b.backlog = whole.With(b.cache, pending.Config{FlagMargin: flagLife}).Backlog
	t.Cleanup(func() { _ = b.cache.Close() })
	t.Cleanup(b.redis.Clear)
	t.Cleanup(b.sql.Clear)
	return b
}

// redisOf is all that a worker takes of Redis.
func (b *bench) redisOf() whole.Redis {
	return whole.With(b.cache, pending.Config{FlagMargin: flagLife})
}

// worker returns a worker of the bench, as after a restart of the process.
func (b *bench) worker(change ...func(*Config)) *Worker {
	b.t.Helper()
	cfg := Config{
		Entities: b.all, Redis: b.redisOf(), Store: b.store, Queue: b.orders, Server: idle{},
		FlagTTL: flagLife, SweepInterval: 50 * time.Millisecond,
		Log: testkit.Logger(b.t), Registerer: prometheus.NewRegistry(),
	}
	for _, c := range change {
		c(&cfg)
	}
	w, err := New(cfg)
	require.NoError(b.t, err)
	return w
}

// serving gives a worker the real queue.
func (b *bench) serving(cfg *Config) {
	b.t.Helper()
	client, err := queue.NewClient(b.url, b.prefix)
	require.NoError(b.t, err)
	b.t.Cleanup(func() { _ = client.Close() })
	server, err := queue.NewServer(queue.ServerConfig{
		RedisURL: b.url, Prefix: b.prefix, PollInterval: 5 * time.Millisecond,
		Queues: map[string]int{"default": 1}, Log: testkit.Logger(b.t),
	})
	require.NoError(b.t, err)
	cfg.Queue, cfg.Server = client, server
}

// run runs a worker until the function returned is called, which waits for its end.
func (b *bench) run(w *Worker) (stop func()) {
	b.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- w.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			b.t.Error(err)
		}
	})
	b.t.Cleanup(stop)
	return stop
}

// write accepts a write and gives the order that it asks for.
func (b *bench) write(w cache.Write) schema.Version {
	b.t.Helper()
	g := &cache.Group{Entity: b.e, Partition: b.e.Partition(w.ID), Writes: []cache.Write{w}}
	b.cache.Write(b.t.Context(), g)
	require.Len(b.t, g.Results, 1)
	require.NoError(b.t, g.Results[0].Err)
	if !g.Order.None() {
		_ = b.orders.Enqueue(b.t.Context(), g.Order)
	}
	return g.Results[0].Version
}

// put accepts a user whose email is unique.
func (b *bench) put(id, name string) schema.Version { return b.mail(id, name, id+"@x") }

func (b *bench) mail(id, name, email string) schema.Version {
	b.t.Helper()
	values, err := b.e.Whole(schema.Fields{"name": name, "email": email})
	require.NoError(b.t, err)
	return b.write(cache.Write{Op: cache.OpPut, ID: id, Values: values})
}

func (b *bench) delete(id string) schema.Version {
	b.t.Helper()
	return b.write(cache.Write{Op: cache.OpDelete, ID: id})
}

// names returns the rows of the database: id → name.
func (b *bench) names() map[string]string {
	b.t.Helper()
	names := map[string]string{}
	after := ""
	for {
		rows, err := b.store.List(b.t.Context(), b.e, store.Query{After: after, Limit: 1000})
		require.NoError(b.t, err)
		for _, r := range rows {
			names[r.ID] = r.Values[0][1 : len(r.Values[0])-1]
			after = r.ID
		}
		if len(rows) < 1000 {
			return names
		}
	}
}

func (b *bench) stats() pending.Stats {
	b.t.Helper()
	stats, err := b.backlog.Stats(b.t.Context(), b.e)
	require.NoError(b.t, err)
	return pending.Total(stats)
}

// flagged is when the last flag of the partitions expires; zero if all are free.
func (b *bench) flagged() time.Time {
	b.t.Helper()
	stats, err := b.backlog.Stats(b.t.Context(), b.e)
	require.NoError(b.t, err)
	var last time.Time
	for _, s := range stats {
		if s.FlagUntil.After(last) {
			last = s.FlagUntil
		}
	}
	return last
}

// quiet checks that nothing is pending, how many are held, and I7.
func (b *bench) quiet(held int64) {
	b.t.Helper()
	s := b.stats()
	require.Zero(b.t, s.Pending, "pending")
	require.Equal(b.t, held, s.Held, "held")
	require.Zero(b.t, s.Imbalance(), "I7: %+v", s)
}

// flush runs the orders given so far, and what they order, until none is left. A
// task that is put off is lost, as the queue may lose it.
func (b *bench) flush(w *Worker) {
	for orders := b.orders.take(); len(orders) > 0; orders = b.orders.take() {
		for _, o := range orders {
			_ = w.sync(b.t.Context(), task(o))
		}
	}
}

// drain runs orders and sweeps for lost ones until no record is pending.
func (b *bench) drain(w *Worker) {
	b.t.Helper()
	testkit.Eventually(b.t, "nothing is pending", func() bool {
		b.flush(w)
		_ = w.sweepOnce(b.t.Context())
		return b.stats().Pending == 0
	})
}

func task(o schema.Order) queue.Task {
	return queue.Task{Entity: o.Entity.Name, Partition: o.Partition, Generation: o.Generation}
}

// orders keeps what is enqueued until it is taken. It may refuse the next one, or take
// it and say that it refused.
type orders struct {
	mu     sync.Mutex
	given  []schema.Order
	woken  []string // queues
	refuse bool
	lie    bool
}

var errQueue = errors.New("queue is away")

func (o *orders) Enqueue(_ context.Context, order schema.Order) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	refuse, lie := o.refuse, o.lie
	o.refuse, o.lie = false, false
	if refuse {
		return errQueue
	}
	if order.Generation != 0 { // wake-ups are left to the sweeper
		o.given = append(o.given, order)
	}
	if lie {
		return errQueue
	}
	return nil
}

func (o *orders) Wake(_ context.Context, queue string) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.woken = append(o.woken, queue)
	return 0, nil
}

func (o *orders) wakes() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.woken)
}

func (o *orders) take() []schema.Order {
	o.mu.Lock()
	defer o.mu.Unlock()
	given := o.given
	o.given = nil
	return given
}

// idle is a server that takes no tasks.
type idle struct{}

func (idle) Start(func(context.Context, queue.Task) error) error { return nil }
func (idle) Shutdown()                                           {}

func id(i int) string { return fmt.Sprintf("u%04d", i) }
