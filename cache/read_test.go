package cache_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/cache"
	"github.com/afterwrite/afterwrite/internal/testkit"
	"github.com/afterwrite/afterwrite/internal/testkit/whole"
	"github.com/afterwrite/afterwrite/schema"
)

func TestGetFillsAndCachesAbsence(t *testing.T) {
	b := setup(t)
	b.Table.Set("a", whole.Row("Ann", "30", "0"))
	assert.Equal(t, cache.Filled, b.Got(t, "a").Source)
	read := b.Got(t, "a")
	assert.Equal(t, cache.Hit, read.Source)
	assert.Equal(t, schema.Persisted, read.Status)
	assert.InDelta(t, time.Hour, read.TTL, float64(time.Minute))

	assert.True(t, b.Got(t, "nobody").Deleted)
	read = b.Got(t, "nobody")
	assert.Equal(t, cache.Hit, read.Source)
	assert.True(t, read.Deleted)
	assert.LessOrEqual(t, read.TTL, 30*time.Second)
	assert.Equal(t, 2, b.Table.Loads)
}

func TestJitterSpreadsTheTTL(t *testing.T) {
	b := setup(t, func(e *schema.Entity, _ *cache.Config) { e.Cache.Jitter = 0.5 })
	lives := map[time.Duration]bool{}
	for i := range 20 {
		id := fmt.Sprint(i)
		b.Table.Set(id, whole.Row("x", "1", "1"))
		b.Got(t, id)
		life := b.Got(t, id).TTL
		assert.Greater(t, life, 29*time.Minute)
		lives[life.Round(time.Second)] = true
	}
	assert.Greater(t, len(lives), 10)
}

// A fill races a write: the row was read before the write, and must not overwrite it.
func TestI4FillRacingAWrite(t *testing.T) {
	for name, change := range map[string]func(t *testing.T, b *bundle){
		"put": func(t *testing.T, b *bundle) { b.Put(t, "a", "new") },
		"delete": func(t *testing.T, b *bundle) {
			require.NoError(t, b.Loading(t, cache.Write{Op: cache.OpDelete, ID: "a"}).Err)
		},
		"put, flush and eviction": func(t *testing.T, b *bundle) {
			b.Put(t, "a", "new")
			b.Flush(t)
			require.NoError(t, b.RDB.Del(t.Context(), b.RecordKey("a")).Err())
		},
		"invalidation": func(t *testing.T, b *bundle) {
			b.Table.Set("a", whole.Row("new", "30", "0"))
			_, err := b.Invalidate(t.Context(), b.E, []string{"a"})
			require.NoError(t, err)
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := setup(t)
			b.Table.Set("a", whole.Row("old", "30", "0"))
			b.Table.Hold, b.Table.Began = make(chan struct{}), make(chan struct{}, 8)
			done := make(chan cache.Read)
			go func() {
				read, err := b.Get(context.WithoutCancel(t.Context()), b.E, "a")
				assert.NoError(t, err)
				done <- read
			}()
			<-b.Table.Began
			b.Table.Mu.Lock()
			hold := b.Table.Hold
			b.Table.Hold, b.Table.Began = nil, nil
			b.Table.Mu.Unlock()
			change(t, b)
			close(hold)
			<-done
			read := b.Got(t, "a")
			if name == "delete" {
				assert.True(t, read.Deleted)
				return
			}
			assert.Equal(t, whole.Row("new", "30", "0"), read.Values)
		})
	}
}

func TestOneLoadForManyReaders(t *testing.T) {
	b := setup(t)
	b.Table.Set("a", whole.Row("Ann", "30", "0"))
	var wg sync.WaitGroup
	for range 500 {
		wg.Go(func() {
			read, err := b.Get(t.Context(), b.E, "a")
			assert.NoError(t, err)
			assert.Equal(t, whole.Row("Ann", "30", "0"), read.Values)
		})
	}
	wg.Wait()
	assert.Equal(t, 1, b.Table.Loads)
}

// A caller that gives up does not end the load for those who joined it.
func TestCancelledFirstCallerFailsNobody(t *testing.T) {
	b := setup(t)
	b.Table.Set("a", whole.Row("Ann", "30", "0"))
	b.Table.Hold, b.Table.Began = make(chan struct{}), make(chan struct{}, 8)
	ctx, cancel := context.WithCancel(t.Context())
	first := make(chan error)
	go func() {
		_, err := b.Get(ctx, b.E, "a")
		first <- err
	}()
	<-b.Table.Began
	second := make(chan cache.Read)
	go func() {
		read, err := b.Get(t.Context(), b.E, "a")
		assert.NoError(t, err)
		second <- read
	}()
	cancel()
	require.ErrorIs(t, <-first, context.Canceled)
	close(b.Table.Hold)
	assert.Equal(t, whole.Row("Ann", "30", "0"), (<-second).Values)
	assert.Equal(t, 1, b.Table.Loads)
}

func TestGetManyAnswersInOrder(t *testing.T) {
	b := setup(t)
	b.Put(t, "a", "Ann")
	b.Table.Set("c", whole.Row("Cid", "1", "1"))
	reads, err := b.GetMany(t.Context(), b.E, []string{"a", "b", "c", "a"})
	require.NoError(t, err)
	require.Len(t, reads, 4)
	assert.Equal(t, []cache.Source{cache.Hit, cache.Filled, cache.Filled, cache.Hit},
		[]cache.Source{reads[0].Source, reads[1].Source, reads[2].Source, reads[3].Source})
	assert.True(t, reads[1].Deleted)
	assert.Equal(t, `"Cid"`, reads[2].Values[0])
}

func TestRedisDownReadsTheDatabaseAndSaysSo(t *testing.T) {
	t.Parallel()
	server := testkit.Redis(t)
	rows := &whole.Table{Rows: map[string]schema.Values{"a": whole.Row("Ann", "30", "0")}}
	c, err := cache.New(cache.Config{URL: server.URL(), Loader: rows, Log: testkit.Logger(t)})
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Close() })
	b := &bundle{whole.Bundle{Redis: whole.Of(c), Table: rows}}
	b.E = &schema.Entity{Name: "user", Fields: []schema.Field{{Name: "name", Type: schema.String},
		{Name: "age", Type: schema.Int}, {Name: "count", Type: schema.Int}}}
	require.NoError(t, b.E.Init())
	b.Put(t, "b", "Bob")
	server.Kill()
	assert.Equal(t, cache.Bypass, b.Got(t, "a").Source)
	many, err := c.GetMany(t.Context(), b.E, []string{"a", "x"})
	require.NoError(t, err)
	assert.Equal(t, cache.Bypass, many[1].Source)
	got, _ := b.Send(t, cache.Write{Op: cache.OpPut, ID: "a", Values: whole.Row("x", "1", "1")})
	require.ErrorIs(t, got.Err, schema.ErrUnavailable)
	server.Start()
	testkit.Eventually(t, "reads and writes are back", func() bool {
		got, _ := b.Send(t, cache.Write{Op: cache.OpPut, ID: "a", Values: whole.Row("x", "1", "1")})
		read, err := c.Get(t.Context(), b.E, "b")
		return got.Err == nil && err == nil && read.Source == cache.Hit
	})
}

func TestStatusTellsTheWholeStory(t *testing.T) {
	b := setup(t)
	state, err := b.Status(t.Context(), b.E, "a")
	require.NoError(t, err)
	assert.False(t, state.Cached)
	version := b.Put(t, "a", "Ann")
	state, err = b.Status(t.Context(), b.E, "a")
	require.NoError(t, err)
	assert.Equal(t, schema.Pending, state.Record.Status)
	assert.False(t, state.PendingSince.IsZero())
	b.HoldAll(t, time.Hour)
	state, err = b.Status(t.Context(), b.E, "a")
	require.NoError(t, err)
	assert.Equal(t, schema.Held, state.Record.Status)
	assert.Equal(t, version, state.Record.Version)
	assert.Equal(t, 1, state.Attempts)
	assert.Equal(t, schema.KindUnique, state.Refusal.Kind)
	assert.WithinDuration(t, time.Now().Add(time.Hour), state.NextAttempt, time.Minute)
}

func TestInvalidateMatchSparesWhatIsNotPersisted(t *testing.T) {
	b := setup(t)
	for i := range 30 {
		b.Put(t, fmt.Sprintf("x*%d", i), "x")
		b.Put(t, fmt.Sprintf("y%d", i), "y")
	}
	b.Flush(t)
	b.Put(t, "x*1", "pending")
	n, err := b.InvalidateMatch(t.Context(), b.E, `x\**`, nil)
	require.NoError(t, err)
	assert.Equal(t, 29, n)
	assert.Equal(t, cache.Hit, b.Got(t, "x*1").Source)
	assert.Equal(t, cache.Filled, b.Got(t, "x*2").Source)
	assert.Equal(t, cache.Hit, b.Got(t, "y2").Source)
}

func TestWalkFindsEveryCachedRecord(t *testing.T) {
	b := setup(t)
	want := map[string]schema.Status{}
	for i := range 1200 {
		id := fmt.Sprint(i)
		b.Put(t, id, "x")
		want[id] = schema.Persisted
	}
	for i := 0; i < 20; i++ {
		b.Flush(t)
	}
	b.Put(t, "7", "again")
	want["7"] = schema.Pending
	found := map[string]schema.Status{}
	require.NoError(t, b.Walk(t.Context(), b.E, 64, func(r schema.Cached) error {
		found[r.ID] = r.Status
		assert.Equal(t, r.Status == schema.Pending, r.Pending)
		assert.Equal(t, r.Status == schema.Persisted, r.Expires)
		return nil
	}))
	assert.Equal(t, want, found)
}

// A loader of another program that gives too few values is told of, and nothing is cached.
func TestLoaderWithOtherValues(t *testing.T) {
	b := setup(t)
	b.Table.Rows["1"] = schema.Values{`"Ada"`}
	for range 2 {
		_, err := b.Get(t.Context(), b.E, "1")
		require.ErrorContains(t, err, `gave "1" 1 values for 3 fields`)
	}
	_, err := b.GetMany(t.Context(), b.E, []string{"1", "2"})
	require.ErrorContains(t, err, "values for 3 fields")
	b.Table.Rows["1"] = schema.Values{`"Ada"`, "36", "0"}
	read, err := b.Get(t.Context(), b.E, "1")
	require.NoError(t, err)
	require.Equal(t, schema.Values{`"Ada"`, "36", "0"}, read.Values)
}

func TestNewRefusesWhatIsNegative(t *testing.T) {
	t.Parallel()
	for _, cfg := range []cache.Config{{PoolSize: -1}, {Lease: -1}, {Timeout: -1}, {KeptOps: -1}, {OpAge: -1},
		{KeptTags: -1}, {FlagMargin: -1}} {
		cfg.URL = "redis://127.0.0.1:1"
		_, err := cache.New(cfg)
		require.ErrorContains(t, err, "negative")
	}
}
