package cache_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/cache"
	"github.com/afterwrite/afterwrite/internal/testkit"
)

func TestBigFindsTheLargestAndSumsByOwner(t *testing.T) {
	b := setup(t)
	v := group[string](t, b.Cache, cache.Policy{Group: "page", CompressAbove: -1})
	require.NoError(t, v.Set(t.Context(), "long", strings.Repeat("x", 50_000)))
	require.NoError(t, v.Set(t.Context(), "short", "x"))
	for _, id := range []string{"a", "b", "c"} {
		b.put(t, id, "x")
	}
	u, err := b.Big(t.Context(), 10_000, 2)
	require.NoError(t, err)
	assert.True(t, u.Whole)
	assert.False(t, u.Estimate)
	require.Len(t, u.Largest, 2)
	assert.Equal(t, b.prefix+":v:{page:long}", u.Largest[0].Key)
	keys := map[string]int{}
	for _, s := range u.Groups {
		keys[s.Name] = s.Keys
	}
	assert.Equal(t, 2, keys["values page"])
	assert.Equal(t, 3, keys["entity user"])
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
	require.NoError(t, rdb.Do(t.Context(), "ACL", "SETUSER", "small", "on", ">secret", "~*", "&*", "+@all", "-memory", "-slowlog", "-config").Err())
	c, err := cache.New(cache.Config{URL: "redis://small:secret@" + server.Addr() + "/0", Log: testkit.Logger(t)})
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Close() })
	v := group[string](t, c, cache.Policy{Group: "page", CompressAbove: -1})
	require.NoError(t, v.Set(t.Context(), "long", strings.Repeat("xyz", 500)))
	u, err := c.Big(t.Context(), 100, 1)
	require.NoError(t, err)
	assert.True(t, u.Estimate)
	require.Len(t, u.Largest, 1)
	_, allowed, err := c.SlowCommands(t.Context(), 10)
	require.NoError(t, err)
	assert.False(t, allowed)
}
