package hammer

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/internal/testkit"
)

// fault is one thing that goes wrong. begin does it and returns what ends it, at once or
// after a while; nil where it ends by itself.
type fault struct {
	name  string
	begin func() (end func())
	alone bool // it comes when the others have ended
}

// faults are all that a run draws from.
func (w *world) faults(registers map[string]map[string]*register) []fault {
	var all []fault
	add := func(name string, begin func() func()) { all = append(all, fault{name: name, begin: begin}) }
	once := func(name string, do func()) { add(name, func() func() { do(); return nil }) }

	for _, kind := range []string{"api", "worker"} {
		one := func() *process {
			of := w.apis
			if kind == "worker" {
				of = w.workers
			}
			return of[w.random.IntN(len(of))]
		}
		once(kind+" killed", func() { one().signal(syscall.SIGKILL, w.build()) })
		once(kind+" restarted", func() { one().signal(syscall.SIGTERM, w.build()) })
		add(kind+" frozen", func() func() {
			p := one()
			p.signal(syscall.SIGSTOP, p.build)
			return func() { p.signal(syscall.SIGCONT, w.build()) }
		})
		for _, server := range []string{"redis", "database"} {
			way := w.ways[kind+" "+server]
			if way == nil {
				continue
			}
			name := kind + "'s way to the " + server
			add(name+" cut", func() func() { way.Cut(); return way.Restore })
			add(name+" silent", func() func() { way.Blackhole(); return way.Restore })
			add(name+" without replies", func() func() {
				way.LoseReplies()
				return func() { way.Cut(); way.Restore() }
			})
			add(name+" slow", func() func() {
				way.Delay(time.Duration(w.random.Int64N(int64(300 * time.Millisecond))))
				return func() { way.Delay(0) }
			})
		}
	}

	ask := func(args ...any) { _ = w.redis.Client(w.t).Do(w.t.Context(), args...).Err() }
	// A server that is stopped or frozen has no other fault of this kind until it is back.
	lasts := func(gone *bool, begin func() func()) func() func() {
		return func() func() {
			if *gone {
				return nil
			}
			end := begin()
			if end == nil {
				return nil
			}
			*gone = true
			return func() { end(); *gone = false }
		}
	}
	away := func(gone *bool, do, undo func()) func() func() {
		return lasts(gone, func() func() { do(); return undo })
	}
	var redisAway, databaseAway bool
	once("Redis forgets its scripts", func() { ask("SCRIPT", "FLUSH") })
	once("Redis drops its clients", func() { ask("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes") })
	add("Redis full", func() func() {
		ask("CONFIG", "SET", "maxmemory", "1mb")
		return func() { ask("CONFIG", "SET", "maxmemory", "0") }
	})
	once("sync tasks lost", w.loseTasks)
	if w.sentinel == nil { // else its replica takes over, which is to lose nothing at a calm moment alone
		add("Redis killed and started", away(&redisAway, w.redis.Restart, func() {}))
		add("Redis stopped", away(&redisAway, w.redis.Kill, w.redis.Start))
		add("Redis frozen", away(&redisAway, w.redis.Pause, w.redis.Resume))
	} else {
		add("Redis misses its replica", w.missReplica)
	}
	if w.disks["redis"] != nil {
		add("Redis's disk full, it ends", lasts(&redisAway, w.redisEndsFull))
		add("Redis's disk full, it refuses", lasts(&redisAway, w.redisRefusesFull))
	}

	if w.server != nil {
		add("table locked", w.lockTable)
		kill, start := w.server.Kill, w.server.Start
		add("database killed and started", away(&databaseAway, func() { kill(); start() }, func() {}))
		add("database stopped", away(&databaseAway, kill, start))
		if w.disks["database"] != nil {
			add("database's disk full, no room for rows", lasts(&databaseAway, w.rowsFull))
			if _, postgres := w.server.(*testkit.PostgresServer); postgres {
				add("database's disk full, no room for its log", lasts(&databaseAway, w.logFull))
			}
		}
	} else {
		add("database locked by another program", w.fileLocked)
		add("database's file read-only", w.fileReadOnly)
		if w.disks["database"] != nil {
			add("database's disk full", w.fileFull)
		}
	}

	for _, args := range [][]string{
		{"pause", "doc"}, {"resume", "doc"}, {"invalidate", "doc", "--all"}, {"invalidate", "player", "--all"},
		{"flush", "--timeout", "1s"}, {"doctor"}, {"status"}, {"fsck"}, {"dead", "retry", "--all", "--yes"},
		{"dead", "list"},
		{"retry-policy", "set", "strict", "--max-attempts", "2"}, {"retry-policy", "rollback", "strict", "1"},
		{"record", "get", "doc", "doc-1"}, {"dead", "list", "--group"}, {"audit"},
	} {
		once("operator: "+strings.Join(args, " "), func() { w.operator(args) })
	}
	alone := func(name string, do func()) {
		all = append(all, fault{alone: true, name: name, begin: func() func() { do(); return nil }})
	}
	alone("Redis emptied", func() { w.lose(registers, func() { ask("FLUSHALL") }) })
	if w.sentinel != nil {
		alone("Redis fails over, as ordered", func() { w.failover(registers, ordered) })
		alone("Redis fails over, killed", func() { w.failover(registers, killed) })
		alone("Redis fails over, frozen", func() { w.failover(registers, frozen) })
		alone("Redis fails over to a replica that lags", func() { w.failoverToOlder(registers) })
		return all
	}
	alone("Redis put back to an older copy", func() {
		w.lose(registers, func() {
			if w.older != nil {
				w.older()
			}
			w.older = w.redis.Copy()
		})
	})
	return all
}

// loseTasks takes the sync tasks that wait out of the queue, as an operator of asynq may.
func (w *world) loseTasks() {
	ctx := w.t.Context()
	client := w.redis.Client(w.t)
	queues, err := client.SMembers(ctx, "asynq:queues").Result()
	if err != nil {
		return
	}
	for _, q := range queues {
		key := "asynq:{" + q + "}:"
		ids, _ := client.LRange(ctx, key+"pending", 0, -1).Result()
		for _, id := range ids {
			client.LRem(ctx, key+"pending", 1, id)
			client.Del(ctx, key+"t:"+id)
		}
	}
}

// lose does to Redis what loses its state, at a moment when the database has everything:
// then nothing may be missing afterwards either, and what was cached may not come back old.
// The clients stand still until a process has noted the loss, for which it has a second.
func (w *world) lose(registers map[string]map[string]*register, lose func()) {
	w.heal()
	w.calm.Lock()
	defer w.calm.Unlock()
	w.mend(w.t.Context(), registers["strict"])
	w.flushed()
	marks := func() map[string]string {
		return w.redis.Client(w.t).HGetAll(w.t.Context(), w.prefix+":{_}:marks").Val()
	}
	before, marked := w.losses(), marks()
	testkit.Eventually(w.t, "the processes have left other marks in Redis", func() bool {
		left := 0
		for name, mark := range marks() {
			if marked[name] != mark {
				left++
			}
		}
		return left >= len(w.processes())
	})
	first := w.older == nil
	lose()
	if first && w.older != nil {
		return // the copy is made
	}
	testkit.Eventually(w.t, "the loss is noted", func() bool { return w.losses() > before })
	w.readRight(registers)
	w.acknowledge()
}

// losses are how many were noted.
func (w *world) losses() (n int) {
	require.NoError(w.t, w.sql.QueryRow("SELECT count(*) FROM afterwrite_losses").Scan(&n))
	return n
}

func (w *world) acknowledge() {
	require.NoError(w.t, w.tool(w.apis[0].env, "acknowledge", "--reason", "a test", "--yes"))
}

// readRight waits until each record is read as it was written last, while the clients stand still.
func (w *world) readRight(registers map[string]map[string]*register) {
	for _, of := range registers {
		for _, r := range of {
			var err error
			defer func() {
				if w.t.Failed() && err != nil {
					w.t.Log(err)
				}
			}()
			testkit.Eventually(w.t, "a read is right", func() bool { err = w.isRead(r); return err == nil })
		}
	}
}

// mend makes the last write of each record one that the table takes.
func (w *world) mend(ctx context.Context, strict map[string]*register) {
	its := rand.New(rand.NewPCG(w.random.Uint64(), 0))
	for _, r := range strict {
		for r.now().exists && r.now().b < 0 {
			w.write(ctx, r, its)
		}
	}
}

// isRead reads a record through an API.
func (w *world) isRead(r *register) error {
	read, bypass, err := w.get(r)
	if now := r.now(); err == nil && (read != now || bypass) {
		return r.wrong("a read gave %s, past Redis: %t; written was %s", read, bypass, now)
	}
	return err
}

// get is what an API gives for a record, and whether it asked the database past Redis.
func (w *world) get(r *register) (read state, bypass bool, err error) {
	got, err := w.request(w.apis[0], http.MethodGet, path(r, ""), nil)
	switch {
	case err != nil:
		return state{}, false, err
	case got.status == http.StatusOK:
		read = stateOf(got.fields)
	case got.status != http.StatusNotFound:
		return state{}, false, r.wrong("a read was answered %d %s", got.status, got.text)
	}
	return read, got.bypass, nil
}

// lockTable holds all rows of a table, as a migration of another program does.
func (w *world) lockTable() func() {
	tx, err := w.sql.BeginTx(context.WithoutCancel(w.t.Context()), nil)
	if err != nil {
		return nil
	}
	// An earlier lock of these rows may last still, and ends only after this fault has begun.
	ctx, cancel := context.WithTimeout(w.t.Context(), 5*time.Second)
	defer cancel()
	var n int
	if tx.QueryRowContext(ctx, "SELECT count(*) FROM (SELECT id FROM hammer_doc FOR UPDATE) AS held").Scan(&n) != nil {
		_ = tx.Rollback()
		return nil
	}
	return func() { _ = tx.Rollback() }
}

// operator runs a command that may fail while things are broken, though not by a panic.
func (w *world) operator(args []string) {
	ctx, cancel := context.WithTimeout(w.t.Context(), 10*time.Second)
	defer cancel()
	env := w.apis[0].env
	out, err := w.command(ctx, w.build(), env, args...).CombinedOutput()
	if err != nil {
		w.tally.add("operator's commands that failed")
	}
	if strings.Contains(string(out), "panic:") || strings.Contains(string(out), "goroutine ") {
		w.tally.check(fmt.Errorf("%v: %s", args, out))
	}
}

// hammer draws faults until the time is up. Some last while the next ones come.
func (w *world) hammer(lasting time.Duration, registers map[string]map[string]*register) {
	only, err := regexp.Compile(os.Getenv("TESTKIT_HAMMER_FAULTS"))
	require.NoError(w.t, err)
	all := slices.DeleteFunc(w.faults(registers), func(f fault) bool { return !only.MatchString(f.name) })
	require.NotEmpty(w.t, all, "faults whose name has %s", only)
	var ends []func()
	finish := func() {
		for _, end := range ends {
			end()
		}
		ends = nil
	}
	for deadline := time.Now().Add(lasting); time.Now().Before(deadline); {
		f := all[w.random.IntN(len(all))]
		w.tally.add("fault: " + f.name)
		if f.alone {
			finish()
		}
		if end := f.begin(); end != nil {
			ends = append(ends, end)
		}
		time.Sleep(time.Duration(w.random.Int64N(int64(1500 * time.Millisecond)))) // how long it lasts
		if len(ends) > 2 || w.random.IntN(2) == 0 {
			finish()
		}
	}
	finish()
	w.heal()
}

// heal ends what an operator has left behind, and waits until all answer.
func (w *world) heal() {
	for _, way := range w.ways {
		way.Restore()
	}
	require.NoError(w.t, w.redis.Client(w.t).ConfigSet(w.t.Context(), "maxmemory", "0").Err())
	for _, p := range w.processes() {
		testkit.Within(w.t, 2*testkit.Patience, p.kind+" is ready again", func() bool { return w.ready(p.addr) })
	}
	for _, e := range entities {
		require.NoError(w.t, w.tool(w.apis[0].env, "resume", e))
	}
}

// settled waits until the database has everything, and compares all there is.
func (w *world) settled(registers map[string]map[string]*register) {
	t := w.t
	w.flushed()
	rows := map[string]map[string]state{}
	for entity := range registers {
		rows[entity] = w.rows(entity)
	}
	for entity, of := range registers {
		for id, r := range of {
			now := r.now()
			require.Equal(t, now, rows[entity][id], "row of %s %s", entity, id)
			require.NoError(t, w.isRead(r))
		}
	}
	require.NoError(t, w.tool(w.apis[0].env, "fsck"))
	w.ranked(registers["player"])
	for _, p := range w.processes() {
		out, _ := exec.CommandContext(t.Context(), "grep", "-c", "-e", "^panic:", "-e", "DATA RACE", p.log).Output()
		require.Equal(t, "0\n", string(out), p.log)
	}
}

// flushed waits until the database has everything, which closes all dead letters: the last
// write of each record is one that the table takes.
func (w *world) flushed() {
	began := time.Now()
	testkit.Within(w.t, 4*testkit.Patience, "everything is flushed", func() bool {
		return w.tool(w.apis[0].env, "flush", "--timeout", "20s") == nil
	})
	testkit.Eventually(w.t, "no dead letter is open", func() bool {
		out, err := w.command(w.t.Context(), w.builds[0], w.apis[0].env, "dead", "list", "--state", "open",
			"--json").Output()
		var list struct{ Letters []struct{ Number int64 } }
		if err != nil || json.Unmarshal(out, &list) != nil {
			return false
		}
		if w.sentinel != nil {
			open := make([]int64, len(list.Letters))
			for i, l := range list.Letters {
				open[i] = l.Number
			}
			w.forgotten(open)
		}
		return len(list.Letters) == 0
	})
	w.tally.recovered(time.Since(began))
}

// ranked compares the order of the ranks with the records.
func (w *world) ranked(players map[string]*register) {
	var seqs []int64
	for _, r := range players {
		if now := r.now(); now.exists {
			seqs = append(seqs, now.seq)
		}
	}
	slices.SortFunc(seqs, func(a, b int64) int { return cmp.Compare(b, a) })
	got, err := w.request(w.apis[0], http.MethodGet, fmt.Sprintf("/v1/player?top=%d", len(players)), nil)
	require.NoError(w.t, err)
	var ranked []int64
	records, _ := got.fields["records"].([]any)
	for _, record := range records {
		fields, _ := record.(map[string]any)
		ranked = append(ranked, stateOf(fields).seq)
	}
	require.Equal(w.t, seqs, ranked, got.text)
}

func (w *world) rows(entity string) map[string]state {
	columns := "seq, a, b"
	if entity == "count" {
		columns = "seq, 0, 0"
	}
	rows, err := w.sql.QueryContext(w.t.Context(), "SELECT id, "+columns+" FROM hammer_"+entity)
	require.NoError(w.t, err)
	defer rows.Close()
	found := map[string]state{}
	for rows.Next() {
		var id string
		s := state{exists: true}
		require.NoError(w.t, rows.Scan(&id, &s.seq, &s.a, &s.b))
		found[id] = s
	}
	require.NoError(w.t, rows.Err())
	return found
}
