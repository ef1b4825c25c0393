package ticket_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/cache"
	"github.com/afterwrite/afterwrite/cache/ticket"
	"github.com/afterwrite/afterwrite/internal/testkit"
)

// A ticket is its owner's alone, ends by Redis's clock, and an owner has a bounded number of them.
func TestKeeper(t *testing.T) {
	t.Parallel()
	prefix, server := testkit.Prefix(t), testkit.SharedRedis(t)
	c, err := cache.New(cache.Config{URL: server.URL(), Prefix: prefix})
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Close() })
	k := ticket.New(c)
	has := func(owner, digest string, want bool) {
		t.Helper()
		got, err := k.Has(t.Context(), owner, digest)
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	keep := func(digest string, want bool) {
		t.Helper()
		kept, err := k.Keep(t.Context(), "7", digest)
		require.NoError(t, err)
		require.Equal(t, want, kept)
	}
	for i := range ticket.Most {
		keep(fmt.Sprint(i), true)
	}
	keep("one more", false)
	keep("3", true) // as a repeat is
	has("7", "3", true)
	has("8", "3", false)
	has("7", "one more", false)

	client, key := server.Client(t), c.Key("ticket", "7", "t")
	life, err := client.PTTL(t.Context(), key).Result()
	require.NoError(t, err)
	require.LessOrEqual(t, life, ticket.Life)
	require.Positive(t, life)
	past := float64(time.Now().Add(-time.Second).UnixMilli())
	require.NoError(t, client.ZAdd(t.Context(), key, redis.Z{Member: "3", Score: past}).Err())
	has("7", "3", false)
	keep("one more", true)
}
