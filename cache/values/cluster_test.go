package values_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/cache"
	"github.com/afterwrite/afterwrite/cache/values"
	"github.com/afterwrite/afterwrite/internal/testkit"
	"github.com/afterwrite/afterwrite/internal/testkit/whole"
)

// Values, their tags and patterns work on a Redis Cluster, where they are in many slots.
func TestValuesOnARedisCluster(t *testing.T) {
	t.Parallel()
	c, err := cache.New(cache.Config{URL: testkit.RedisCluster(t).URL(), Log: testkit.Logger(t)})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, c.Close()) })
	v := group[string](t, c, values.Policy{Group: "page", Tags: []values.Tag{values.NamedTag("x")}})
	var keys []string
	for i := range 50 {
		keys = append(keys, fmt.Sprint(i))
	}
	loads := 0
	load := func(_ context.Context, missing []string) (map[string]string, error) {
		loads += len(missing)
		got := map[string]string{}
		for _, key := range missing {
			got[key] = "value " + key
		}
		return got, nil
	}
	all := func() {
		t.Helper()
		got, err := v.LoadMany(t.Context(), keys, load)
		require.NoError(t, err)
		assert.Len(t, got, 50)
	}
	all()
	all()
	assert.Equal(t, 50, loads)
	require.NoError(t, values.InvalidateTags(t.Context(), c, values.NamedTag("x")))
	all()
	assert.Equal(t, 100, loads)
	n, err := v.InvalidateMatch(t.Context(), "1?", nil)
	require.NoError(t, err)
	assert.Equal(t, 10, n)
	all()
	assert.Equal(t, 110, loads)
	require.NoError(t, v.Set(t.Context(), "1", "set"))
	got, err := v.Load(t.Context(), "1", nil)
	require.NoError(t, err)
	assert.Equal(t, "set", got)
	u, err := whole.Of(c).Big(t.Context(), 1000, 5)
	require.NoError(t, err)
	assert.True(t, u.Whole)
}
