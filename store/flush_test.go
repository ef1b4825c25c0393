package store_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/internal/testkit"
	"github.com/afterwrite/afterwrite/schema"
	"github.com/afterwrite/afterwrite/store"
	"github.com/afterwrite/afterwrite/store/fault"
)

// TestI3SecondFlusherReadsAfterFirstCommits: the fence is locked before the read, so
// the second flusher of a partition sees the world as the first has left it.
func TestI3SecondFlusherReadsAfterFirstCommits(t *testing.T) {
	onEach(t, func(t *testing.T, url string) {
		e := account(t)
		first, second := setup(t, url, []*schema.Entity{e}), open(t, url, []*schema.Entity{e})
		reading, goOn := make(chan struct{}), make(chan struct{})
		var wait sync.WaitGroup
		wait.Go(func() {
			_, err := first.Flush(t.Context(), e, 0, func(context.Context) ([]schema.Change, error) {
				close(reading)
				<-goOn
				return []schema.Change{put("a", email(1), "1")}, nil
			})
			require.NoError(t, err)
		})
		<-reading
		locking := second.faults.Inject(testkit.Hold, testkit.AnyStatement)
		var seen map[string]schema.Values
		wait.Go(func() {
			_, err := second.Flush(t.Context(), e, 0, func(ctx context.Context) ([]schema.Change, error) {
				seen, _ = first.Load(ctx, e, []string{"a"})
				return []schema.Change{put("a", email(1), "2")}, nil
			})
			require.NoError(t, err)
		})
		<-locking.Hit()
		locking.Release()
		close(goOn)
		wait.Wait()
		require.Equal(t, schema.Values{email(1), "1"}, seen["a"])
		require.Equal(t, schema.Values{email(1), "2"}, second.load(e, "a")["a"])
	})
}

// TestI3Counter: flushers that each read, add one and write, all at once, on as many
// connections and stores, lose no addition.
func TestI3Counter(t *testing.T) {
	onEach(t, func(t *testing.T, url string) {
		e := account(t)
		stores := []*bench{setup(t, url, []*schema.Entity{e}), open(t, url, []*schema.Entity{e})}
		const flushers, times = 6, 10
		var wait sync.WaitGroup
		var state atomic.Int64 // read and then stored: only the fence keeps it whole
		for n := range flushers {
			wait.Go(func() {
				for range times {
					_, err := stores[n%2].Flush(t.Context(), e, 3, func(context.Context) ([]schema.Change, error) {
						state.Store(state.Load() + 1)
						return []schema.Change{put("a", "null", strconv.FormatInt(state.Load(), 10))}, nil
					})
					if err != nil {
						t.Error(err)
					}
				}
			})
		}
		wait.Wait()
		require.EqualValues(t, flushers*times, state.Load())
		require.Equal(t, strconv.FormatInt(state.Load(), 10), stores[0].load(e, "a")["a"][1])
	})
}

// TestFlushFaults fails each step of a flush, applied or not. Whatever happens, the
// error is of the database, and the next flush makes it whole.
func TestFlushFaults(t *testing.T) {
	steps := map[string]func(string) bool{
		"connect":   testkit.Connect,
		"begin":     testkit.Begin,
		"lock":      testkit.Lock,
		"savepoint": testkit.Statement("savepoint"),
		"delete":    testkit.Statement("delete from"),
		"upsert":    testkit.Statement("insert into", "accounts"),
		"commit":    testkit.Commit,
	}
	modes := map[string]testkit.Mode{"refused": testkit.Refuse, "vanished": testkit.Vanish,
		"reply lost": testkit.LoseReply}
	onEach(t, func(t *testing.T, url string) {
		e := account(t)
		setup(t, url, []*schema.Entity{e}).flush(e, put("old", email(-1), "1"))
		for step, match := range steps {
			for mode, injected := range modes {
				b := open(t, url, []*schema.Entity{e})
				b.faults.Inject(injected, match)
				read := batch(append(accounts(3), del("old"))...)
				_, err := b.Flush(t.Context(), e, 0, read)
				require.Error(t, err, "%s %s", step, mode)
				require.True(t, fault.Unavailable(err), "%s %s: %v", step, mode, err)
				require.ErrorIs(t, err, schema.ErrDatabaseUnavailable)
				if step != "commit" {
					require.Empty(t, b.load(e, "u0000", "u0001", "u0002"), "%s %s", step, mode)
				}
				flushed, err := b.Flush(t.Context(), e, 0, read)
				require.NoError(t, err, "%s %s", step, mode)
				require.Len(t, flushed.Persisted, 4)
				require.Len(t, b.load(e, "u0000", "u0001", "u0002", "old"), 3)
				b.flush(e, put("old", email(-1), "1"), del("u0000"), del("u0001"), del("u0002"))
			}
		}
	})
}

var errRead = errors.New("the cache is down")

func TestReadErrorIsReturned(t *testing.T) {
	onEach(t, func(t *testing.T, url string) {
		e := account(t)
		b := setup(t, url, []*schema.Entity{e})
		_, err := b.Flush(t.Context(), e, 0, func(context.Context) ([]schema.Change, error) { return nil, errRead })
		require.ErrorIs(t, err, errRead)
		require.False(t, fault.Unavailable(err))
		flushed, err := b.Flush(t.Context(), e, 0, batch())
		require.NoError(t, err)
		require.Zero(t, flushed)
		b.flush(e, accounts(1)...)
	})
}

// TestTimeouts: a lock that is held and a frozen flusher are the database's trouble; but for SQLite, it frees the lock
// of the frozen one.
func TestTimeouts(t *testing.T) {
	onEach(t, func(t *testing.T, url string) {
		e := account(t)
		other := setup(t, url, []*schema.Entity{e},
			func(c *store.Config) { c.LockTimeout, c.BusyTimeout = 300*time.Millisecond, 300*time.Millisecond })
		// freeze begins a flush, and returns what ends it.
		freeze := func(options ...option) (thaw func() error) {
			frozen := open(t, url, []*schema.Entity{e}, options...)
			reading, goOn, woken := make(chan struct{}), make(chan struct{}), make(chan error, 1)
			go func() {
				_, err := frozen.Flush(t.Context(), e, 0, func(context.Context) ([]schema.Change, error) {
					close(reading)
					<-goOn
					return []schema.Change{put("a", email(1), "1")}, nil
				})
				woken <- err
			}()
			<-reading
			return func() error { close(goOn); return <-woken }
		}
		thaw := freeze()
		_, err := other.Flush(t.Context(), e, 0, batch(put("a", email(1), "2")))
		require.True(t, fault.Unavailable(err), "%v", err)
		require.NoError(t, thaw())
		other.flush(e, put("a", email(1), "2"))
		if other.Dialect() == "sqlite" {
			return
		}
		thaw = freeze(func(c *store.Config) { c.IdleInTransaction = 2 * time.Second })
		testkit.Eventually(t, "the frozen flusher's lock is free", func() bool {
			_, err := other.Flush(t.Context(), e, 0, batch(put("a", email(1), "3")))
			return err == nil
		})
		err = thaw()
		require.True(t, fault.Unavailable(err), "%v", err)
		require.Equal(t, schema.Values{email(1), "3"}, other.load(e, "a")["a"])
	})
}

func TestContextEnds(t *testing.T) {
	onEach(t, func(t *testing.T, url string) {
		e := account(t)
		b := setup(t, url, []*schema.Entity{e})
		ctx, cancel := context.WithCancel(t.Context())
		_, err := b.Flush(ctx, e, 0, func(context.Context) ([]schema.Change, error) {
			cancel()
			return accounts(2), nil
		})
		require.True(t, fault.Unavailable(err), "%v", err)
		require.ErrorIs(t, err, context.Canceled)
		require.Empty(t, b.load(e, "u0000"))
		b.flush(e, accounts(2)...)
	})
}

// TestStatementLimits: more rows and ids than one statement takes, and very many
// columns.
func TestStatementLimits(t *testing.T) {
	onEach(t, func(t *testing.T, url string) {
		var fields []schema.Field
		for i := range 500 {
			fields = append(fields, schema.Field{Name: fmt.Sprintf("f%d", i), Type: schema.Int})
		}
		wide := entity(t, "wide", schema.Int, fields...)
		b := setup(t, url, []*schema.Entity{wide, account(t)})
		var changes []schema.Change
		for i := range 300 {
			values := nulls(wide)
			values[i] = strconv.Itoa(i)
			changes = append(changes, put(strconv.Itoa(i), values...))
		}
		b.flush(wide, changes...)
		require.Len(t, b.load(wide, ids(changes)...), 300)

		e, many := account(t), accounts(12_000)
		b.flush(e, many...)
		require.Len(t, b.load(e, ids(many)...), 12_000)
		for i := range many {
			many[i].Deleted, many[i].Values = true, nil
		}
		b.flush(e, many...)
		require.Empty(t, b.load(e, ids(many)...))
	})
}

// TestI8Ids: ids keep every character, and order by bytes.
func TestI8Ids(t *testing.T) {
	onEach(t, func(t *testing.T, url string) {
		e := account(t)
		b := setup(t, url, []*schema.Entity{e})
		odd := []string{"A", "a", "a ", " a", "é", "e\u0301", "日本", "\n", "%", "_", "'", `"`, "`", `\`, ";--", "?",
			"$1", "{x}", "a/b", "a:b", "*", "[a]", "🜁", "null", "0", "00", strings.Repeat("x", 255), "\x01", "ß", "SS"}
		var changes []schema.Change
		for i, id := range odd {
			changes = append(changes, put(id, email(i), strconv.Itoa(i)))
		}
		b.flush(e, changes...)
		rows := b.load(e, odd...)
		require.Len(t, rows, len(odd))
		for i, id := range odd {
			require.Equal(t, schema.Values{email(i), strconv.Itoa(i)}, rows[id], "%q", id)
		}
		var listed []string
		for after := ""; ; {
			page, err := b.List(t.Context(), e, store.Query{After: after, Limit: 7})
			require.NoError(t, err)
			for _, row := range page {
				require.Greater(t, row.ID, after)
				after = row.ID
				listed = append(listed, row.ID)
			}
			if len(page) < 7 {
				break
			}
		}
		require.ElementsMatch(t, odd, listed)
		b.flush(e, del("A"), del("%"))
		require.Len(t, b.load(e, odd...), len(odd)-2)
	})
}

func TestTypedIDs(t *testing.T) {
	onEach(t, func(t *testing.T, url string) {
		ints := entity(t, "number", schema.Int, schema.Field{Name: "n", Type: schema.Int})
		uuids := entity(t, "thing", schema.UUID, schema.Field{Name: "n", Type: schema.Int})
		b := setup(t, url, []*schema.Entity{ints, uuids})
		sorted := []string{"-9223372036854775808", "-1", "0", "2", "10", "9223372036854775807"}
		var changes []schema.Change
		for _, id := range sorted {
			changes = append(changes, put(id, id))
		}
		b.flush(ints, changes...)
		rows, err := b.List(t.Context(), ints, store.Query{})
		require.NoError(t, err)
		for i, row := range rows {
			require.Equal(t, sorted[i], row.ID)
			require.Equal(t, schema.Values{sorted[i]}, row.Values)
		}
		page, err := b.List(t.Context(), ints, store.Query{After: "0", Limit: 2})
		require.NoError(t, err)
		require.Equal(t, []string{"2", "10"}, []string{page[0].ID, page[1].ID})

		id := "018f4e7a-3b5c-7d2e-9f10-1a2b3c4d5e6f"
		b.flush(uuids, put(id, "1"))
		require.Equal(t, schema.Values{"1"}, b.load(uuids, id)[id])
	})
}

// TestListFilters finds each exact value of each type.
func TestListFilters(t *testing.T) {
	onEach(t, func(t *testing.T, url string) {
		e := everything(t)
		b := setup(t, url, []*schema.Entity{e})
		values := nulls(e)
		for i, f := range e.Fields {
			values[i], _ = f.Canonical(rawJSON(exact[f.Type][1]))
		}
		b.flush(e, put("full", values...), put("empty", nulls(e)...))
		for i, f := range e.Fields {
			rows, err := b.List(t.Context(), e, store.Query{Equal: map[int]string{i: values[i]}})
			require.NoError(t, err, f.Name)
			require.Len(t, rows, 1, f.Name)
			require.Equal(t, "full", rows[0].ID)
			rows, err = b.List(t.Context(), e, store.Query{Equal: map[int]string{i: schema.Null}})
			require.NoError(t, err)
			require.Equal(t, "empty", rows[0].ID)
		}
	})
}

// TestDatabaseDown: an unreachable server is unavailable, and found by Ping, not Open.
func TestDatabaseDown(t *testing.T) {
	t.Parallel()
	e := account(t)
	b := open(t, "postgres://nobody:secret@127.0.0.1:1/none?sslmode=disable", []*schema.Entity{e})
	err := b.Ping(t.Context())
	require.True(t, fault.Unavailable(err))
	require.NotContains(t, err.Error(), "secret")
	_, err = b.Flush(t.Context(), e, 0, batch())
	require.True(t, fault.Unavailable(err))
	_, err = b.Load(t.Context(), e, []string{"a"})
	require.True(t, fault.Unavailable(err))
}

func TestBadConfig(t *testing.T) {
	t.Parallel()
	for _, url := range []string{"", "file.db", "mysql://x", "mysql://u:p@h/d?parseTime=false", "oracle://x/y",
		"sqlite://", "postgres://a:b@c:notaport/d"} {
		_, err := store.Open(store.Config{URL: url}, nil)
		require.Error(t, err, url)
	}
	// pgx takes what follows the first @ for the host, which errors and logs show.
	for _, url := range []string{"postgres://u:p@hunter2@h/d", "postgres://u:p@hunter2@h,h2:1/d",
		"postgresql://u:a@b@hunter2@127.0.0.1:1/d"} {
		require.ErrorContains(t, store.CheckURL(url), "%40")
		require.NotContains(t, store.CheckURL(url).Error(), "hunter2")
		_, err := store.Open(store.Config{URL: url}, nil)
		require.ErrorContains(t, err, "%40")
		require.NotContains(t, err.Error(), "hunter2")
	}
	for url, want := range map[string]string{
		"postgres://u:12#hunter2@h/d":                         "%23",
		"postgres://u:hunter2@h/d?sslmode=disable#x":          "%23",
		"postgres://u:hunter2@h/d?sslmode=a&sslmode=require":  "option sslmode is given twice",
		"mysql://u:hunter2@h/d?tls=false&timeout=1s&tls=true": "option tls is given twice",
	} {
		require.ErrorContains(t, store.CheckURL(url), want)
		require.NotContains(t, store.CheckURL(url).Error(), "hunter2")
		_, err := store.Open(store.Config{URL: url}, nil)
		require.ErrorContains(t, err, want)
	}
	require.NoError(t, store.CheckURL("postgres://u:p%23x@h/d?sslmode=disable&connect_timeout=3"))
	require.NoError(t, store.CheckURL("postgres://u:p%40x@h/d"))
	require.NoError(t, store.CheckURL("postgres:///d?host=/run/@x"))
	_, err := store.Open(store.Config{URL: "sqlite://x.db"}, []*schema.Entity{{Name: "user"}})
	require.ErrorContains(t, err, "call its Init")
}

// The fences of several partitions are locked in ascending order, whatever order they are named in: a transaction that
// waits for one holds none that is above it.
func TestFencesAreLockedInAscendingOrder(t *testing.T) {
	t.Parallel()
	e := account(t)
	url := testkit.Postgres(t).Database(t)
	b := setup(t, url, []*schema.Entity{e})
	first, err := b.Begin(t.Context(), e, 0)
	require.NoError(t, err)
	defer first.Rollback()
	locked := make(chan error, 1)
	go func() {
		f, err := b.Together(t.Context(), e, []int{2, 0, 1})
		if err == nil && len(f.All()) != 3 {
			err = errors.New("not all fences")
		}
		f.Rollback()
		locked <- err
	}()
	testkit.Eventually(t, "a transaction waits for the fence", func() bool {
		var n int
		require.NoError(t, testkit.SQL(t, url).QueryRow(`SELECT count(*) FROM pg_locks l JOIN pg_database d ON d.oid = l.database
			OR l.database IS NULL WHERE d.datname = current_database() AND NOT granted`).Scan(&n))
		return n > 0
	})
	for _, partition := range []int{1, 2} {
		other, err := b.Begin(t.Context(), e, partition)
		require.NoError(t, err, "nothing holds the others")
		other.Rollback()
	}
	first.Rollback()
	require.NoError(t, <-locked)
}
