package worker

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/cache"
	"github.com/afterwrite/afterwrite/internal/testkit"
	"github.com/afterwrite/afterwrite/schema"
)

// spread opens a bench whose entity has so many partitions, on each database.
func spread(t *testing.T, partitions int, fn func(t *testing.T, b *bench)) {
	t.Helper()
	t.Parallel()
	testkit.AllDatabases(t, func(t *testing.T, url string) {
		t.Parallel()
		fn(t, setupSpread(t, url, partitions))
	})
}

func setupSpread(t *testing.T, url string, partitions int) *bench {
	e := testkit.Entity(t, "user")
	e.Partitions = partitions
	e.Retry = quick
	return setupFor(t, url, testkit.SharedRedis(t).URL(), e)
}

// spread returns n ids, each of a partition of its own if there are as many.
func (b *bench) spread(n int) []string {
	ids := make([]string, 0, n)
	for i := 0; len(ids) < n; i++ {
		id := fmt.Sprintf("u%d", i)
		if len(ids) < b.e.Partitions && slices.ContainsFunc(ids, func(other string) bool {
			return b.e.Partition(other) == b.e.Partition(id)
		}) {
			continue
		}
		ids = append(ids, id)
	}
	return ids
}

// rotated writes ids with values of their own, and when these are persisted each with the value of the next.
func (b *bench) rotated(ids []string) {
	b.t.Helper()
	for i, id := range ids {
		b.mail(id, "before", fmt.Sprintf("%d@x", i))
	}
	b.drain(b.worker())
	b.quiet(0)
	for i, id := range ids {
		b.mail(id, "after", fmt.Sprintf("%d@x", (i+1)%len(ids)))
	}
}

// requireRotated checks that each has the value of the next, and nothing waits.
func (b *bench) requireRotated(ids []string) {
	b.t.Helper()
	b.quiet(0)
	require.Zero(b.t, b.stats().Dead)
	rows, err := b.store.Load(b.t.Context(), b.e, ids)
	require.NoError(b.t, err)
	for i, id := range ids {
		require.Equal(b.t, fmt.Sprintf(`"%d@x"`, (i+1)%len(ids)), rows[id][1], id)
		require.Equal(b.t, `"after"`, rows[id][0], id)
	}
}

func exchanged(w *Worker, e *schema.Entity, result string) float64 {
	return testutil.ToFloat64(w.metrics.exchanged.WithLabelValues(e.Name, result))
}

// Records that swap or rotate unique values are persisted, in whatever partitions they are, without an attempt of any.
func TestUniqueValuesAreExchangedAcrossPartitions(t *testing.T) {
	for _, n := range []int{2, 5, 8} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			spread(t, n, func(t *testing.T, b *bench) {
				ids := b.spread(n)
				b.rotated(ids)
				w := b.worker()
				b.flush(w)
				b.requireRotated(ids)
				require.EqualValues(t, 1, exchanged(w, b.e, exchangePersisted))
				for _, id := range ids { // each partition knows of the flush
					b.put(id, "later")
				}
				b.drain(b.worker())
			})
		})
	}
}

// Records of one partition exchange values though they are in different batches.
func TestUniqueValuesAreExchangedAcrossBatches(t *testing.T) {
	spread(t, 1, func(t *testing.T, b *bench) {
		b.e.Flush.Batch = 2
		ids := b.spread(5)
		b.rotated(ids)
		b.flush(b.worker())
		b.requireRotated(ids)
	})
}

// A policy that has no second attempt keeps no record from an exchange, nor does an exchange that fails count as one.
func TestAnExchangeIsNoAttempt(t *testing.T) {
	t.Parallel()
	b := setupSpread(t, testkit.SQLite(t), 2)
	b.e.Retry.MaxAttempts = 1
	ids := b.spread(2)
	b.rotated(ids)
	w := b.worker()
	require.NoError(t, w.follow(t.Context())) // else nothing dies
	b.redis.Inject(testkit.Refuse, testkit.Script(t, "these"))
	_, err := w.flush(t.Context(), schema.Order{Entity: b.e, Partition: b.e.Partition(ids[0])})
	require.NoError(t, err)
	require.EqualValues(t, 1, exchanged(w, b.e, exchangeFailed))
	held, err := b.backlog.Waiting(t.Context(), b.e, b.e.Partition(ids[0]), 0, 10)
	require.NoError(t, err)
	require.Len(t, held, 1)
	require.Zero(t, held[0].Attempts)
	b.flush(w)
	b.requireRotated(ids)
}

// A record whose value is not given away stays held, and becomes a dead letter, for that reason.
func TestAnOwnerThatKeepsItsValue(t *testing.T) {
	spread(t, 2, func(t *testing.T, b *bench) {
		ids := b.spread(2)
		for i, id := range ids {
			b.mail(id, "before", fmt.Sprintf("%d@x", i))
		}
		b.drain(b.worker())
		b.orders.take()
		b.mail(ids[1], "after", "1@x") // of another field
		b.mail(ids[0], "after", "1@x")
		w := b.worker()
		b.orders.take()
		live := schema.Order{Entity: b.e, Partition: b.e.Partition(ids[0])}
		_, err := w.flush(t.Context(), live)
		require.NoError(t, err)
		require.EqualValues(t, 1, exchanged(w, b.e, exchangeKept))
		held, err := b.backlog.Waiting(t.Context(), b.e, live.Partition, 0, 10)
		require.NoError(t, err)
		require.Len(t, held, 1)
		require.Equal(t, schema.KindUnique, held[0].Refusal.Kind)
		require.NotContains(t, held[0].Refusal.Message, "more than")
		require.Equal(t, map[string]string{ids[0]: "before", ids[1]: "before"}, b.names())

		b.mail(ids[1], "after", "free@x") // now it does
		b.drain(w)
		testkit.Eventually(t, "the record is persisted", func() bool {
			b.drain(w)
			return b.stats().Held == 0
		})
		b.quiet(0)
		require.Equal(t, map[string]string{ids[0]: "after", ids[1]: "after"}, b.names())
	})
}

// A circle of more records than one transaction may have waits as any refused record, and says so.
func TestAnExchangeThatIsTooLong(t *testing.T) {
	for name, size := range map[string]struct{ records, partitions int }{
		"records":    {maxExchange + 1, maxFences},
		"partitions": {maxFences + 1, maxFences + 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setupSpread(t, testkit.SQLite(t), size.partitions)
			b.e.Retry.Base, b.e.Retry.Cap = time.Hour, time.Hour
			ids := b.spread(size.records)
			b.rotated(ids)
			w := b.worker()
			b.flush(w)
			require.Positive(t, exchanged(w, b.e, exchangeTooLong))
			require.Zero(t, exchanged(w, b.e, exchangePersisted))
			require.EqualValues(t, size.records, b.stats().Held)
			held, err := b.backlog.Waiting(t.Context(), b.e, b.e.Partition(ids[0]), 0, 10)
			require.NoError(t, err)
			require.Contains(t, held[0].Refusal.Message, "more than 16, or in more than 8 partitions")
		})
	}
}

// Two workers flush the partitions of one circle at once: none waits for the other for ever, and the result is one.
func TestTwoWorkersExchangeTheSameValues(t *testing.T) {
	spread(t, 4, func(t *testing.T, b *bench) {
		ids := b.spread(4)
		for range 3 {
			b.rotated(ids)
			b.orders.take()
			var both sync.WaitGroup
			for n := range 2 {
				w := b.worker()
				both.Go(func() {
					for i := range 4 {
						o := schema.Order{Entity: b.e, Partition: (i*(1-2*n) + 4 + n) % 4} // in opposite orders
						_, _ = w.flush(t.Context(), o)
					}
				})
			}
			both.Wait()
			testkit.Eventually(t, "all are persisted", func() bool {
				b.drain(b.worker())
				return b.stats().Held == 0
			})
			b.requireRotated(ids)
		}
		if b.store.Dialect() == "postgres" {
			var n int
			require.NoError(t, testkit.SQL(t, b.db).QueryRow(
				"SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()").Scan(&n))
			require.Zero(t, n, "deadlocks")
		}
	})
}

// A record of the circle that is written between the search and the transaction is written as it is then, or the circle
// is open and waits.
func TestARecordIsWrittenDuringAnExchange(t *testing.T) {
	for name, email := range map[string]string{"another field": "0@x", "gives the circle up": "1@x", "free": "free@x"} {
		t.Run(name, func(t *testing.T) {
			spread(t, 2, func(t *testing.T, b *bench) {
				ids := b.spread(2)
				b.e.Retry.MaxAttempts = 1000
				b.rotated(ids)
				orders := b.orders.take()
				_, err := b.backlog.These(t.Context(), b.e, 0, nil, false) // Redis must know the script
				require.NoError(t, err)
				search := b.redis.Inject(testkit.HoldReply, testkit.Script(t, "these"), testkit.After(2))
				w := b.worker()
				done := make(chan error, 1)
				go func() {
					_, err := w.flush(t.Context(), schema.Order{Entity: b.e, Partition: b.e.Partition(ids[0])})
					done <- err
				}()
				<-search.Hit()
				b.mail(ids[1], "newer", email)
				search.Release()
				require.NoError(t, <-done)
				for _, o := range orders {
					_ = b.orders.Enqueue(t.Context(), o)
				}
				if email == "1@x" { // what the first wants stays where it is
					b.drain(w)
					require.Equal(t, map[string]string{ids[0]: "before", ids[1]: "newer"}, b.names())
					b.mail(ids[1], "newest", "0@x")
				}
				testkit.Eventually(t, "all are persisted", func() bool {
					b.drain(w)
					return b.stats().Held == 0 && b.stats().Dead == 0
				})
				b.quiet(0)
				rows, err := b.store.Load(t.Context(), b.e, ids)
				require.NoError(t, err)
				require.Equal(t, `"1@x"`, rows[ids[0]][1])
				require.NotEqual(t, `"before"`, rows[ids[1]][0])
			})
		})
	}
}

// Every step of an exchange fails once, without effect and with, and the process restarts.
func TestI2EveryStepOfAnExchangeMayFail(t *testing.T) {
	type injection = func(b *bench, m testkit.Mode) *testkit.Fault
	script := func(name string, after int) injection {
		return func(b *bench, m testkit.Mode) *testkit.Fault {
			return b.redis.Inject(m, testkit.Script(b.t, name), testkit.After(after))
		}
	}
	statement := func(match func(string) bool, after int) injection {
		return func(b *bench, m testkit.Mode) *testkit.Fault { return b.sql.Inject(m, match, testkit.After(after)) }
	}
	for step, inject := range map[string]injection{
		"search":       script("these", 0),
		"first fence":  statement(testkit.Lock, 1),
		"second fence": statement(testkit.Lock, 2),
		"first read":   script("these", 3),
		"second read":  script("these", 4),
		"first note":   script("turn", 1),
		"second note":  script("turn", 2),
		"park":         statement(testkit.Statement("UPDATE", "NULL"), 0),
		"commit":       statement(testkit.Commit, 0),
		"first ack":    script("ack", 0),
		"second ack":   script("ack", 1),
	} {
		for how, mode := range map[string]testkit.Mode{"not applied": testkit.Refuse, "applied": testkit.LoseReply} {
			t.Run(step+" "+how, func(t *testing.T) {
				spread(t, 2, func(t *testing.T, b *bench) {
					ids := b.spread(2)
					b.rotated(ids)
					// Redis must know the script, or it is one call more.
					_, err := b.backlog.These(t.Context(), b.e, 0, nil, false)
					require.NoError(t, err)
					fault := inject(b, mode)
					b.flush(b.worker())
					require.Equal(t, 1, fault.Hits())
					testkit.Eventually(t, "all are persisted", func() bool {
						b.drain(b.worker())
						return b.stats().Held == 0
					})
					b.requireRotated(ids)
				})
			})
		}
	}
}

// Values that are unique together, or among the rows that meet a condition, are exchanged, and those that another
// program made unique.
func TestUniqueKeysAreExchangedAcrossPartitions(t *testing.T) {
	t.Parallel()
	const gone = "2026-01-01T00:00:00Z"
	for name, test := range map[string]struct {
		change        func(e *schema.Entity)
		index         string // that another program makes
		before, after [2]schema.Fields
	}{
		"together": {change: func(e *schema.Entity) { e.Unique = [][]string{{"tenant", "no"}} },
			before: [2]schema.Fields{{"tenant": 1, "no": 1}, {"tenant": 2, "no": 1}},
			after:  [2]schema.Fields{{"tenant": 2, "no": 1}, {"tenant": 1, "no": 1}}},
		"among some": {change: func(e *schema.Entity) { e.Fields[0].UniqueWhere = "gone IS NULL" },
			before: [2]schema.Fields{{"email": "a"}, {"email": "b"}},
			after:  [2]schema.Fields{{"email": "b"}, {"email": "a"}}},
		"leaves the condition": {change: func(e *schema.Entity) { e.Fields[0].UniqueWhere = "gone IS NULL" },
			before: [2]schema.Fields{{"email": "a"}, {"email": "b"}},
			after:  [2]schema.Fields{{"email": "b"}, {"email": "b", "gone": gone}}},
		"of several indexes": {change: func(e *schema.Entity) { e.Unique = [][]string{{"tenant", "no"}} },
			before: [2]schema.Fields{{"email": "a", "tenant": 1, "no": 1}, {"email": "b", "tenant": 2, "no": 1}},
			after:  [2]schema.Fields{{"email": "b", "tenant": 2, "no": 1}, {"email": "a", "tenant": 1, "no": 1}}},
		"of another program's index": {index: "CREATE UNIQUE INDEX theirs ON members (no, tenant)",
			before: [2]schema.Fields{{"tenant": 1, "no": 1}, {"tenant": 2, "no": 1}},
			after:  [2]schema.Fields{{"tenant": 2, "no": 1}, {"tenant": 1, "no": 1}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			testkit.AllDatabases(t, func(t *testing.T, url string) {
				t.Parallel()
				e := &schema.Entity{Name: "member", Table: "members", Partitions: 2, Retry: quick, Fields: []schema.Field{
					{Name: "email", Type: schema.String, MaxLength: 40, Unique: true},
					{Name: "tenant", Type: schema.Int}, {Name: "no", Type: schema.Int}, {Name: "gone", Type: schema.Time}}}
				if test.change != nil {
					test.change(e)
				}
				require.NoError(t, e.Init())
				if e.Fields[0].UniqueWhere != "" && strings.HasPrefix(url, "mysql") {
					t.Skip(schema.NoPartialIndexes)
				}
				b := setupFor(t, url, testkit.SharedRedis(t).URL(), e)
				if test.index != "" {
					_, err := testkit.SQL(t, url).Exec(test.index)
					require.NoError(t, err)
				}
				put := func(id string, fields schema.Fields) {
					values, err := e.Whole(fields)
					require.NoError(t, err)
					b.write(cache.Write{Op: cache.OpPut, ID: id, Values: values})
				}
				ids := b.spread(2)
				for i, id := range ids {
					put(id, test.before[i])
				}
				b.drain(b.worker())
				b.quiet(0)
				for i, id := range ids {
					put(id, test.after[i])
				}
				w := b.worker()
				b.flush(w)
				b.quiet(0)
				require.Zero(t, b.stats().Dead)
				require.EqualValues(t, 1, exchanged(w, e, exchangePersisted))
				rows, err := b.store.Load(t.Context(), e, ids)
				require.NoError(t, err)
				for i, id := range ids {
					values, err := e.Whole(test.after[i])
					require.NoError(t, err)
					require.Equal(t, values, rows[id])
				}
			})
		})
	}
}

// An index with an expression cannot be searched for the owner: the refused record waits as any other.
func TestAnIndexWithAnExpressionIsUnknown(t *testing.T) {
	t.Parallel()
	for _, url := range []string{testkit.SQLite(t), testkit.Postgres(t).Database(t)} {
		b := setupSpread(t, url, 2)
		_, err := testkit.SQL(t, url).Exec("CREATE UNIQUE INDEX lowered ON users (lower(name))")
		require.NoError(t, err)
		ids := b.spread(2)
		b.mail(ids[0], "One", "1@x")
		b.mail(ids[1], "Two", "2@x")
		b.drain(b.worker())
		b.mail(ids[0], "two", "1@x")
		b.mail(ids[1], "one", "2@x")
		w := b.worker()
		b.flush(w)
		require.Positive(t, exchanged(w, b.e, exchangeUnknown))
		require.Equal(t, map[string]string{ids[0]: "One", ids[1]: "Two"}, b.names())
	}
}
