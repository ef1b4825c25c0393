package inspect_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/internal/inspect"
	"github.com/afterwrite/afterwrite/internal/rdb"
	"github.com/afterwrite/afterwrite/internal/testkit"
)

func TestCheckRefusesAnEvictingRedis(t *testing.T) {
	t.Parallel()
	for policy, wrong := range map[string]bool{"allkeys-lru": true, "volatile-lfu": false, "noeviction": false} {
		server := testkit.Redis(t, testkit.MaxMemoryPolicy(policy), testkit.NoAOF())
		client, err := rdb.Open(rdb.Config{URL: server.URL()})
		require.NoError(t, err)
		health, err := inspect.New(client, "aw").Check(t.Context())
		assert.Equal(t, wrong, err != nil, policy)
		if wrong {
			require.ErrorIs(t, err, inspect.ErrEvictionPolicy)
		}
		assert.Len(t, health.Warnings, 1, "no append-only file")
		assert.NotEmpty(t, health.Version)
		require.NoError(t, client.Close())
	}
}
