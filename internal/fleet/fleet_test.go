package fleet_test

import (
	"fmt"
	"strings"
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

// An entry of another build is neither removed nor is its process called dead, as long as its time says that it lives;
// the build of before any form, and one of before that form, read each other's.
func TestEntriesOfOtherBuilds(t *testing.T) {
	t.Parallel()
	server := miniredis.RunT(t)
	now := time.Now().Truncate(time.Millisecond)
	server.SetTime(now)
	client, err := rdb.Open(rdb.Config{URL: "redis://" + server.Addr(), Log: testkit.Logger(t)})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, client.Close()) })
	f := fleet.New(client, "aw")
	till := now.Add(time.Minute)
	leave := func(id, text string) { server.HSet("aw:{_}:processes", "worker:"+id, text) }
	leave("before", fmt.Sprintf(`%d {"kind":"worker","id":"before","info":{"busy":"1"}}`, till.UnixMilli()))
	leave("later/1/x:y", fmt.Sprintf(`%d {"form":2,"kind":7,"info":{"busy":"1"}}`, till.UnixMilli()))
	leave("more", fmt.Sprintf(`%d {"form":2,"kind":"worker","id":"else","info":{"busy":"1"}}`, till.UnixMilli()))
	leave("packed", fmt.Sprintf("%d \x93\x01", till.UnixMilli()))
	leave("timeless", "\x93\x01")
	for _, c := range []struct {
		later time.Duration
		alive []fleet.Process
		left  int
	}{
		{0, []fleet.Process{
			{Kind: "worker", ID: "before", Info: map[string]string{"busy": "1"}, Till: till},
			{Kind: "worker", ID: "later/1/x:y", Unread: true, Till: till},
			{Kind: "worker", ID: "more", Unread: true, Till: till},
			{Kind: "worker", ID: "packed", Unread: true, Till: till},
			{Kind: "worker", ID: "timeless", Unread: true},
		}, 5},
		{61 * time.Second, []fleet.Process{{Kind: "worker", ID: "timeless", Unread: true}}, 5},
		{121 * time.Second, []fleet.Process{{Kind: "worker", ID: "timeless", Unread: true}}, 1},
	} {
		server.SetTime(now.Add(c.later))
		alive, err := f.Alive(t.Context())
		require.NoError(t, err)
		for i := range alive {
			require.True(t, c.alive[i].Till.Equal(alive[i].Till))
			alive[i].Till = c.alive[i].Till
		}
		require.Equal(t, c.alive, alive)
		left, err := server.HKeys("aw:{_}:processes")
		require.NoError(t, err)
		require.Len(t, left, c.left)
	}

	// What this build leaves, a build of before any form reads: the time, and the same names in JSON.
	require.NoError(t, f.Beat(t.Context(), "api", "a1", map[string]string{"busy": "2"}, time.Minute))
	_, told, _ := strings.Cut(server.HGet("aw:{_}:processes", "api:a1"), " ")
	require.JSONEq(t, `{"form":1,"kind":"api","id":"a1","info":{"busy":"2"}}`, told)
}
