package hammer

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/internal/testkit"
)

// A failover loses what its replica has not received: that is what docs/ARCHITECTURE.md says of
// it, and all that it may lose. So a failover comes while the clients stand still: either with a
// replica that has all they have written, and nothing may be missing, or with one that lags by a
// known time, and only what was written since and is in no row may be missing.

const (
	// deaf is how long the sentinel waits for a master while none is to fail over: a busy machine is slow.
	deaf = time.Minute
	// quick is how long it waits where one is.
	quick = 500 * time.Millisecond
)

// How a master leaves.
func ordered(w *world, _ *testkit.RedisServer) {
	testkit.Eventually(w.t, "the failover begins", func() bool { return w.sentinel.Failover(w.t.Context()) == nil })
}

func killed(w *world, master *testkit.RedisServer) {
	require.NoError(w.t, w.sentinel.DownAfter(w.t.Context(), quick))
	master.Kill()
}

func frozen(w *world, master *testkit.RedisServer) {
	require.NoError(w.t, w.sentinel.DownAfter(w.t.Context(), quick))
	master.Pause()
}

// failover makes the replica the master, after it has received all that was accepted; some of that
// is pending as a rule. The clients are back before the old master is.
func (w *world) failover(registers map[string]map[string]*register, leave func(*world, *testkit.RedisServer)) {
	w.heal()
	old := w.inSync()
	w.calm.Lock()
	w.received(old)
	pending := w.pending()
	leave(w, old)
	w.promoted(old)
	w.readRight(registers)
	w.calm.Unlock()
	if pending > 0 {
		w.tally.add("felt: failover with records pending")
	}
	w.follows(old)
	w.acknowledge()
}

// failoverToOlder makes a replica the master that lacks what was written for a while. Where rows have
// it nothing is lost, and no row may move back; of what was written through the database nothing is
// lost in any case. What is lost must be noted.
func (w *world) failoverToOlder(registers map[string]map[string]*register) {
	w.heal()
	old := w.inSync()
	w.calm.Lock()
	w.mend(w.t.Context(), registers["strict"])
	w.flushed()
	w.received(old)
	_, replica, err := w.sentinel.Roles(w.t.Context())
	require.NoError(w.t, err)
	replica.Pause()
	require.NoError(w.t, old.Client(w.t).ClientKillByFilter(w.t.Context(), "TYPE", "replica").Err())
	before := w.rows("doc")
	w.calm.Unlock()

	testkit.Eventually(w.t, "the replica lacks a flush", func() bool { return fmt.Sprint(before) != fmt.Sprint(w.rows("doc")) })
	w.calm.Lock()
	defer w.calm.Unlock()
	noted := w.losses()
	killed(w, old)
	replica.Resume()
	w.promoted(old)
	testkit.Eventually(w.t, "the loss is noted", func() bool { return w.losses() > noted })
	w.readRows(registers)
	w.follows(old)
	w.acknowledge()
}

// readRows waits until each record is as its row, which has all that is left of it, and makes that the
// state of its register.
func (w *world) readRows(registers map[string]map[string]*register) {
	for entity, of := range registers {
		lost := 0
		for id, r := range of {
			acknowledged := r.now()
			var left state
			testkit.Eventually(w.t, "a record is as its row", func() bool {
				left = w.rows(entity)[id]
				got, bypass, err := w.get(r)
				return err == nil && !bypass && got == left
			})
			require.NoError(w.t, r.lost(left))
			if left != acknowledged {
				lost++
				w.tally.add("writes lost with a replica that lagged")
			}
		}
		if first(entity) {
			require.Zero(w.t, lost, "what was written through the database: %s", entity)
		}
	}
	w.tally.add("felt: failover to a replica that lags")
}

// forgotten discards those of the open letters of which a Redis that went back remembers nothing: only an operator can
// close them. A failover without a lag is of that kind, too, if a worker noted a death after the replica had received
// what the clients had written.
func (w *world) forgotten(open []int64) {
	for _, number := range open {
		letter := strconv.FormatInt(number, 10)
		out, err := w.command(w.t.Context(), w.builds[0], w.apis[0].env, "dead", "show", letter, "--json").Output()
		var shown struct{ Lost bool }
		if err != nil || json.Unmarshal(out, &shown) != nil || !shown.Lost {
			continue
		}
		if w.tool(w.apis[0].env, "dead", "discard", letter, "--yes") == nil {
			w.tally.add("letters that a Redis which went back had forgotten")
		}
	}
}

// missReplica makes Redis refuse writes as it must: its replica is silent.
func (w *world) missReplica() (end func()) {
	_, replica, err := w.sentinel.Roles(w.t.Context())
	require.NoError(w.t, err)
	client := w.redis.Client(w.t)
	ctx := context.WithoutCancel(w.t.Context())
	set := func(name, value string) { require.NoError(w.t, client.ConfigSet(ctx, name, value).Err()) }
	set("min-replicas-max-lag", "1")
	set("min-replicas-to-write", "1")
	replica.Pause()
	w.felt("Redis misses its replica", func() bool {
		return strings.Contains(client.Info(ctx, "replication").Val(), "min_slaves_good_slaves:0")
	})
	return func() {
		replica.Resume()
		set("min-replicas-to-write", "0")
	}
}

// inSync waits until there is a master with a replica that follows it.
func (w *world) inSync() (master *testkit.RedisServer) {
	testkit.Eventually(w.t, "the replica follows", func() bool {
		m, replica, err := w.sentinel.Roles(w.t.Context())
		if err != nil {
			return false
		}
		master = m
		info := replica.Client(w.t).Info(w.t.Context(), "replication").Val()
		return strings.Contains(info, "role:slave") && strings.Contains(info, "master_link_status:up")
	})
	require.Equal(w.t, w.redis, master, "only the test fails over")
	return master
}

// received waits until the replica has what the master has now.
func (w *world) received(master *testkit.RedisServer) {
	client := master.Client(w.t)
	testkit.Eventually(w.t, "the replica has all", func() bool {
		// WAIT is of what its own connection has written.
		return client.Set(w.t.Context(), w.prefix+":received", 1, time.Minute).Err() == nil &&
			client.Wait(w.t.Context(), 1, time.Second).Val() == 1
	})
}

// promoted waits until the other is master. From then on the sentinel is patient again: a busy machine has it fail over
// once more otherwise, before the old master is back.
func (w *world) promoted(old *testkit.RedisServer) {
	testkit.Eventually(w.t, "the other is master", func() bool {
		master, _, err := w.sentinel.Roles(w.t.Context())
		if err != nil || master == old {
			return false
		}
		w.redis = master
		return strings.Contains(master.Client(w.t).Info(w.t.Context(), "replication").Val(), "role:master")
	})
	require.NoError(w.t, w.sentinel.DownAfter(w.t.Context(), deaf))
}

// follows brings an old master back, and waits until it is a replica.
func (w *world) follows(old *testkit.RedisServer) {
	old.Start()
	old.Resume()
	w.inSync()
}

// pending is how many records are pending.
func (w *world) pending() (n int64) {
	client := w.redis.Client(w.t)
	keys := client.Scan(w.t.Context(), 0, w.prefix+":*:pending", 1000).Iterator()
	for keys.Next(w.t.Context()) {
		n += client.ZCard(w.t.Context(), keys.Val()).Val()
	}
	return n
}
