package worker

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/cache/pending"
	"github.com/afterwrite/afterwrite/internal/testkit"
	"github.com/afterwrite/afterwrite/schema"
	"github.com/afterwrite/afterwrite/store"
	"github.com/afterwrite/afterwrite/store/ledger"
)

// watched is a database and a cache of which a test sees every batch, in order.
type watched struct {
	state    Redis
	store    *ledger.Ledger
	batches  []watchedBatch
	isolated bool                 // the flush under way has all of the time
	reading  func(w watchedBatch) // called when a batch was read; nil: nobody
}

type watchedBatch struct {
	ids   []string
	alone bool // all of the time is for it
}

// config has a worker use both.
func (s *watched) config(c *Config) {
	c.Redis, c.Store = readsTold{s.state, s.read}, watchedStore{s.store, s}
}

type watchedStore struct {
	*ledger.Ledger
	watched *watched
}

func (s watchedStore) Begin(ctx context.Context, e *schema.Entity, n int) (*store.Flush, error) {
	s.watched.isolated = false
	return s.Ledger.Begin(ctx, e, n)
}

func (s watchedStore) Isolate(ctx context.Context, e *schema.Entity, n int) (*store.Flush, error) {
	s.watched.isolated = true
	return s.Ledger.Isolate(ctx, e, n)
}

// readsTold is a cache that tells of each batch that was read.
type readsTold struct {
	Redis
	read func(pending.Batch)
}

func (r readsTold) DueNoted(ctx context.Context, e *schema.Entity, n, limit, bytes int,
	turns pending.Turns) (pending.Batch, error) {
	b, err := r.Redis.DueNoted(ctx, e, n, limit, bytes, turns)
	r.read(b)
	return b, err
}

func (r readsTold) DueAhead(ctx context.Context, e *schema.Entity, n, limit, bytes int) (pending.Batch, error) {
	b, err := r.Redis.DueAhead(ctx, e, n, limit, bytes)
	r.read(b)
	return b, err
}

func (r readsTold) DueAlone(ctx context.Context, e *schema.Entity, n int) (pending.Batch, error) {
	b, err := r.Redis.DueAlone(ctx, e, n)
	r.read(b)
	return b, err
}

func (s *watched) read(b pending.Batch) {
	one := watchedBatch{alone: s.isolated}
	for _, d := range b.Due {
		one.ids = append(one.ids, d.ID)
	}
	if len(one.ids) == 0 {
		return
	}
	s.batches = append(s.batches, one)
	if s.reading != nil {
		s.reading(one)
	}
}

// with are the batches that have one of the records.
func (s *watched) with(ids ...string) []watchedBatch {
	return slices.DeleteFunc(slices.Clone(s.batches), func(b watchedBatch) bool {
		return !slices.ContainsFunc(b.ids, func(id string) bool { return slices.Contains(ids, id) })
	})
}

// at is the first batch that has the record.
func (s *watched) at(t *testing.T, id string) int {
	t.Helper()
	at := slices.IndexFunc(s.batches, func(b watchedBatch) bool { return slices.Contains(b.ids, id) })
	require.GreaterOrEqual(t, at, 0, "%s is in no batch", id)
	return at
}

// hanging is a bench on PostgreSQL, where the statement of each user called hang hangs, and
// a database to watch on which a statement may take as long as an attempt.
func hanging(t *testing.T) (*bench, *watched) {
	t.Helper()
	t.Parallel()
	b := setup(t, testkit.Postgres(t).Database(t))
	b.e.Retry = lasting
	s, err := store.Open(store.Config{
		URL: b.db, Wrap: b.sql.Wrap, StatementTimeout: lasting.Timeout, Log: testkit.Logger(t),
	}, b.all)
	require.NoError(t, err)
	t.Cleanup(func() { _ = s.Close() })
	b.exec(`CREATE FUNCTION hang() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(600); RETURN NEW; END $$`)
	b.exec(`CREATE TRIGGER hang BEFORE INSERT OR UPDATE ON users FOR EACH ROW WHEN (NEW.name = 'hang') EXECUTE FUNCTION hang()`)
	return b, &watched{state: b.redisOf(), store: ledger.Of(s)}
}

// lasting is a policy whose attempts come when the test says so.
var lasting = schema.RetryPolicy{
	MaxAttempts: 3, Base: time.Hour, Factor: 1, Cap: time.Hour, Jitter: schema.JitterNone, Timeout: 2 * time.Second,
}

// now makes what is held due at once.
func (b *bench) now() {
	b.t.Helper()
	now, err := b.backlog.FlushNow(b.t.Context(), b.e)
	require.NoError(b.t, err)
	for _, o := range now.Orders {
		_ = b.orders.Enqueue(b.t.Context(), o)
	}
}

func (b *bench) attempts(id string) int {
	b.t.Helper()
	state, err := b.cache.Status(b.t.Context(), b.e, id)
	require.NoError(b.t, err)
	return state.Attempts
}

// tried runs what is due until nothing is pending and the record has had so many attempts.
func (b *bench) tried(w *Worker, id string, attempts int) {
	b.t.Helper()
	testkit.Eventually(b.t, fmt.Sprintf("%s has had %d attempts", id, attempts), func() bool {
		b.drain(w)
		return b.attempts(id) >= attempts
	})
	require.Equal(b.t, attempts, b.attempts(id), "only one that had all of its time counts")
}

// A record whose statement hangs is in one batch with others, once. From then on it is
// tried alone, each attempt with all of its time and after the others that are due, until it
// dies; what is accepted meanwhile is in the next batch. It is as if it were not there.
func TestI5AHangingRecordIsIsolated(t *testing.T) {
	b, s := hanging(t)
	w := b.strict(s.config)
	late := 0
	s.reading = func(batch watchedBatch) {
		if batch.alone && batch.ids[0] == "bad" {
			late++
			b.put(fmt.Sprint("late", late), "x")
		}
	}
	for i := range 30 {
		if i == 15 {
			b.put("bad", "hang")
		}
		b.put(id(i), "x")
	}
	b.tried(w, "bad", 1)
	require.Len(t, b.names(), 31, "the neighbours, and the one that came during the first attempt")
	b.quiet(1)

	for attempt := 2; attempt <= lasting.MaxAttempts; attempt++ {
		b.put(fmt.Sprint("before", attempt), "x")
		b.now()
		b.tried(w, "bad", attempt)
	}
	require.EqualValues(t, 1, b.stats().Dead)
	b.quiet(0)
	require.Zero(t, testutil.ToFloat64(w.metrics.breaker))

	tried := s.with("bad")
	first := slices.IndexFunc(tried, func(one watchedBatch) bool { return one.alone })
	require.Positive(t, first, "none of the attempts was beside others")
	for _, one := range tried[first:] {
		require.Equal(t, watchedBatch{[]string{"bad"}, true}, one)
	}
	for n := 1; n < lasting.MaxAttempts; n++ {
		attempt := slices.IndexFunc(s.batches, func(one watchedBatch) bool { return one.alone && one.ids[0] == "bad" })
		require.Contains(t, s.batches[attempt+1].ids, fmt.Sprint("late", n), "what came meanwhile is next")
		s.batches = s.batches[attempt+1:]
		require.Less(t, s.at(t, fmt.Sprint("before", n+1)), s.at(t, "bad"), "what was there before goes first")
	}
}

// Of several that hang one is tried, and the others rest, behind what is accepted meanwhile.
// Each has its turn.
func TestRecordsThatHangTakeTurns(t *testing.T) {
	b, s := hanging(t)
	b.e.Retry.Base, b.e.Retry.Cap = quick.Base, quick.Cap // the rest is longer
	w := b.strict(s.config)
	bad := []string{"bad1", "bad2", "bad3"}
	for _, id := range bad {
		b.put(id, "hang")
		b.put("with "+id, "x")
	}
	b.drain(w) // on a slow machine the first flush may have had too little time, and is put off
	require.Len(t, b.names(), 3)
	b.quiet(3)
	for n := range 3 {
		sum := 0
		for _, id := range bad {
			sum += b.attempts(id)
		}
		require.Equal(t, n+1, sum, "one at a time, %d", n)
		held, err := b.backlog.Waiting(t.Context(), b.e, 0, 0, 10)
		require.NoError(t, err)
		require.Len(t, held, 3)
		require.Equal(t, slices.Max([]int{held[0].Attempts, held[1].Attempts, held[2].Attempts}), held[2].Attempts,
			"the one that was tried comes after the others")
		require.Greater(t, held[0].Next, time.Now(), "and they rest")
		// Their rest is over: the first is due, and the others will be while it is tried.
		moves := make([]pending.Move, len(held))
		for i, one := range held {
			moves[i] = pending.Move{ID: one.ID, From: one.Next,
				To: time.Now().Add(time.Duration(i) * lasting.Timeout / 4)}
		}
		_, err = b.backlog.Reschedule(t.Context(), b.e, 0, moves)
		require.NoError(t, err)
		b.put(fmt.Sprint("later", n), "x")
		b.flush(w)
	}
	for _, id := range bad {
		require.GreaterOrEqual(t, b.attempts(id), 1, id)
	}
	for _, one := range s.with(bad...) {
		require.True(t, len(one.ids) == 1 || !one.alone, "%v", one)
	}
	require.Len(t, b.names(), 6)

	b.mended(w, 9)
}

// mended takes away what hangs: all of so many records are persisted then.
func (b *bench) mended(w *Worker, records int) {
	b.t.Helper()
	b.exec("DROP TRIGGER hang ON users")
	testkit.Eventually(b.t, "all are persisted when the cause is gone", func() bool {
		b.now()
		b.drain(w)
		return b.stats().Held == 0
	})
	b.quiet(0)
	require.Len(b.t, b.names(), records)
}

// A newer write of an isolated record is a write like any other.
func TestANewerWriteEndsTheIsolation(t *testing.T) {
	b, s := hanging(t)
	w := b.worker(s.config)
	b.put("a", "x")
	b.put("bad", "hang")
	b.tried(w, "bad", 1)
	b.quiet(1)
	s.batches = nil
	b.put("b", "x")
	b.put("bad", "mended")
	b.drain(w)
	b.quiet(0)
	require.Equal(t, []watchedBatch{{[]string{"b", "bad"}, false}}, s.batches)
	require.Equal(t, map[string]string{"a": "x", "b": "x", "bad": "mended"}, b.names())
}

// A crash at any step of isolating loses no record and counts no attempt twice.
func TestIsolatingMayFail(t *testing.T) {
	for _, step := range []string{"hold", "ack", "reschedule", "due"} {
		for how, mode := range map[string]testkit.Mode{"not applied": testkit.Refuse, "applied": testkit.LoseReply} {
			t.Run(step+" "+how, func(t *testing.T) {
				b, s := hanging(t)
				b.redis.Inject(mode, testkit.Script(t, step))
				b.put("a", "x")
				b.put("bad", "hang")
				b.put("worse", "hang")
				b.put("b", "x")
				b.flush(b.worker(s.config))
				w := b.worker(s.config)
				testkit.Eventually(t, "all is persisted or held", func() bool {
					b.drain(w)
					return b.attempts("bad")+b.attempts("worse") > 0
				})
				b.quiet(2)
				require.Len(t, b.names(), 2)
				b.mended(w, 4)
			})
		}
	}
}

// What costs the connection is isolated by its first attempt, which suspicion has found.
func TestI5WhatIsFoundBySuspicionIsIsolated(t *testing.T) {
	t.Parallel()
	b := setup(t, testkit.SQLite(t))
	b.e.Flush.Batch, b.e.Retry = 20, lasting
	odd := &picky{state: b.redisOf(), store: b.store, sql: b.sql, poison: []string{"bad"}}
	w := b.strict(odd.config)
	for i := range 30 {
		if i == 15 {
			b.put("bad", "x")
		}
		b.put(id(i), "x")
	}
	b.drain(w)
	b.quiet(1)
	require.Equal(t, 1, b.attempts("bad"))
	odd.sizes = nil
	for attempt := 2; attempt <= lasting.MaxAttempts; attempt++ {
		for i := range 10 {
			b.put(id(i), fmt.Sprint(attempt))
		}
		b.now()
		b.tried(w, "bad", attempt)
	}
	require.EqualValues(t, 1, b.stats().Dead)
	sizes := slices.DeleteFunc(odd.sizes, func(n int) bool { return n == 0 })
	require.Equal(t, []int{10, 1, 10, 1}, sizes, "nobody's batch failed for it")
	b.quiet(0)
}

// Of what fails alone one record is blamed until another is persisted, however often it is
// tried and whatever empty look comes in between, and the others' batches stay as they are.
func TestOneOfThoseThatFailAloneIsBlamed(t *testing.T) {
	t.Parallel()
	s, at := newSuspects(), place{"user", 0}
	blamed := func(id string) bool {
		_, condemned := s.failed(at, []string{id}, true, true)
		limit, suspicious := s.limit(at, 100)
		require.Equal(t, 100, limit)
		require.False(t, suspicious)
		return condemned
	}
	require.True(t, blamed("a"))
	s.succeeded(at, 100, 100, false)
	require.False(t, blamed("b"))
	require.True(t, blamed("a"), "or it would be tried for ever")
	s.succeeded(at, 100, 100, true)
	require.True(t, blamed("b"))
}
