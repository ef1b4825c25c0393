package cache_test

import (
	"strconv"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/cache"
	kept "github.com/afterwrite/afterwrite/cache/values"
	"github.com/afterwrite/afterwrite/internal/testkit"
	"github.com/afterwrite/afterwrite/internal/testkit/whole"
)

func TestBigFindsTheLargestAndSumsByOwner(t *testing.T) {
	b := setup(t)
	v := group(t, b, kept.Policy{Group: "page", CompressAbove: -1})
	require.NoError(t, v.Set(t.Context(), "long", strings.Repeat("x", 50_000)))
	require.NoError(t, v.Set(t.Context(), "short", "x"))
	// One large field among others; the server looks at five of them unless it is told to.
	b.RDB.HSet(t.Context(), b.Under+":{user/0}:r:wide", "_v", "1", "a", "1", "b", "1", "c", "1", "d", "1", "e", "1",
		"f", "1", "g", "1", "h", strings.Repeat("x", 40_000))
	for _, id := range []string{"a", "b", "c"} {
		b.Put(t, id, "x")
	}
	u, err := b.Big(t.Context(), 10_000, 2)
	require.NoError(t, err)
	assert.True(t, u.Whole)
	assert.False(t, u.Estimate)
	require.Len(t, u.Largest, 2)
	assert.Equal(t, b.Under+":v:{page:long}", u.Largest[0].Key)
	assert.Equal(t, b.Under+":{user/0}:r:wide", u.Largest[1].Key)
	assert.InDelta(t, 40_000, u.Largest[1].Bytes, 10_000)
	keys := map[string]int{}
	for _, s := range u.Groups {
		keys[s.Name] = s.Keys
	}
	assert.Equal(t, 2, keys["values page"])
	assert.Equal(t, 4, keys["entity user"])
	assert.Equal(t, "none", u.Lives[0].Name)
	assert.GreaterOrEqual(t, u.Lives[0].Keys, 3, "what is pending stays")
	total := 0
	for _, s := range u.Lives {
		total += s.Keys
	}
	assert.Equal(t, u.Sampled, total)
	u, err = b.Big(t.Context(), 2, 10)
	require.NoError(t, err)
	assert.Equal(t, 2, u.Sampled)
	assert.False(t, u.Whole)
	_, allowed, err := b.SlowCommands(t.Context(), 10)
	require.NoError(t, err)
	assert.True(t, allowed)
}

func TestBigWhereMemoryIsBarred(t *testing.T) {
	t.Parallel()
	server := testkit.Redis(t)
	rdb := server.Client(t)
	require.NoError(t, rdb.Do(t.Context(), "ACL", "SETUSER", "small", "on", ">secret", "~*", "&*", "+@all", "-memory",
		"-slowlog", "-config").Err())
	c, err := cache.New(cache.Config{URL: "redis://small:secret@" + server.Addr() + "/0", Log: testkit.Logger(t)})
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Close() })
	v := group(t, c, kept.Policy{Group: "page", CompressAbove: -1})
	require.NoError(t, v.Set(t.Context(), "long", strings.Repeat("xyz", 500)))
	rdb.HSet(t.Context(), "aw:{user/0}:r:1", "_v", "1", "a", "1", "b", "1", "c", "1", "d", "1", "e", "1", "f",
		strings.Repeat("x", 50_000))
	rdb.ZAdd(t.Context(), "aw:{user/0}:pending", redis.Z{Member: "12345678"})
	rdb.SAdd(t.Context(), "aw:{user/0}:rankUnsure", "12345678")
	rdb.XAdd(t.Context(), &redis.XAddArgs{Stream: "aw:{user/0}:stream",
		Values: []string{"e", strings.Repeat("x", 900)}})
	u, err := whole.Of(c).Big(t.Context(), 100, 10)
	require.NoError(t, err)
	assert.True(t, u.Estimate)
	sizes := map[string]int64{}
	for _, one := range u.Largest {
		sizes[one.Key] = one.Bytes
	}
	for key, least := range map[string]int64{
		"aw:{user/0}:r:1": 50_000, "aw:v:{page:long}": 1500, "aw:{user/0}:stream": 900, "aw:{user/0}:pending": 16,
		"aw:{user/0}:rankUnsure": 16,
	} {
		assert.InDelta(t, least, sizes[key], float64(least)/10+100, key)
	}
	_, allowed, err := whole.Of(c).SlowCommands(t.Context(), 10)
	require.NoError(t, err)
	assert.False(t, allowed)
}

// The slow log has whole scripts, and values: what is told of it has names.
func TestSlowCommandsAreNamed(t *testing.T) {
	t.Parallel()
	server := testkit.Redis(t, testkit.Set("slowlog-log-slower-than", "0"), testkit.Set("slowlog-max-len", "1000"))
	b := on(t, server.URL())
	b.Put(t, "a", "secret")
	b.Put(t, "a", "secret")
	require.NoError(t, server.Client(t).Set(t.Context(), "key", "secret", 0).Err())
	slow, allowed, err := b.SlowCommands(t.Context(), 1000)
	require.NoError(t, err)
	require.True(t, allowed)
	counts := map[string]int{}
	for _, s := range slow {
		require.Less(t, len(s.Command), 100)
		require.NotContains(t, s.Command, "secret")
		counts[s.Command]++
	}
	stats := "script write aw:{user/" + strconv.Itoa(b.E.Partition("a")) + "}:stats"
	require.GreaterOrEqual(t, counts[stats], 2, "by source and by hash: %v", counts)
	require.Equal(t, 1, counts["set key"])
}
