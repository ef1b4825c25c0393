package worker

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/cache/pending"
	"github.com/afterwrite/afterwrite/internal/queue"
	"github.com/afterwrite/afterwrite/internal/testkit"
	"github.com/afterwrite/afterwrite/internal/testkit/whole"
	"github.com/afterwrite/afterwrite/schema"
	"github.com/afterwrite/afterwrite/store"
	"github.com/afterwrite/afterwrite/store/ledger"
)

// away makes every statement and every new connection fail.
func (b *bench) away() *testkit.Fault {
	return b.sql.Inject(testkit.Refuse, testkit.AnyStatement, testkit.Always())
}

func TestI2FlushesResumeAfterTheDatabaseWasAway(t *testing.T) {
	onEach(t, func(t *testing.T, b *bench) {
		b.e.Partitions = 3
		outage := b.away()
		stop := b.run(b.worker(b.serving))
		for i := range 60 {
			b.put(id(i), "x")
		}
		testkit.Eventually(t, "the outage was noticed", func() bool { return outage.Hits() >= 6 })
		require.EqualValues(t, 60, b.stats().Pending)
		outage.Release()
		testkit.Eventually(t, "flushes resumed", func() bool { return b.stats().Pending == 0 })
		stop()
		b.quiet(0)
		require.Len(t, b.names(), 60)
	})
}

func TestAnOutageCountsNoAttempt(t *testing.T) {
	onEach(t, func(t *testing.T, b *bench) {
		w := b.worker()
		b.mail("owner", "x", "taken@x")
		b.drain(w)
		b.mail("bad", "x", "taken@x")
		b.drain(w)
		outage := b.away()
		before, err := b.cache.Status(t.Context(), b.e, "bad")
		require.NoError(t, err)
		for range 5 {
			b.put("good", "x")
			for _, o := range b.orders.take() {
				var later queue.Later
				require.ErrorAs(t, w.sync(t.Context(), task(o)), &later)
				require.Positive(t, later.After)
				require.LessOrEqual(t, later.After, backoffCap)
			}
		}
		after, err := b.cache.Status(t.Context(), b.e, "bad")
		require.NoError(t, err)
		require.Equal(t, before, after)
		outage.Release()
	})
}

func TestAClosedGateKeepsTasksFromTheDatabase(t *testing.T) {
	t.Parallel()
	b := setup(t, testkit.SQLite(t))
	w := b.worker()
	b.put("a", "1")
	order := b.orders.take()[0]
	outage := b.away()
	for range outages {
		require.ErrorAs(t, w.sync(t.Context(), task(order)), new(queue.Later))
	}
	require.EqualValues(t, 2, testutil.ToFloat64(w.metrics.breaker), "open")
	var later queue.Later
	testkit.Eventually(t, "a task does not come to the database", func() bool {
		hits, asked := outage.Hits(), time.Now()
		err := w.sync(t.Context(), task(order))
		require.ErrorAs(t, err, &later)
		require.Greater(t, b.flagged().Sub(asked), later.After, "the flag outlives the delay")
		if !errors.Is(err, errClosed) {
			return false // the third failure was long enough ago for another try
		}
		require.Equal(t, hits, outage.Hits(), "nothing was asked of the database")
		return true
	})
	outage.Release()
	testkit.Eventually(t, "the gate lets one through", func() bool { return w.sync(t.Context(), task(order)) == nil })
	require.Zero(t, testutil.ToFloat64(w.metrics.breaker))
	b.quiet(0)
}

// A database that is back is found by a probe, however long no task is due, and the deferred tasks are woken. One that
// answers and takes no writes is not back.
func TestADatabaseThatIsBackIsFoundByAProbe(t *testing.T) {
	onEach(t, func(t *testing.T, b *bench) {
		w := b.worker()
		b.put("a", "1")
		order := b.orders.take()[0]
		outage := b.away()
		for range outages {
			require.ErrorAs(t, w.sync(t.Context(), task(order)), new(queue.Later))
		}
		ctx, stop := context.WithCancel(t.Context())
		var probing sync.WaitGroup
		probing.Go(func() { w.probe(ctx) })
		defer func() { stop(); probing.Wait() }()
		hits := outage.Hits()
		testkit.Eventually(t, "it is probed", func() bool { return outage.Hits() > hits })
		require.Empty(t, b.orders.wakes())
		outage.Release()
		testkit.Eventually(t, "the deferred tasks are woken", func() bool { return len(b.orders.wakes()) > 0 })
		require.Equal(t, []string{"default"}, b.orders.wakes())
		require.Zero(t, testutil.ToFloat64(w.metrics.breaker))
		require.NoError(t, w.sync(t.Context(), task(order)))
		b.quiet(0)
	})
}

func TestAnUnreachableRedisPutsATaskOff(t *testing.T) {
	t.Parallel()
	b := setup(t, testkit.SQLite(t))
	w := b.worker()
	b.put("a", "1")
	order := b.orders.take()[0]
	for _, script := range []string{"begin", "due", "ack", "end"} {
		fault := b.redis.Inject(testkit.Refuse, testkit.Script(t, script), testkit.Always())
		var later queue.Later
		require.ErrorAs(t, w.sync(t.Context(), task(order)), &later, script)
		require.ErrorIs(t, later, schema.ErrUnavailable, script)
		fault.Release()
	}
	require.Zero(t, testutil.ToFloat64(w.metrics.breaker), "that is not the database's fault")
	require.NoError(t, w.sync(t.Context(), task(order)))
	b.quiet(0)
}

// Redis dies under a running worker and comes back on its append-only file.
func TestI2FlushesResumeAfterRedisWasAway(t *testing.T) {
	t.Parallel()
	server := testkit.Redis(t, testkit.AppendFsync("always"))
	b := setupOn(t, testkit.SQLite(t), server)
	stop := b.run(b.worker(b.serving))
	b.put("a", "1")
	testkit.Eventually(t, "a first record is persisted", func() bool { return b.stats().Persisted == 1 })
	b.put("b", "1")
	server.Kill()
	server.Start()
	b.put("c", "1")
	testkit.Eventually(t, "the rest is persisted", func() bool { return b.stats().Pending == 0 })
	stop()
	b.quiet(0)
	require.Len(t, b.names(), 3)
}

// The queue cancels a task: it was there too long, or somebody pressed a button.
func TestATaskThatIsCalledOffLosesNothing(t *testing.T) {
	onEach(t, func(t *testing.T, b *bench) {
		w := b.worker()
		b.put("a", "1")
		ctx, cancel := context.WithCancel(t.Context())
		upsert := b.sql.Inject(testkit.Hold, testkit.Statement("INSERT INTO", "users"))
		ended := make(chan error, 1)
		go func() { ended <- w.sync(ctx, task(b.orders.take()[0])) }()
		<-upsert.Hit()
		cancel()
		require.Error(t, <-ended)
		require.EqualValues(t, 1, b.stats().Pending)
		b.drain(w)
		b.quiet(0)
		require.Equal(t, map[string]string{"a": "1"}, b.names())
	})
}

// picky is a cache whose batches the database, which answers, fails if they have one of some
// records, and that database.
type picky struct {
	state  Redis
	store  *ledger.Ledger
	sql    *testkit.SQLFaults
	poison []string
	sizes  []int
	ahead  int // flushes that were to read ahead
}

var errOdd = errors.New("odd failure of no known class")

// config has a worker use both.
func (p *picky) config(c *Config) {
	c.Redis, c.Store = readsTold{p.state, p.read}, pickyStore{p.store, p}
}

type pickyStore struct {
	*ledger.Ledger
	picky *picky
}

func (s pickyStore) Look(ctx context.Context, e *schema.Entity, n int) (store.Look, error) {
	s.picky.ahead++
	return s.Ledger.Look(ctx, e, n)
}

// Isolate is an isolation that does not help.
func (s pickyStore) Isolate(ctx context.Context, e *schema.Entity, n int) (*store.Flush, error) {
	return s.Begin(ctx, e, n)
}

func (p *picky) read(b pending.Batch) {
	p.sizes = append(p.sizes, len(b.Due))
	if slices.ContainsFunc(b.Due, func(d pending.Due) bool { return slices.Contains(p.poison, d.ID) }) {
		p.sql.Inject(testkit.Vanish, testkit.Statement("INSERT INTO", "users"), testkit.Err(errOdd))
	}
}

// One record makes each batch fail that has it, though the database answers.
func TestI5ABatchThatFailsAgainAndAgainIsTakenApart(t *testing.T) {
	t.Parallel()
	b := setup(t, testkit.SQLite(t))
	b.e.Flush.Batch = 100
	odd := &picky{state: b.redisOf(), store: b.store, sql: b.sql, poison: []string{id(57)}}
	w := b.worker(odd.config)
	for i := range 120 {
		b.put(id(i), "x")
	}
	b.drain(w)
	b.quiet(1)
	require.Len(t, b.names(), 119)
	state, err := b.cache.Status(t.Context(), b.e, id(57))
	require.NoError(t, err)
	require.Equal(t, schema.KindPoison, state.Refusal.Kind)
	require.Contains(t, state.Refusal.Message, errOdd.Error())
	require.NotContains(t, state.Refusal.Message, "user/0", "or each partition's would be its own group")
	require.Zero(t, testutil.ToFloat64(w.metrics.breaker))

	odd.poison = nil
	testkit.Eventually(t, "it is persisted when the cause is gone", func() bool {
		b.drain(w)
		return b.stats().Held == 0
	})
	require.Len(t, b.names(), 120)
	b.quiet(0)
}

// Every record fails: the fault is the table's, so only one may be blamed.
func TestOnlyOneRecordIsBlamedUntilSomethingSucceeds(t *testing.T) {
	t.Parallel()
	b := setup(t, testkit.SQLite(t))
	odd := &picky{state: b.redisOf(), store: b.store, sql: b.sql}
	for i := range 20 {
		odd.poison = append(odd.poison, id(i))
		b.put(id(i), "x")
	}
	w := b.worker(odd.config)
	order := b.orders.take()[0]
	for range 12 {
		require.ErrorAs(t, w.sync(t.Context(), task(order)), new(queue.Later))
	}
	require.EqualValues(t, 1, b.stats().Held)
	odd.poison = nil
	testkit.Eventually(t, "all are persisted", func() bool {
		b.drain(w)
		return b.stats().Held == 0
	})
	b.quiet(0)
	require.Len(t, b.names(), 20)
}

func TestAMissingTableBlamesNoRecord(t *testing.T) {
	onEach(t, func(t *testing.T, b *bench) {
		other := *b.e
		other.Name, other.Table = "other", "others"
		s, err := ledger.Open(store.Config{URL: testkit.SQLite(t)}, []*schema.Entity{&other})
		require.NoError(t, err)
		t.Cleanup(func() { _ = s.Close() })
		w := b.worker(func(c *Config) { c.Store, c.Entities = s, []*schema.Entity{&other} })
		b.e = &other
		b.put("a", "1")
		order := b.orders.take()[0]
		for range 4 {
			require.ErrorAs(t, w.sync(t.Context(), task(order)), new(queue.Later))
		}
		require.EqualValues(t, 1, b.stats().Pending)
		require.Zero(t, b.stats().Held)
	})
}

func TestCollectorShowsTheLedger(t *testing.T) {
	t.Parallel()
	b := setup(t, testkit.SQLite(t))
	w := b.worker()
	b.mail("owner", "x", "taken@x")
	b.drain(w)
	b.mail("bad", "x", "taken@x")
	b.drain(w)
	b.put("a", "1")
	b.put("a", "2")
	registry := prometheus.NewRegistry()
	require.NoError(t, registry.Register(NewCollector(b.backlog, []*schema.Entity{b.e},
		func(*schema.Entity) time.Duration { return time.Minute })))
	families, err := registry.Gather()
	require.NoError(t, err)
	got := map[string]float64{}
	for _, f := range families {
		m := f.GetMetric()[0]
		got[f.GetName()] = m.GetGauge().GetValue() + m.GetCounter().GetValue()
	}
	for name, want := range map[string]float64{
		"pending_records": 1, "lag_limit_seconds": 60, "held_records": 1, "dead_records": 0, "ledger_accepted_total": 4,
		"pending_records_limit": float64(b.e.Flush.MaxPending), "paused_partitions": 0,
		"ledger_superseded_total": 1, "ledger_persisted_total": 1, "ledger_readable": 1,
	} {
		require.Equal(t, want, got["afterwrite_"+name], name)
	}
	require.InDelta(t, time.Now().Unix(), got["afterwrite_oldest_pending_timestamp_seconds"], 60)

	b.redis.Inject(testkit.Refuse, testkit.Script(t, "stats"), testkit.Always())
	families, err = registry.Gather()
	require.NoError(t, err, "a Redis that is away does not fail the scrape")
	require.Len(t, families, 1)
}

func TestNewNamesWhatIsMissing(t *testing.T) {
	t.Parallel()
	_, err := New(Config{Entities: testkit.Entities(t), Store: &ledger.Ledger{}, Redis: whole.Redis{}, Server: idle{}})
	require.ErrorContains(t, err, "Queue is required")
	b := setup(t, testkit.SQLite(t))
	w := b.worker()
	cfg := Config{Entities: w.all, Redis: b.redisOf(), Store: b.store, Queue: b.orders, Server: idle{}, Slice: -1}
	_, err = New(cfg)
	require.ErrorContains(t, err, "Slice")
	registry := prometheus.NewRegistry()
	cfg.Slice, cfg.Registerer = 0, registry
	_, err = New(cfg)
	require.NoError(t, err)
	_, err = New(cfg)
	require.ErrorContains(t, err, "register metrics")
}

func TestBackoffIsBoundedAndSpread(t *testing.T) {
	t.Parallel()
	seen := map[time.Duration]bool{}
	for failures := range 60 {
		d := backoff(failures)
		require.GreaterOrEqual(t, d, backoffBase/2, fmt.Sprint(failures))
		require.LessOrEqual(t, d, backoffCap)
		seen[d] = true
	}
	require.Greater(t, len(seen), 10)
}
