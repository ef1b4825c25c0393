package process

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/cache/rank"
	"github.com/afterwrite/afterwrite/internal/config"
	"github.com/afterwrite/afterwrite/internal/fleet"
	"github.com/afterwrite/afterwrite/internal/testkit"
)

const ranksConfig = `
redis: {url: %q, prefix: %q}
database: {url: %q}
worker: {sweep_interval: 100ms}
entities:
  player:
    id: {type: int}
    partitions: 2
    rank: {by: score}
    fields:
      score: {type: int}
`

// TestRanksBesideOlderBuilds: ranks are in the order of bytes while a process of an older build lives, and in that of
// values when it has ended; both orders answer reads.
func TestRanksBesideOlderBuilds(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "afterwrite.yaml")
	require.NoError(t, os.WriteFile(file, fmt.Appendf(nil, ranksConfig, testkit.SharedRedis(t).URL(), testkit.Prefix(t),
		testkit.SQLite(t)), 0o600))
	c, err := config.Load(file, nil)
	require.NoError(t, err)
	p, err := Join(c, "test", testkit.Logger(t))
	require.NoError(t, err)
	defer p.Close()
	_, err = p.Store.Migrate(t.Context(), false)
	require.NoError(t, err)
	e := c.Entities[0]
	db := testkit.SQL(t, c.Database.URL)
	_, err = db.Exec("INSERT INTO " + e.Table + " (id, score) VALUES (9, 5), (10, 5)")
	require.NoError(t, err)
	old := map[string]string{"version": "of before"}
	require.NoError(t, p.Fleet.Beat(t.Context(), "api", "old/1/x", old, time.Minute))
	require.NoError(t, p.Fleet.Beat(t.Context(), "worker", "new/2/x", map[string]string{fleet.MembersInfo: "1"}, time.Minute))

	ranks, top := rank.New(p.Cache), func() (ids []string) {
		places, _, err := rank.New(p.Cache).Top(t.Context(), e, 10)
		require.NoError(t, err)
		for _, place := range places {
			ids = append(ids, place.ID)
		}
		return ids
	}
	complete := func(by rank.By) bool {
		is, err := ranks.Complete(t.Context(), e, by)
		require.NoError(t, err)
		return is
	}
	keep := func() { require.NoError(t, p.keepRank(context.WithoutCancel(t.Context()), e, "test")) }
	keep()
	require.True(t, complete(rank.ByBytes))
	require.Equal(t, []string{"10", "9"}, top())
	require.NoError(t, p.Fleet.Leave(t.Context(), "api", "old/1/x"))
	require.Equal(t, []string{"10", "9"}, top())
	keep()
	require.True(t, complete(rank.ByValues))
	require.Equal(t, []string{"9", "10"}, top())
	require.NoError(t, p.Fleet.Beat(t.Context(), "api", "old/1/y", old, time.Minute))
	keep()
	require.Equal(t, []string{"10", "9"}, top())
}
