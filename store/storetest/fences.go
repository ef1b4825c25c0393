package storetest

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/schema"
	"github.com/afterwrite/afterwrite/store"
	"github.com/afterwrite/afterwrite/store/fault"
	"github.com/afterwrite/afterwrite/store/ledger"
)

func rollback(t *testing.T, b *bench) {
	e := account(b)
	l := b.migrated(e)
	f, err := l.Begin(t.Context(), e, 0)
	require.NoError(t, err)
	_, err = f.Write(t.Context(), []schema.Change{put("a", `"a"`, "1")})
	require.NoError(t, err)
	f.Rollback()
	require.Empty(t, b.load(l, e, "a"))
	b.flush(l, e, put("a", `"a"`, "2"))
}

func fence(t *testing.T, b *bench) {
	e := account(b)
	stores := []*ledger.Ledger{b.migrated(e), b.open(e)}
	const flushers, times = 4, 8
	var wait sync.WaitGroup
	var state atomic.Int64 // read and then stored: only the fence keeps it whole
	for n := range flushers {
		wait.Go(func() {
			for done := 0; done < times; {
				f, err := stores[n%2].Begin(t.Context(), e, 0)
				if err != nil {
					continue // a wait that took too long
				}
				next := state.Load() + 1
				if n == 0 {
					time.Sleep(time.Millisecond) // others would pass a lock that does not hold
				}
				if _, err = f.Write(t.Context(), []schema.Change{put("a", "null",
					strconv.FormatInt(next, 10))}); err == nil {
					state.Store(next)
					err = f.Commit(t.Context())
				}
				f.Rollback()
				if err != nil {
					t.Error(err)
				}
				done++
			}
		})
	}
	wait.Wait()
	require.EqualValues(t, flushers*times, state.Load(), "an addition was lost")
	require.Equal(t, schema.Values{"null", strconv.Itoa(flushers * times)}, b.load(stores[0], e, "a")["a"])
}

func frozenHolder(t *testing.T, b *bench) {
	e := account(b)
	short := func(c *store.Config) {
		c.LockTimeout, c.IdleInTransaction = 2*time.Second, time.Second
	}
	frozen := b.openWith(short, e)
	_, err := frozen.Migrate(t.Context(), false)
	require.NoError(t, err)
	f, err := frozen.Begin(t.Context(), e, 0)
	require.NoError(t, err)
	defer f.Rollback()
	other := b.openWith(short, e)
	b.eventually("the fence is free", func() bool {
		_, err := try(t.Context(), other, e, []schema.Change{put("a", `"a"`, "2")})
		return err == nil
	})
	_, err = f.Write(t.Context(), []schema.Change{put("a", `"a"`, "1")})
	require.True(t, fault.Unavailable(err), "%v", err)
	require.Equal(t, schema.Values{`"a"`, "2"}, b.load(other, e, "a")["a"])
}

func wideBatch(t *testing.T, b *bench) {
	var fields []schema.Field
	for i := range 60 {
		fields = append(fields, schema.Field{Name: fmt.Sprintf("f%d", i), Type: schema.Int})
	}
	e := b.entity(schema.Int, fields...)
	l := b.migrated(e)
	for turn := range 2 {
		var changes []schema.Change
		for i := range 2000 {
			values := make(schema.Values, len(fields))
			for j := range values {
				values[j] = strconv.Itoa(i*j + turn)
			}
			changes = append(changes, put(strconv.Itoa(i), values...))
		}
		require.Empty(t, b.flush(l, e, changes...).Refused)
		require.Equal(t, changes[1234].Values, b.load(l, e, "1234")["1234"])
	}
}

func endedContext(t *testing.T, b *bench) {
	e := account(b)
	l := b.migrated(e)
	ctx, cancel := context.WithCancel(t.Context())
	f, err := l.Begin(ctx, e, 0)
	require.NoError(t, err)
	defer f.Rollback()
	cancel()
	_, err = f.Write(ctx, []schema.Change{put("a", `"a"`, "1")})
	if err == nil {
		err = f.Commit(ctx)
	}
	require.True(t, fault.Unavailable(err), "%v", err)
	require.Empty(t, b.load(l, e, "a"))
	b.flush(l, e, put("a", `"a"`, "1"))
}

func missingTable(t *testing.T, b *bench) {
	b.migrated(account(b))
	e := account(b) // its table is not made
	_, err := try(t.Context(), b.open(e), e, []schema.Change{put("a", `"a"`, "1")})
	require.True(t, fault.Unavailable(err), "%v", err)
	require.ErrorIs(t, err, fault.ErrNotMigrated)
}
