package producer_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/afterwrite/afterwrite/cache"
	"github.com/afterwrite/afterwrite/cache/pending"
	"github.com/afterwrite/afterwrite/internal/testkit"
	"github.com/afterwrite/afterwrite/internal/testkit/whole"
	"github.com/afterwrite/afterwrite/producer"
	"github.com/afterwrite/afterwrite/schema"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m, testkit.Goroutines()) }

// bundle is a producer on the shared Redis, with a table in memory for a database.
type bundle struct {
	*producer.Producer
	cache   *cache.Cache
	backlog *pending.Backlog
	rdb     *redis.Client
	user    *schema.Entity
	table   *table
	queue   *queue
	faults  *testkit.RedisFaults
}

func setup(t *testing.T, change ...func(*schema.Entity, *producer.Config)) *bundle {
	t.Helper()
	t.Parallel()
	server := testkit.SharedRedis(t)
	b := &bundle{rdb: server.Client(t), table: &table{rows: map[string]schema.Values{}}, queue: &queue{},
		faults: &testkit.RedisFaults{}}
	b.user = testkit.Entity(t, "user")
	b.user.Partitions = 2
	var err error
	b.cache, err = cache.New(cache.Config{URL: server.URL(), Prefix: testkit.Prefix(t), Loader: b.table,
		Log: testkit.Logger(t), Hooks: []redis.Hook{b.faults}})
	require.NoError(t, err)
	b.backlog = whole.Of(b.cache).Backlog
	cfg := producer.Config{
		Entities: []*schema.Entity{b.user, testkit.Entity(t, "product"), testkit.Entity(t, "player")},
		Cache:    b.cache, Queue: b.queue, Loader: b.table, Log: testkit.Logger(t),
	}
	for _, f := range change {
		f(b.user, &cfg)
	}
	b.Producer, err = producer.New(cfg)
	require.NoError(t, err)
	t.Cleanup(func() {
		require.NoError(t, b.Close())
		require.NoError(t, b.cache.Close())
	})
	return b
}

// queue keeps what was enqueued.
type queue struct {
	mu     sync.Mutex
	orders []schema.Order
	err    error
}

func (q *queue) Enqueue(_ context.Context, o schema.Order) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.orders = append(q.orders, o)
	return q.err
}

func (q *queue) len() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.orders)
}

// table is a database table in memory.
type table struct {
	mu   sync.Mutex
	rows map[string]schema.Values
	err  error
}

func (d *table) Load(_ context.Context, _ *schema.Entity, ids []string) (map[string]schema.Values, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	rows := map[string]schema.Values{}
	for _, id := range ids {
		if values, ok := d.rows[id]; ok {
			rows[id] = values
		}
	}
	return rows, d.err
}

// flush persists what is due, as a worker would.
func (b *bundle) flush(t *testing.T) {
	t.Helper()
	for partition := range b.user.Partitions {
		batch, err := b.backlog.Due(t.Context(), b.user, partition, 10_000, 1<<30)
		require.NoError(t, err)
		var changes []schema.Change
		b.table.mu.Lock()
		for _, d := range batch.Due {
			changes = append(changes, d.Change)
			if d.Deleted {
				delete(b.table.rows, d.ID)
			} else {
				b.table.rows[d.ID] = d.Values
			}
		}
		b.table.mu.Unlock()
		_, err = b.backlog.Ack(t.Context(), b.user, partition, batch, changes)
		require.NoError(t, err)
	}
}

// evict drops every persisted record, as Redis may at any time.
func (b *bundle) evict(t *testing.T) {
	t.Helper()
	_, err := b.cache.InvalidateMatch(t.Context(), b.user, "*", nil)
	require.NoError(t, err)
}

func (b *bundle) fields(t *testing.T, id string) map[string]string {
	t.Helper()
	read, err := b.cache.Get(t.Context(), b.user, id)
	require.NoError(t, err)
	if read.Deleted {
		return nil
	}
	fields := map[string]string{}
	for i, text := range read.Values {
		fields[b.user.Fields[i].Name] = text
	}
	return fields
}

func (b *bundle) conserved(t *testing.T) pending.Stats {
	t.Helper()
	stats, err := b.backlog.Stats(t.Context(), b.user)
	require.NoError(t, err)
	total := pending.Total(stats)
	require.Zero(t, total.Imbalance(), "I7 conserved: %+v", total)
	return total
}

func TestDoEachOperation(t *testing.T) {
	b := setup(t)
	ctx := t.Context()
	put, err := b.Put(ctx, "user", "42", schema.Fields{"name": "John", "age": 25})
	require.NoError(t, err)
	assert.Equal(t, schema.Pending, put.Status)
	assert.Equal(t, map[string]string{"name": `"John"`, "age": "25", "email": "null", "login_count": "0",
		"profile": "null"}, b.fields(t, "42"))
	_, err = b.Patch(ctx, "user", "42", schema.Fields{"email": "j@example.org", "age": nil})
	require.NoError(t, err)
	added, err := b.Increment(ctx, "user", "42", schema.Fields{"login_count": 2})
	require.NoError(t, err)
	assert.Equal(t, "2", added.Values[3])
	assert.Equal(t, map[string]string{"name": `"John"`, "age": "null", "email": `"j@example.org"`, "login_count": "2",
		"profile": "null"}, b.fields(t, "42"))
	_, err = b.Create(ctx, "user", "42", schema.Fields{"name": "x"})
	require.ErrorIs(t, err, schema.ErrExists)
	_, err = b.Delete(ctx, "user", "42")
	require.NoError(t, err)
	assert.Nil(t, b.fields(t, "42"))
	_, err = b.Delete(ctx, "user", "42")
	require.ErrorIs(t, err, schema.ErrNotFound)
	b.conserved(t)
}

func TestDoRefusesBadInput(t *testing.T) {
	b := setup(t)
	ok := schema.Fields{"name": "x"}
	for name, c := range map[string]struct {
		request producer.Request
		want    error
		field   string
	}{
		"entity": {producer.Request{Op: cache.OpPut, Entity: "nobody", ID: "1", Fields: ok},
			schema.ErrUnknownEntity, ""},
		"operation": {producer.Request{Op: "upsert", Entity: "user", ID: "1", Fields: ok}, schema.ErrInvalid,
			"op"},
		"unknown field": {producer.Request{Op: cache.OpPut, Entity: "user", ID: "1",
			Fields: schema.Fields{"name": "x", "nope": 1}}, schema.ErrInvalid, "nope"},
		"missing required": {producer.Request{Op: cache.OpPut, Entity: "user", ID: "1"}, schema.ErrInvalid, "name"},
		"range": {producer.Request{Op: cache.OpPatch, Entity: "user", ID: "1",
			Fields: schema.Fields{"age": 151}}, schema.ErrInvalid, "age"},
		"empty id": {producer.Request{Op: cache.OpPut, Entity: "user", Fields: ok}, schema.ErrInvalid, "id"},
		"long id": {producer.Request{Op: cache.OpPut, Entity: "user", ID: strings.Repeat("x", 65), Fields: ok},
			schema.ErrInvalid, "id"},
		"long key": {producer.Request{Op: cache.OpPut, Entity: "user", ID: "1", Fields: ok,
			Key: strings.Repeat("k", 256)}, schema.ErrInvalid, "Idempotency-Key"},
		"text increment": {producer.Request{Op: cache.OpIncrement, Entity: "user", ID: "1",
			Fields: schema.Fields{"name": 1}}, schema.ErrInvalid, "name"},
		"id not made": {producer.Request{Op: cache.OpCreate, Entity: "product", Fields: ok}, schema.ErrInvalid,
			"id"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := b.Do(t.Context(), c.request)
			require.ErrorIs(t, err, c.want)
			var invalid *schema.InvalidError
			if errors.As(err, &invalid) {
				assert.Equal(t, c.field, invalid.Fields[0].Field)
			}
			results := b.DoAll(t.Context(), []producer.Request{c.request})
			require.ErrorIs(t, results[0].Err, c.want)
		})
	}
	assert.Zero(t, b.conserved(t).Accepted)
}

func TestIfNoneMatchIsAMismatchWhereTheRecordExists(t *testing.T) {
	b := setup(t)
	put := producer.Request{Op: cache.OpPut, Entity: "user", ID: "1", Fields: schema.Fields{"name": "x"},
		IfNoneMatch: true}
	_, err := b.Do(t.Context(), put)
	require.NoError(t, err)
	_, err = b.Do(t.Context(), put)
	require.ErrorIs(t, err, schema.ErrVersionMismatch)
}

func TestCreateWithAKeyFindsItsRecordAgain(t *testing.T) {
	b := setup(t)
	create := producer.Request{Op: cache.OpCreate, Entity: "user", Fields: schema.Fields{"name": "x"}, Key: "k"}
	first, err := b.Do(t.Context(), create)
	require.NoError(t, err)
	assert.Len(t, first.ID, 36)
	second, err := b.Do(t.Context(), create)
	require.NoError(t, err)
	assert.True(t, second.Again)
	assert.Equal(t, first.ID, second.ID)
	assert.Equal(t, first.Version, second.Version)
	create.Fields = schema.Fields{"name": "y"}
	_, err = b.Do(t.Context(), create)
	require.ErrorIs(t, err, schema.ErrKeyReused)
	assert.EqualValues(t, 1, b.conserved(t).Accepted)
}

// A repeat may come to a process of another configuration, as after an upgrade.
func TestAKeyIsHonouredByOtherConfigurations(t *testing.T) {
	var cfg producer.Config
	b := setup(t, func(_ *schema.Entity, c *producer.Config) { cfg = *c })
	other := *b.user
	other.Fields = append([]schema.Field{{Name: "first", Type: schema.Int, Default: "5"}}, slices.Clone(b.user.Fields)...)
	slices.Reverse(other.Fields)
	for i := range other.Fields {
		if other.Fields[i].Name == "login_count" {
			other.Fields[i].Default = "9"
		}
	}
	require.NoError(t, other.Init())
	cfg.Entities = []*schema.Entity{&other}
	now, err := producer.New(cfg)
	require.NoError(t, err)
	defer func() { require.NoError(t, now.Close()) }()
	for _, op := range []cache.Op{cache.OpCreate, cache.OpPatch, cache.OpPut, cache.OpDelete} {
		r := producer.Request{Op: op, Entity: "user", ID: "1", Key: "k" + string(op),
			Fields: schema.Fields{"name": "x", "age": 3}}
		if op == cache.OpDelete {
			r.Fields = nil
		}
		first, err := b.Do(t.Context(), r)
		require.NoError(t, err)
		second, err := now.Do(t.Context(), r)
		require.NoError(t, err, op)
		require.True(t, second.Again)
		require.Equal(t, first.Version, second.Version)
		if op != cache.OpDelete {
			r.Fields = schema.Fields{"name": "x", "age": 4}
			_, err = now.Do(t.Context(), r)
			require.ErrorIs(t, err, schema.ErrKeyReused)
		}
	}
	require.EqualValues(t, 4, b.conserved(t).Accepted)
}

func TestWritesNeedTheDatabaseOnlyForWhatIsNotCached(t *testing.T) {
	b := setup(t)
	_, err := b.Put(t.Context(), "user", "cached", schema.Fields{"name": "x"})
	require.NoError(t, err)
	b.table.err = errors.New("down")
	_, err = b.Put(t.Context(), "user", "new", schema.Fields{"name": "x"})
	require.NoError(t, err)
	_, err = b.Patch(t.Context(), "user", "cached", schema.Fields{"age": 1})
	require.NoError(t, err)
	for _, op := range []cache.Op{cache.OpCreate, cache.OpPatch, cache.OpDelete} {
		r := producer.Request{Op: op, Entity: "user", ID: "uncached", Fields: schema.Fields{"name": "x"}}
		_, err = b.Do(t.Context(), r)
		require.ErrorIs(t, err, schema.ErrDatabaseUnavailable, op)
		require.ErrorIs(t, b.DoAll(t.Context(), []producer.Request{r})[0].Err, schema.ErrDatabaseUnavailable, op)
	}
}

// The enqueue fails after the script: the write stands, and the sweeper finds it.
func TestI1EnqueueFailingAfterTheScript(t *testing.T) {
	b := setup(t)
	b.queue.err = errors.New("queue is down")
	_, err := b.Put(t.Context(), "user", "1", schema.Fields{"name": "x"})
	require.NoError(t, err)
	testkit.Eventually(t, "the order is tried", func() bool { return b.queue.len() == 1 })
	assert.EqualValues(t, 1, b.conserved(t).Pending)
}

func TestGatheredWritesShareTripsAndKeepTheirResults(t *testing.T) {
	b := setup(t)
	hold := b.faults.Inject(testkit.Hold, testkit.Script(t, "write"), testkit.Times(4))
	var wg sync.WaitGroup
	for i := range 300 {
		wg.Go(func() {
			id := fmt.Sprint(i % 150)
			got, err := b.Put(t.Context(), "user", id, schema.Fields{"name": id})
			assert.NoError(t, err)
			assert.Equal(t, id, got.ID)
		})
	}
	<-hold.Hit()
	hold.Release()
	wg.Wait()
	assert.EqualValues(t, 300, b.conserved(t).Accepted)
	for i := range 150 {
		assert.Equal(t, `"`+fmt.Sprint(i)+`"`, b.fields(t, fmt.Sprint(i))["name"])
	}
}

func TestFullLaneRefuses(t *testing.T) {
	b := setup(t, func(e *schema.Entity, cfg *producer.Config) { cfg.Lanes, cfg.MaxWaiting = 1, 3 })
	hold := b.faults.Inject(testkit.Hold, testkit.Script(t, "write"))
	results := make(chan error, 20)
	put := func() {
		_, err := b.Put(t.Context(), "user", "1", schema.Fields{"name": "x"})
		results <- err
	}
	go put()
	<-hold.Hit()
	for range 10 {
		go put()
	}
	busy := 0
	for range 7 {
		if errors.Is(<-results, schema.ErrBusy) {
			busy++
		}
	}
	hold.Release()
	for range 4 {
		require.NoError(t, <-results)
	}
	assert.Equal(t, 7, busy)
	assert.EqualValues(t, 4, b.conserved(t).Accepted)
}

func TestCallersWhoGiveUp(t *testing.T) {
	b := setup(t, func(e *schema.Entity, cfg *producer.Config) { cfg.Lanes = 1 })
	hold := b.faults.Inject(testkit.Hold, testkit.Script(t, "write"))
	ctx, cancel := context.WithCancel(t.Context())
	first, second, third := make(chan error, 1), make(chan error, 1), make(chan error, 1)
	put := func(ctx context.Context, id string, result chan error) {
		_, err := b.Put(ctx, "user", id, schema.Fields{"name": "x"})
		result <- err
	}
	go put(t.Context(), "first", first)
	<-hold.Hit()
	go put(ctx, "second", second)
	go put(t.Context(), "third", third)
	cancel()
	require.ErrorIs(t, <-second, context.Canceled)
	hold.Release()
	require.NoError(t, <-first)
	require.NoError(t, <-third)
	assert.Nil(t, b.fields(t, "second"), "it was not on a trip, so nothing was written")
	assert.EqualValues(t, 2, b.conserved(t).Accepted)
}

// TestAnswersAreTheCallersOwn lets callers, some of whom give up, count in records of their
// own: what a trip leaves behind for the next must not show in an answer.
// A write whose context has ended before it was sent changes nothing, alone and in a batch.
func TestAWriteWithoutTimeIsNotSent(t *testing.T) {
	b := setup(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	put := producer.Request{Op: cache.OpPut, Entity: "user", ID: "late", Fields: schema.Fields{"name": "Ann"}}
	_, err := b.Do(ctx, put)
	require.ErrorIs(t, err, context.Canceled)
	require.NotErrorIs(t, err, schema.ErrOutcomeUnknown)
	for _, result := range b.DoAll(ctx, []producer.Request{put, put}) {
		require.ErrorIs(t, result.Err, context.Canceled)
	}
	stats, err := b.backlog.Stats(t.Context(), b.user)
	require.NoError(t, err)
	require.Zero(t, pending.Total(stats).Accepted)
}

func TestAnswersAreTheCallersOwn(t *testing.T) {
	b := setup(t, func(e *schema.Entity, _ *producer.Config) { e.Partitions = 8 })
	count, ok := b.user.Field("login_count")
	require.True(t, ok)
	var wg sync.WaitGroup
	for caller := range 40 {
		wg.Go(func() {
			id, start := fmt.Sprint("r", caller), 1000*caller
			_, err := b.Put(t.Context(), "user", id, schema.Fields{"name": id, "login_count": start})
			assert.NoError(t, err)
			least := start
			for tries := 1; tries <= 100; tries++ {
				ctx, cancel := context.WithCancel(t.Context())
				go func() {
					if tries%3 == 0 {
						cancel()
					}
				}()
				got, err := b.Do(ctx, producer.Request{Op: cache.OpIncrement, Entity: "user", ID: id,
					Fields: schema.Fields{"login_count": 1}})
				cancel()
				if err != nil {
					assert.ErrorIs(t, err, context.Canceled)
					continue
				}
				value, err := strconv.Atoi(got.Values[count])
				assert.NoError(t, err)
				assert.Equal(t, id, got.ID)
				assert.Greater(t, value, least)
				assert.LessOrEqual(t, value, start+tries)
				least = value
			}
		})
	}
	wg.Wait()
	b.conserved(t)
}

func TestDoAllKeepsTheOrderOfARecord(t *testing.T) {
	b := setup(t)
	b.table.rows["a"] = schema.Values{`"old"`, "null", "1", "5", "null"}
	results := b.DoAll(t.Context(), []producer.Request{
		{Op: cache.OpIncrement, Entity: "user", ID: "a", Fields: schema.Fields{"login_count": 1}},
		{Op: cache.OpPatch, Entity: "user", ID: "a", Fields: schema.Fields{"age": 2}},
		{Op: cache.OpPut, Entity: "user", ID: "b", Fields: schema.Fields{"name": "b"}},
		{Op: cache.OpDelete, Entity: "user", ID: "a"},
		{Op: cache.OpCreate, Entity: "user", ID: "a", Fields: schema.Fields{"name": "new"}},
		{Op: cache.OpIncrement, Entity: "user", ID: "a", Fields: schema.Fields{"login_count": 10}},
		{Op: cache.OpPatch, Entity: "user", ID: "missing", Fields: schema.Fields{"age": 2}},
		{Op: cache.OpPut, Entity: "product", ID: "007", Fields: schema.Fields{"name": "p", "price": "1.5"}},
	})
	for i, r := range results {
		if i == 6 {
			require.ErrorIs(t, r.Err, schema.ErrNotFound)
			continue
		}
		require.NoError(t, r.Err, i)
	}
	assert.Equal(t, "6", results[0].Values[3])
	assert.Equal(t, "10", results[5].Values[3])
	assert.Equal(t, "7", results[7].ID)
	assert.Equal(t, `"new"`, b.fields(t, "a")["name"])
	b.conserved(t)
}

// Random operations, flushes and evictions beside a map that does the same. A failure
// prints its seed.
func TestModel(t *testing.T) {
	b := setup(t)
	random := testkit.Random(t)
	model := map[string]map[string]string{}
	ctx := t.Context()
	for step := range 3000 {
		id := fmt.Sprint(random.IntN(12))
		want := model[id]
		var err error
		switch op := random.IntN(10); op {
		case 0, 1, 2:
			name := fmt.Sprint(step)
			_, err = b.Put(ctx, "user", id, schema.Fields{"name": name, "age": step % 100})
			require.NoError(t, err)
			model[id] = map[string]string{"name": `"` + name + `"`, "age": fmt.Sprint(step % 100), "email": "null",
				"login_count": "0", "profile": "null"}
		case 3:
			_, err = b.Create(ctx, "user", id, schema.Fields{"name": "c"})
			require.Equal(t, want != nil, errors.Is(err, schema.ErrExists), "create: %v", err)
			if err == nil {
				model[id] = map[string]string{"name": `"c"`, "age": "null", "email": "null", "login_count": "0",
					"profile": "null"}
			}
		case 4:
			_, err = b.Patch(ctx, "user", id, schema.Fields{"age": step % 100})
			require.Equal(t, want == nil, errors.Is(err, schema.ErrNotFound), "patch: %v", err)
			if err == nil {
				model[id] = maps.Clone(want)
				model[id]["age"] = fmt.Sprint(step % 100)
			}
		case 5:
			var got producer.Accepted
			got, err = b.Increment(ctx, "user", id, schema.Fields{"login_count": 1})
			require.Equal(t, want == nil, errors.Is(err, schema.ErrNotFound), "increment: %v", err)
			if err == nil {
				model[id] = maps.Clone(want)
				model[id]["login_count"] = got.Values[3]
				var before, after int
				_, _ = fmt.Sscan(want["login_count"], &before)
				_, _ = fmt.Sscan(got.Values[3], &after)
				require.Equal(t, before+1, after)
			}
		case 6:
			_, err = b.Delete(ctx, "user", id)
			require.Equal(t, want == nil, errors.Is(err, schema.ErrNotFound), "delete: %v", err)
			delete(model, id)
		case 7:
			b.flush(t)
		case 8:
			b.evict(t)
		}
		require.Equal(t, model[id], b.fields(t, id), "step %d", step)
	}
	b.flush(t)
	b.evict(t)
	for id, want := range model {
		require.Equal(t, want, b.fields(t, id))
	}
	require.Len(t, b.table.rows, len(model))
	total := b.conserved(t)
	assert.Zero(t, total.Pending)
	assert.Equal(t, total.Accepted, total.Persisted+total.Superseded)
}

func BenchmarkPut(b *testing.B) {
	server := testkit.SharedRedis(b)
	c, err := cache.New(cache.Config{URL: server.URL(), Prefix: testkit.Prefix(b)})
	require.NoError(b, err)
	user := testkit.Entity(b, "user")
	user.Flush.MaxPending = 1 << 30
	p, err := producer.New(producer.Config{Entities: []*schema.Entity{user}, Cache: c, Loader: &table{}})
	require.NoError(b, err)
	rdb := redis.NewClient(&redis.Options{Addr: server.Addr(), PoolSize: 100})
	fields := schema.Fields{"name": "John Doe of Somewhere", "email": "john@example.org", "age": 25, "login_count": 7}
	value := []byte(`{"name":"John Doe of Somewhere","email":"john@example.org","age":25,"login_count":7,"profile":null}`)
	for _, callers := range []int{1, 50} {
		run := func(b *testing.B, do func(i int) error) {
			var wg sync.WaitGroup
			start := time.Now()
			for w := range callers {
				wg.Go(func() {
					for i := w; i < b.N; i += callers {
						if err := do(i); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			wg.Wait()
			b.ReportMetric(float64(b.N)/time.Since(start).Seconds(), "writes/s")
		}
		b.Run(fmt.Sprintf("set/%d", callers), func(b *testing.B) {
			run(b, func(i int) error { return rdb.Set(b.Context(), "set:"+fmt.Sprint(i%100_000), value, 0).Err() })
		})
		b.Run(fmt.Sprintf("put/%d", callers), func(b *testing.B) {
			run(b, func(i int) error {
				_, err := p.Put(b.Context(), "user", fmt.Sprint(i%100_000), fields)
				return err
			})
		})
	}
}

func TestNewRefusesAnEntityWithoutInit(t *testing.T) {
	b := setup(t)
	_, err := producer.New(producer.Config{Entities: []*schema.Entity{{Name: "raw"}}, Cache: b.cache, Loader: &table{}})
	require.ErrorContains(t, err, "call its Init")
}

// What another program may give by mistake is told, and is no panic, now or at a write.
func TestNewRefusesAConfigThatCannotWork(t *testing.T) {
	b := setup(t)
	for says, change := range map[string]func(*producer.Config){
		"required":    func(c *producer.Config) { c.Cache = nil },
		"is nil":      func(c *producer.Config) { c.Entities = append(c.Entities, nil) },
		"given twice": func(c *producer.Config) { c.Entities = append(c.Entities, testkit.Entity(t, "user")) },
		"negative":    func(c *producer.Config) { c.Lanes = -1 },
	} {
		cfg := producer.Config{Entities: []*schema.Entity{b.user}, Cache: b.cache, Loader: b.table, Queue: b.queue,
			Log: testkit.Logger(t)}
		change(&cfg)
		_, err := producer.New(cfg)
		require.ErrorContains(t, err, says)
	}
}

// A request that outlives its server writes while, and after, the producer is closed: each
// write has its answer, and what was answered stands.
func TestWritesWhileClosing(t *testing.T) {
	b := setup(t)
	first := make(chan struct{}, 20)
	var writers, closers sync.WaitGroup
	for i := range 20 {
		writers.Go(func() {
			for j := range 30 {
				_, err := b.Put(context.Background(), "user", fmt.Sprintf("%d-%d", i, j), schema.Fields{"name": "x"})
				assert.NoError(t, err)
				if j == 0 {
					first <- struct{}{}
				}
			}
		})
	}
	<-first
	for range 4 {
		closers.Go(func() { assert.NoError(t, b.Close()) })
	}
	closers.Wait()
	writers.Wait()
	_, err := b.Put(t.Context(), "user", "after", schema.Fields{"name": "x"})
	require.NoError(t, err)
	stats, err := b.backlog.Stats(t.Context(), b.user)
	require.NoError(t, err)
	pending := int64(0)
	for _, s := range stats {
		pending += s.Pending
	}
	require.EqualValues(t, 20*30+1, pending)
}

// TestWithoutAQueueTheNextSweepSchedules: a write that nobody enqueues a task for takes no
// scheduled flag, which would have to expire before a sweep orders its flush.
func TestWithoutAQueueTheNextSweepSchedules(t *testing.T) {
	b := setup(t, func(_ *schema.Entity, c *producer.Config) { c.Queue = nil })
	_, err := b.Put(t.Context(), "user", "a", schema.Fields{"name": "x"})
	require.NoError(t, err)
	orders, err := b.backlog.Sweep(t.Context(), []*schema.Entity{b.user})
	require.NoError(t, err)
	require.Len(t, orders, 1)
	orders, err = b.backlog.Sweep(t.Context(), []*schema.Entity{b.user})
	require.NoError(t, err)
	require.Empty(t, orders, "now it is scheduled")
}
