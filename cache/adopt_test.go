package cache_test

import (
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/cache"
	"github.com/afterwrite/afterwrite/internal/inspect"
	"github.com/afterwrite/afterwrite/internal/testkit"
	"github.com/afterwrite/afterwrite/internal/testkit/whole"
	"github.com/afterwrite/afterwrite/schema"
)

func TestWaitEndsWithTheEvent(t *testing.T) {
	b := setup(t)
	version := b.put(t, "a", "x")
	sub, err := b.Subscribe(t.Context(), b.e) // the waiter's feed is up
	require.NoError(t, err)
	defer sub.Close()
	states := make(chan cache.State)
	go func() {
		state, err := b.Wait(t.Context(), b.e, "a", version)
		assert.NoError(t, err)
		states <- state
	}()
	b.flush(t)
	assert.Equal(t, schema.Persisted, (<-states).Record.Status)
	testkit.Eventually(t, "the event is delivered", func() bool {
		select {
		case events := <-sub.C():
			event := events[0]
			return event.Type == "persisted" && event.Entity == "user" && !event.At.IsZero() && event.ID == "a" && event.Version == version
		default:
			return false
		}
	})
}

func TestAdoptRefusesWhileSomethingIsPending(t *testing.T) {
	b := setup(t)
	require.NoError(t, b.Adopt(t.Context(), b.e))
	b.put(t, "a", "x")
	other := *b.e
	other.Partitions = 7
	require.ErrorIs(t, b.Adopt(t.Context(), &other), schema.ErrPartitionsChanged)
	b.put(t, "b", "the old number goes on")
	b.flush(t)
	require.NoError(t, b.Adopt(t.Context(), &other))
	assert.Zero(t, b.rdb.Exists(t.Context(), b.key("a")).Val(), "what the old partitions cached is gone")
	got, _ := b.write(t, cache.Write{Op: cache.OpPut, ID: "a", Values: values("x", "1", "1")})
	require.ErrorIs(t, got.Err, schema.ErrPartitionsChanged, "a process with the old number is refused")

	// It reads from the database, since nobody would keep fresh what it cached.
	for _, row := range []string{`"old"`, `"new"`} {
		b.table.set("a", schema.Values{row, "1", "1"})
		read, err := b.Get(t.Context(), b.e, "a")
		require.NoError(t, err)
		require.Equal(t, row, read.Values[0])
	}
}

func TestCheckRefusesAnEvictingRedis(t *testing.T) {
	t.Parallel()
	for policy, wrong := range map[string]bool{"allkeys-lru": true, "volatile-lfu": false, "noeviction": false} {
		server := testkit.Redis(t, testkit.MaxMemoryPolicy(policy), testkit.NoAOF())
		c, err := cache.New(cache.Config{URL: server.URL()})
		require.NoError(t, err)
		health, err := whole.Of(c).Check(t.Context())
		assert.Equal(t, wrong, err != nil, policy)
		if wrong {
			require.ErrorIs(t, err, inspect.ErrEvictionPolicy)
		}
		assert.Len(t, health.Warnings, 1, "no append-only file")
		assert.NotEmpty(t, health.Version)
		require.NoError(t, c.Close())
	}
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
		c, err := cache.New(cache.Config{URL: "redis://" + server.Addr(), Log: testkit.Logger(t)})
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, c.Close()) })
		require.NoError(t, whole.Of(c).Beat(t.Context(), "worker", "w1", nil, time.Minute))
		for later, want := range map[time.Duration]int{0: 1, 59 * time.Second: 1, 61 * time.Second: 0} {
			server.SetTime(now.Add(later))
			alive, err := whole.Of(c).Alive(t.Context())
			require.NoError(t, err)
			require.Len(t, alive, want, "%s away, %s later", away, later)
		}
	}
}
