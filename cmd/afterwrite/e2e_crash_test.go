package main

import (
	"context"
	"database/sql"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/internal/queue"
	"github.com/afterwrite/afterwrite/internal/testkit"
)

// takeover is how soon another worker must have taken over from one that was killed.
const takeover = 15 * time.Second

// figure reads a metric of the entity package from the worker: -1 while it has none, as
// when Redis is away.
func (p *packages) figure(name string) float64 {
	p.t.Helper()
	_, body := p.call(http.MethodGet, p.worker, "/metrics", "")
	found := regexp.MustCompile(`(?m)^` + name + `\{entity="package"\} (\S+)$`).FindStringSubmatch(body)
	if found == nil {
		return -1
	}
	value, err := strconv.ParseFloat(found[1], 64)
	require.NoError(p.t, err)
	return value
}

// streamed is a load that reads from this test, so that things can happen in its middle.
type streamed struct {
	*packages
	load *server
	in   io.WriteCloser
}

func (p *packages) stream() *streamed {
	p.t.Helper()
	cmd := p.command("load", "package", "-", "--format", "ndjson")
	in, err := cmd.StdinPipe()
	require.NoError(p.t, err)
	return &streamed{p, p.startCommand(cmd), in}
}

func (s *streamed) write(lines []string) {
	s.t.Helper()
	_, err := io.WriteString(s.in, strings.Join(lines, "\n")+"\n")
	require.NoError(s.t, err, "the load has ended")
}

func (s *streamed) end() {
	s.t.Helper()
	require.NoError(s.t, s.in.Close())
	require.Equal(s.t, exitOK, s.load.wait(), s.load.text())
}

// In the middle of a load one of two workers and Redis are killed. Redis comes back with
// what its append-only file has; the load, and increments after it, go on by themselves.
func TestDebianPackagesThroughCrashes(t *testing.T) {
	t.Parallel()
	testkit.Databases(t, func(t *testing.T, url string) {
		t.Parallel()
		p := openPackages(t, url)
		p.serve()
		second := testkit.FreeAddr(t)
		doomed := p.workerAt(second)
		p.ready(second)
		load := p.stream()
		half := len(p.input) / 2
		load.write(p.input[:half])
		testkit.Eventually(t, "some packages are persisted",
			func() bool { return p.count(`SELECT count(*) FROM packages`) > 0 })
		require.NoError(t, doomed.cmd.Process.Kill())
		p.redis.Kill()
		load.write(p.input[half : half+half/2])
		p.redis.Start()
		load.write(p.input[half+half/2:])
		load.end()

		items := p.changes()
		sent := make(chan error, 1)
		go func() { sent <- p.send(items) }()
		for _, part := range []int{3, 2} {
			testkit.Eventually(t, "some changes are accepted", func() bool {
				return p.figure("afterwrite_ledger_accepted_total") > float64(len(p.input)+len(items)/part)
			})
			p.redis.Restart()
		}
		require.NoError(t, <-sent)
		p.settled()
	})
}

// A worker is killed in the middle of its batches: each of its partitions has another
// worker within 15 seconds.
func TestI2AnotherWorkerTakesOverWithin15s(t *testing.T) {
	t.Parallel()
	testkit.Databases(t, func(t *testing.T, url string) {
		t.Parallel()
		p := openPackages(t, url)
		p.ok("migrate")
		killed := p.workerAt(testkit.FreeAddr(t), "AFTERWRITE_WORKER_CONCURRENCY=16")
		killed.says("worker started")
		unlock := p.lock()
		p.loadAll()
		p.stuck(16)
		p.start("worker")
		p.ready(p.worker)
		require.NoError(t, killed.cmd.Process.Kill())
		<-killed.done
		died := time.Now()
		unlock()
		testkit.Within(t, takeover, "the other worker has flushed everything", func() bool {
			return p.count(`SELECT count(*) FROM packages`) == len(p.input)
		})
		t.Logf("taken over within %s", time.Since(died).Round(10*time.Millisecond))
		p.start("api")
		p.ready(p.api)
		p.settled()
	})
}

// lock keeps workers from writing the table. On PostgreSQL they wait in the middle of
// their transactions; on SQLite, which has one writer, at their beginning.
func (p *packages) lock() (unlock func()) {
	p.t.Helper()
	tx, err := p.sql.BeginTx(context.WithoutCancel(p.t.Context()), &sql.TxOptions{})
	require.NoError(p.t, err)
	if !p.sqlite() {
		statement := `LOCK TABLE packages IN SHARE MODE`
		if strings.HasPrefix(p.url, "mysql") { // all rows and the gaps between them
			statement = `SELECT count(*) FROM packages LOCK IN SHARE MODE`
		}
		_, err = tx.Exec(statement)
		require.NoError(p.t, err)
	}
	return func() { require.NoError(p.t, tx.Rollback()) }
}

func (p *packages) sqlite() bool { return strings.HasPrefix(p.url, "sqlite") }

// stuck waits until that many sync tasks run and, but on SQLite, wait for the lock.
func (p *packages) stuck(tasks int) {
	p.t.Helper()
	inspector, err := queue.Inspect(p.redis.URL(), p.prefix)
	require.NoError(p.t, err)
	defer inspector.Close()
	testkit.Eventually(p.t, fmt.Sprintf("%d tasks run", tasks), func() bool {
		sizes, err := inspector.Sizes(p.t.Context())
		require.NoError(p.t, err)
		active := int64(0)
		for _, s := range sizes {
			active += s.Active
		}
		waits := `SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`
		if strings.HasPrefix(p.url, "mysql") {
			// INNODB_TRX is not read again as long as it is read. No write of the table ends before the lock does.
			waits = `SELECT count(*) FROM information_schema.PROCESSLIST WHERE DB = database() AND INFO LIKE 'SET STATEMENT % FOR %packages%'`
		}
		return active >= int64(tasks) && (p.sqlite() || p.count(waits) >= tasks)
	})
}

// A worker is frozen in the middle of its transactions, for longer than all of the
// database's timeouts, while another persists newer states and deletes. When it goes
// on, it moves nothing back. SQLite cannot take the lock from it.
func TestI3AFrozenWorkerMovesNothingBack(t *testing.T) {
	t.Parallel()
	testkit.Databases(t, func(t *testing.T, url string) {
		t.Parallel()
		if p := openPackages(t, url); !p.sqlite() {
			p.env = append(p.env, "AFTERWRITE_DATABASE_LOCK_TIMEOUT=1s", "AFTERWRITE_DATABASE_STATEMENT_TIMEOUT=1s",
				"AFTERWRITE_DATABASE_IDLE_IN_TRANSACTION=1s")
			p.freeze(0)
		}
	})
}

// The same with the default timeouts, for as long as asynq needs to give up a worker and
// longer.
func TestChaosFrozenWorkerWithDefaultTimeouts(t *testing.T) {
	frozen := testkit.ChaosTime(t, 0)
	if frozen == 0 {
		t.Skip("takes more than a minute; make chaos runs it")
	}
	t.Parallel()
	p := openPackages(t, testkit.Postgres(t).Database(t))
	p.freeze(max(frozen, 75*time.Second))
}

// freeze freezes a worker in mid-transaction, at least for a time and until another has
// done its work.
func (p *packages) freeze(least time.Duration) {
	t := p.t
	t.Helper()
	frozenAddr := testkit.FreeAddr(t)
	frozen := p.workerAt(frozenAddr, "AFTERWRITE_WORKER_CONCURRENCY=16")
	p.start("api")
	p.ready(p.api)
	p.ready(frozenAddr)
	p.loadAll()
	p.ok("flush", "--timeout", "60s")

	unlock := p.lock()
	p.count1(1, p.ids)
	p.stuck(16)
	require.NoError(t, frozen.cmd.Process.Signal(syscall.SIGSTOP))
	began := time.Now()
	unlock()
	other := p.start("worker")
	p.ready(p.worker)
	p.count1(2, p.ids)
	p.bury(p.ids[:100])
	testkit.Within(t, 2*testkit.Patience, "another worker has flushed everything", func() bool {
		return p.figure("afterwrite_pending_records") == 0
	})
	t.Logf("partitions of the frozen worker were flushed after %s", time.Since(began).Round(10*time.Millisecond))
	testkit.Within(t, least+testkit.Patience, "it was frozen for long enough",
		func() bool { return time.Since(began) >= least })
	p.sameTable()

	require.NoError(t, frozen.cmd.Process.Signal(syscall.SIGCONT))
	p.ready(frozenAddr)
	require.Equal(t, exitOK, other.stop(), other.text())
	p.count1(3, p.ids[100:])
	p.settled() // by the one that was frozen
}

// count1 adds 1 to the installs of packages, which makes them the round's number.
func (p *packages) count1(round int, ids []string) {
	p.t.Helper()
	items := make([]string, len(ids))
	for i, id := range ids {
		items[i] = fmt.Sprintf(`{"op":"increment","entity":"package","id":%q,"fields":{"installs":1},"idempotency_key":"%d/%s"}`, id, round, id)
		p.installs[id]++
	}
	require.NoError(p.t, p.insist(items))
}

// bury deletes packages.
func (p *packages) bury(ids []string) {
	p.t.Helper()
	items := make([]string, len(ids))
	for i, id := range ids {
		items[i] = fmt.Sprintf(`{"op":"delete","entity":"package","id":%q}`, id)
		delete(p.lines, id)
	}
	require.NoError(p.t, p.insist(items))
}
