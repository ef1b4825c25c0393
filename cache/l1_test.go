package cache_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/cache"
	"github.com/afterwrite/afterwrite/internal/testkit"
	"github.com/afterwrite/afterwrite/internal/testkit/whole"
	"github.com/afterwrite/afterwrite/schema"
)

var inProcess = schema.L1{Bytes: 1 << 20, Age: time.Hour}

func TestL1OfRecords(t *testing.T) {
	b := setup(t, func(e *schema.Entity, _ *cache.Config) { e.Cache.L1 = inProcess })
	b.Table.Set("a", whole.Row("Ann", "1", "1"))
	warm := func() {
		t.Helper()
		testkit.Eventually(t, "the L1 answers", func() bool { return b.Got(t, "a").Source == cache.Local })
	}
	warm()
	b.Got(t, "a").Values[0] = "changed by its reader"
	assert.Equal(t, `"Ann"`, b.Got(t, "a").Values[0], "a reader's values are its own")
	b.Put(t, "a", "Bob")
	read := b.Got(t, "a")
	assert.Equal(t, `"Bob"`, read.Values[0], "a process reads its own write")
	assert.Equal(t, schema.Pending, read.Status)
	warm()
	b.Flush(t)
	testkit.Eventually(t, "the ack has arrived", func() bool { return b.Got(t, "a").Status == schema.Persisted })
	warm()
	other := b.Another(t)
	g := &cache.Group{Entity: b.E, Partition: b.E.Partition("a"),
		Writes: []cache.Write{{Op: cache.OpPut, ID: "a", Values: whole.Row("Cid", "1", "1")}}}
	other.Write(t.Context(), g)
	require.NoError(t, g.Results[0].Err)
	testkit.Eventually(t, "the write of another process has arrived",
		func() bool { return b.Got(t, "a").Values[0] == `"Cid"` })
	b.Flush(t)
	b.Table.Set("a", whole.Row("Dan", "1", "1"))
	warm()
	_, err := other.Invalidate(t.Context(), b.E, []string{"a"})
	require.NoError(t, err)
	testkit.Eventually(t, "the invalidation has arrived", func() bool { return b.Got(t, "a").Values[0] == `"Dan"` })
}

// An L1 forgets everything when its subscription breaks: what it missed meanwhile shows.
// TestL1HearsOfAPattern: a record that Redis has evicted and the L1 of a process still has is
// reached by an invalidation by pattern in another process.
func TestL1HearsOfAPattern(t *testing.T) {
	b := setup(t, func(e *schema.Entity, _ *cache.Config) { e.Cache.L1 = inProcess })
	other, err := cache.New(cache.Config{URL: testkit.SharedRedis(t).URL(), Prefix: b.Under, Loader: b.Table,
		Log: testkit.Logger(t)})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, other.Close()) })
	b.Table.Set("a", whole.Row("Ann", "1", "1"))
	testkit.Eventually(t, "the L1 has the record", func() bool {
		read, err := b.Get(t.Context(), b.E, "a")
		return err == nil && read.Source == cache.Local
	})
	keys, err := b.RDB.Keys(t.Context(), b.Under+":*}:r:a").Result()
	require.NoError(t, err)
	require.Len(t, keys, 1)
	require.NoError(t, b.RDB.Del(t.Context(), keys...).Err(), "as if it were evicted")
	b.Table.Set("a", whole.Row("Eve", "1", "1"))
	dropped, err := other.InvalidateMatch(t.Context(), b.E, "a*", nil)
	require.NoError(t, err)
	require.Zero(t, dropped)
	testkit.Eventually(t, "the L1 has dropped it", func() bool {
		read, err := b.Get(t.Context(), b.E, "a")
		return err == nil && read.Values[0] == `"Eve"`
	})
}
