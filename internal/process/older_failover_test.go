package process

import (
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/internal/testkit"
	"github.com/afterwrite/afterwrite/schema"
)

// A replica that lagged takes over, from a sentinel's word or in a cluster: an older copy of Redis, of one master alone
// there. No row goes back, no reader gets what is older than its row once the loss is known, and what the replica lists
// as pending overwrites nothing newer.
func TestI3OlderRedisByFailover(t *testing.T) {
	t.Parallel()
	for name, start := range map[string]func(t *testing.T) (url string, master, replica *testkit.RedisServer){
		"sentinel": func(t *testing.T) (string, *testkit.RedisServer, *testkit.RedisServer) {
			s := testkit.RedisSentinel(t)
			return s.URL(), s.Nodes[0], s.Nodes[1]
		},
		"cluster": func(t *testing.T) (string, *testkit.RedisServer, *testkit.RedisServer) {
			c := testkit.RedisCluster(t)
			master := c.Owner("aw:{user/0}:pending")
			return c.URL(), master, c.Replicate(master)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url, master, replica := start(t)
			b := newOlder(t, testkit.SQLite(t), url, nil)
			b.server = master
			b.put("cached", 1)
			b.put("gone", 1)
			b.drain()
			b.put("pending", 1)
			put := b.clock()
			testkit.Eventually(t, "the replica has all", func() bool {
				return master.Client(t).Wait(t.Context(), 1, 0).Val() == 1
			})
			require.NoError(t, lag(t, master, replica))

			testkit.Eventually(t, "the flush reads at another time", func() bool { return b.clock() > put+5 })
			b.drain()
			b.put("pending", 2)
			b.put("cached", 100)
			b.remove("gone")
			b.drain()
			b.put("lost", 1)
			master.Kill()
			replica.Resume()
			b.server = replica
			testkit.Eventually(t, "the replica is master", func() bool {
				return strings.Contains(replica.Client(t).Info(t.Context(), "replication").Val(), "role:master")
			})
			testkit.Eventually(t, "writes are accepted", func() bool {
				_, err := b.writes.Put(t.Context(), "user", "after", schema.Fields{"name": "a", "age": 7})
				return err == nil
			})

			testkit.Eventually(t, "a flush finds it", func() bool {
				err := b.flush(100)
				require.Error(t, err, "nothing of an older copy is flushed")
				return errors.Is(err, schema.ErrOlder)
			})
			testkit.Eventually(t, "it is repaired", func() bool { return b.CheckPairing(t.Context()) == nil })
			b.drain()
			for id, want := range map[string]string{"cached": "100", "pending": "2", "gone": "", "after": "7", "lost": ""} {
				require.Equal(t, want, b.row(id), id)
				require.Equal(t, want, b.read(id), id)
			}
			_, err := b.writes.Increment(t.Context(), "user", "cached", schema.Fields{"age": 1})
			require.NoError(t, err)
			b.drain()
			require.Equal(t, "101", b.row("cached"))
			b.balanced(0)
		})
	}
}

// lag freezes a replica and ends its connection to the master, so that it gets nothing of what comes now.
func lag(t *testing.T, master, replica *testkit.RedisServer) error {
	t.Helper()
	replica.Pause()
	return master.Client(t).ClientKillByFilter(t.Context(), "TYPE", "replica").Err()
}
