package main

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/internal/testkit"
)

// Workers are killed, frozen and started, and Redis and PostgreSQL killed and restarted,
// at random, while clients count and delete. In the end every count is right, and no row
// has ever moved back.
func TestChaosProcesses(t *testing.T) {
	chaos := testkit.ChaosTime(t, 0)
	if chaos == 0 {
		t.Skip("make chaos runs it")
	}
	t.Run("sqlite", func(t *testing.T) {
		p := openPackages(t, testkit.SQLite(t))
		p.chaos(chaos, p.redis.Restart)
	})
	t.Run("postgres", func(t *testing.T) {
		server := testkit.DedicatedPostgres(t, true)
		p := openPackages(t, server.Database(t))
		p.chaos(chaos, p.redis.Restart, func() { server.Kill(); server.Start() })
	})
}

// chaos does what the random source says for a time, beside faults of its own: one of two
// workers is killed and started again, or frozen for a while.
func (p *packages) chaos(lasting time.Duration, faults ...func()) {
	p.t.Helper()
	random := testkit.Random(p.t)
	p.serve()
	p.loadAll()
	addrs := []string{testkit.FreeAddr(p.t), testkit.FreeAddr(p.t)}
	workers := []*server{p.workerAt(addrs[0]), p.workerAt(addrs[1])}
	faults = append(faults,
		func() {
			at := random.IntN(2)
			require.NoError(p.t, workers[at].cmd.Process.Kill())
			<-workers[at].done
			workers[at] = p.workerAt(addrs[at])
		},
		func() {
			frozen := workers[random.IntN(2)].cmd.Process
			require.NoError(p.t, frozen.Signal(syscall.SIGSTOP))
			<-time.After(time.Duration(random.Int64N(int64(15 * time.Second))))
			require.NoError(p.t, frozen.Signal(syscall.SIGCONT))
		},
	)
	over := make(chan struct{})
	counted := make(chan error, 1)
	its := rand.New(rand.NewPCG(random.Uint64(), 0)) // drawn here: a source is not safe for two
	go func() { counted <- p.countUntil(over, its) }()
	for deadline := time.Now().Add(lasting); time.Now().Before(deadline); {
		<-time.After(time.Duration(random.Int64N(int64(2 * time.Second))))
		faults[random.IntN(len(faults))]()
	}
	close(over)
	require.NoError(p.t, <-counted)
	p.settled()
}

// countUntil counts and deletes packages, a batch at a time. While it runs, nobody else
// may touch what is expected.
func (p *packages) countUntil(over <-chan struct{}, random *rand.Rand) error {
	left := slices.Clone(p.ids)
	for n := 0; ; n++ {
		select {
		case <-over:
			return nil
		default:
		}
		var items []string
		for range 100 {
			id := left[random.IntN(len(left))]
			p.installs[id]++
			items = append(items,
				fmt.Sprintf(`{"op":"increment","entity":"package","id":%q,"fields":{"installs":1},"idempotency_key":"%d/%d"}`, id, n, len(items)))
		}
		if at := random.IntN(len(left)); n%10 == 0 && len(left) > 100 {
			items = append(items, fmt.Sprintf(`{"op":"delete","entity":"package","id":%q,"idempotency_key":"%d/d"}`,
				left[at], n))
			delete(p.lines, left[at])
			left = slices.Delete(left, at, at+1)
		}
		if err := p.insist(items); err != nil {
			return err
		}
	}
}
