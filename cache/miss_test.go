package cache_test

import (
	"context"
	"errors"
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

func withTrips(t *testing.T) (*bundle, *whole.Trips) {
	t.Helper()
	h := &whole.Trips{}
	return setup(t, func(_ *schema.Entity, c *cache.Config) {
		c.Hooks, c.Lease = append(c.Hooks, h), time.Hour
	}), h
}

// missOften reads so many records that are not cached that misses are expected.
func missOften(t *testing.T, b *bundle) {
	t.Helper()
	for i := range 40 {
		b.Got(t, fmt.Sprint("cold", i))
	}
}

// A look takes the lease in its own trip where records are often not cached.
func TestAMissTakesTwoTrips(t *testing.T) {
	b, h := withTrips(t)
	missOften(t, b)
	b.Table.Set("a", whole.Row("Ann", "30", "0"))
	require.EqualValues(t, 2, h.Of(func() { assert.Equal(t, cache.Filled, b.Got(t, "a").Source) }))
	for range 200 {
		require.EqualValues(t, 1, h.Of(func() { assert.Equal(t, cache.Hit, b.Got(t, "a").Source) }))
	}
	require.EqualValues(t, 3, h.Of(func() { b.Got(t, "b") }), "hits are expected again, and cost Redis least")
}

// Concurrent callers of records that are not cached load each once, however they look.
func TestOneLoadForManyLooks(t *testing.T) {
	b, _ := withTrips(t)
	missOften(t, b)
	before := b.Table.Loads
	var all sync.WaitGroup
	for caller := range 60 {
		all.Go(func() {
			id := fmt.Sprint("x", caller%3)
			read, err := b.Get(t.Context(), b.E, id)
			assert.NoError(t, err)
			assert.Equal(t, id, read.ID)
			assert.Contains(t, []cache.Source{cache.Filled, cache.Hit}, read.Source)
		})
	}
	all.Wait()
	require.Equal(t, before+3, b.Table.Loads)
}

// GetMany of records that are not cached is one query and three trips.
func TestGetManyOfColdRecords(t *testing.T) {
	b, h := withTrips(t)
	b.Got(t, "warm") // the scripts are known
	var ids []string
	for i := range 200 {
		id := fmt.Sprint("u", i)
		ids = append(ids, id)
		if i%2 == 0 {
			b.Table.Set(id, whole.Row(id, "1", "0"))
		}
	}
	ids = append(ids, "u7", "u8") // twice
	before := b.Table.Loads
	var reads []cache.Read
	var err error
	require.EqualValues(t, 3, h.Of(func() { reads, err = b.GetMany(t.Context(), b.E, ids) }))
	require.NoError(t, err)
	require.Equal(t, before+1, b.Table.Loads)
	for i, read := range reads {
		require.Equal(t, ids[i], read.ID)
		require.Equal(t, cache.Filled, read.Source)
	}
	require.False(t, reads[0].Deleted)
	require.True(t, reads[1].Deleted)
	require.EqualValues(t, 1, h.Of(func() { reads, err = b.GetMany(t.Context(), b.E, ids) }))
	require.NoError(t, err)
	for _, read := range reads {
		require.Equal(t, cache.Hit, read.Source)
	}
}

// GetMany waits for a record that another caller loads, and loads the rest meanwhile.
func TestGetManyWaitsForTheLoadsOfOthers(t *testing.T) {
	b, _ := withTrips(t)
	b.Table.Set("a", whole.Row("Ann", "1", "0"))
	b.Table.Hold, b.Table.Began = make(chan struct{}), make(chan struct{}, 8)
	var all sync.WaitGroup
	all.Go(func() { b.Got(t, "a") })
	<-b.Table.Began
	all.Go(func() {
		reads, err := b.GetMany(context.WithoutCancel(t.Context()), b.E, []string{"a", "b"})
		assert.NoError(t, err)
		assert.Equal(t, "a", reads[0].ID)
		assert.Equal(t, "b", reads[1].ID)
	})
	<-b.Table.Began // that of b
	close(b.Table.Hold)
	all.Wait()
	require.Equal(t, 2, b.Table.Loads)
}

// failing is a loader that fails.
type failing struct{}

func (failing) Load(context.Context, *schema.Entity, []string) (map[string]schema.Values, error) {
	return nil, errors.New("no database")
}

// A load that fails leaves no lease behind, for which others would wait.
func TestAFailedLoadGivesItsLeaseBack(t *testing.T) {
	b := setup(t, func(_ *schema.Entity, c *cache.Config) { c.Loader = failing{} })
	_, err := b.Get(t.Context(), b.E, "a")
	require.ErrorIs(t, err, schema.ErrDatabaseUnavailable)
	_, err = b.GetMany(t.Context(), b.E, []string{"a", "b"})
	require.ErrorIs(t, err, schema.ErrDatabaseUnavailable)
	for _, id := range []string{"a", "b"} {
		n, err := b.RDB.Exists(t.Context(), b.RecordKey(id)).Result()
		require.NoError(t, err)
		require.Zero(t, n, id)
	}
}

// A caller that has gone when its look was answered leaves no lease behind.
func TestACallerThatHasGoneGivesItsLeaseBack(t *testing.T) {
	b, h := withTrips(t)
	missOften(t, b)
	ctx, cancel := context.WithCancel(t.Context())
	h.Gone.Store(&cancel)
	_, err := b.Get(ctx, b.E, "a")
	require.ErrorIs(t, err, context.Canceled)
	testkit.Eventually(t, "the lease is gone", func() bool {
		return b.RDB.Exists(t.Context(), b.RecordKey("a")).Val() == 0
	})
}
