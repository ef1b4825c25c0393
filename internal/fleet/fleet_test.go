package fleet_test

import (
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/internal/fleet"
	"github.com/afterwrite/afterwrite/internal/layout"
	"github.com/afterwrite/afterwrite/internal/rdb"
	"github.com/afterwrite/afterwrite/internal/testkit"
)

// bundle is a fleet of its own on the shared Redis.
type bundle struct {
	*fleet.Fleet
	rdb    *redis.Client
	prefix string
}

func setup(t *testing.T, hooks ...redis.Hook) *bundle {
	t.Helper()
	t.Parallel()
	server := testkit.SharedRedis(t)
	client, err := rdb.Open(rdb.Config{URL: server.URL(), Log: testkit.Logger(t), Hooks: hooks})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, client.Close()) })
	prefix := testkit.Prefix(t)
	return &bundle{fleet.New(client, layout.Prefix(prefix)), server.Client(t), prefix}
}

func TestOneLeader(t *testing.T) {
	b := setup(t)
	for _, c := range []struct {
		holder string
		want   bool
	}{{"x", true}, {"y", false}, {"x", true}} {
		leads, err := b.Lead(t.Context(), "sweeper", c.holder, time.Minute)
		require.NoError(t, err)
		assert.Equal(t, c.want, leads)
	}
	require.NoError(t, b.Resign(t.Context(), "sweeper", "y"))
	require.NoError(t, b.Resign(t.Context(), "sweeper", "x"))
	leads, err := b.Lead(t.Context(), "sweeper", "y", time.Minute)
	require.NoError(t, err)
	assert.True(t, leads)
}

func TestAliveListsWhoBeats(t *testing.T) {
	b := setup(t)
	require.NoError(t, b.Beat(t.Context(), "worker", "w1", map[string]string{"busy": "1"}, time.Minute))
	require.NoError(t, b.Beat(t.Context(), "worker", "w2", nil, -time.Second))
	alive, err := b.Alive(t.Context())
	require.NoError(t, err)
	require.Len(t, alive, 1)
	assert.Equal(t, "w1", alive[0].ID)
	require.NoError(t, b.Leave(t.Context(), "worker", "w1"))
	alive, err = b.Alive(t.Context())
	require.NoError(t, err)
	assert.Empty(t, alive)
}

// A process whose clock is hours away from Redis's lives as long as it beats.
func TestAliveGoesByTheClockOfRedis(t *testing.T) {
	t.Parallel()
	for _, away := range []time.Duration{-3 * time.Hour, 3 * time.Hour} {
		server := miniredis.RunT(t)
		now := time.Now().Add(away)
		server.SetTime(now)
		client, err := rdb.Open(rdb.Config{URL: "redis://" + server.Addr(), Log: testkit.Logger(t)})
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, client.Close()) })
		f := fleet.New(client, "aw")
		require.NoError(t, f.Beat(t.Context(), "worker", "w1", nil, time.Minute))
		for later, want := range map[time.Duration]int{0: 1, 59 * time.Second: 1, 61 * time.Second: 0} {
			server.SetTime(now.Add(later))
			alive, err := f.Alive(t.Context())
			require.NoError(t, err)
			require.Len(t, alive, want, "%s away, %s later", away, later)
		}
	}
}
