// Package hammer has the test that is the nearest to a bad hour in production: APIs and
// workers as processes, faults in every place at once and at random, operators at work, and
// clients that check what they read as they read it. Registers, one for each record, say
// what may be read; the tables are watched for rows that move back.
//
//	make hammer HAMMERTIME=1h                    an hour in each mode
//	make hammer MODE=sqlite                      in one mode
//	make hammer OTHER=v1.2.0                     processes of that commit among them
//
// TESTKIT_HAMMER_FAULTS is a pattern of the names of the faults that a run draws from; without it
// it draws from all. It runs for 20 s in each mode that is not rare among the other tests.
package hammer

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/internal/testkit"
)

const (
	writers        = 6
	readers        = 4
	recordsPerOne  = 8                // of each entity, for each writer
	defaultLasting = 20 * time.Second // of each mode
)

var entities = []string{"doc", "slow", "count", "player", "through", "around", "strict"}

// mode is what a run is made of. Disks are nil where the test may not mount any.
type mode struct {
	name     string
	database func(t *testing.T, on *testkit.Disk) database
	sentinel bool // Redis has a replica, and a sentinel
	rare     bool // not among the other tests
}

func modes() []mode {
	postgres := func(t *testing.T, on *testkit.Disk) database { return testkit.PostgresOnDisk(t, true, on) }
	return []mode{
		{name: "postgres", database: postgres},
		{name: "sqlite", database: func(t *testing.T, on *testkit.Disk) database { return newFile(t, on) }},
		{name: "sentinel", database: postgres, sentinel: true},
		{name: "mariadb", rare: true,
			database: func(t *testing.T, on *testkit.Disk) database { return testkit.MariaDBOnDisk(t, true, on) }},
		{name: "mysql", rare: true,
			database: func(t *testing.T, on *testkit.Disk) database { return testkit.MySQLOnDisk(t, true, on) }},
	}
}

// TestHammer: no acknowledged write is lost, no read is stale, no row moves back.
func TestHammer(t *testing.T) {
	t.Parallel()
	lasting, given := defaultLasting, os.Getenv("TESTKIT_HAMMER")
	if given != "" {
		var err error
		lasting, err = time.ParseDuration(given)
		require.NoError(t, err)
	}
	builds := []string{built(t, testkit.Root(t))}
	if other := os.Getenv("TESTKIT_HAMMER_OTHER"); other != "" {
		builds = append(builds, built(t, checkedOut(t, other)))
	}
	for _, m := range modes() {
		if given == "" && m.rare {
			continue
		}
		t.Run(m.name, func(t *testing.T) { hammer(t, m, builds, lasting) })
	}
}

// built builds the program from a directory with its source.
func built(t *testing.T, source string) string {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "afterwrite")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", binary, "./cmd/afterwrite")
	build.Dir = source
	out, err := build.CombinedOutput()
	require.NoError(t, err, string(out))
	return binary
}

// checkedOut is a directory with the source of a commit.
func checkedOut(t *testing.T, commit string) string {
	t.Helper()
	dir := t.TempDir()
	git := exec.CommandContext(t.Context(), "sh", "-c", `git archive "$1" | tar -x -C "$2"`, "sh", commit, dir)
	git.Dir = testkit.Root(t)
	out, err := git.CombinedOutput()
	require.NoError(t, err, string(out))
	return dir
}

func hammer(t *testing.T, m mode, builds []string, lasting time.Duration) {
	var s site
	if onRedis, err := testkit.NewDisk(t); err != nil {
		t.Logf("no disk will be full: %v", err)
	} else {
		s.redisDisk = onRedis
		s.databaseDisk, err = testkit.NewDisk(t)
		require.NoError(t, err)
	}
	s.database, s.sentinel = m.database(t, s.databaseDisk), m.sentinel
	w := newWorld(t, s, builds, testkit.Random(t))
	l := w.load()
	w.hammer(lasting, l.registers)
	t.Logf("after %s:\n%s", lasting, w.tally)
	l.end()
}

// load is what the clients of a run do.
type load struct {
	w         *world
	registers map[string]map[string]*register // entity → id
	stuck     context.Context                 // ends when a write is given up
	giveUp    context.CancelFunc
	over      chan struct{} // closed: the clients stop at the end of what they do
	clients   sync.WaitGroup
}

// load begins to write and read with all clients.
func (w *world) load() *load {
	l := &load{w: w, registers: map[string]map[string]*register{}, over: make(chan struct{})}
	l.stuck, l.giveUp = context.WithCancel(context.Background())
	owned := make([][]*register, writers)
	var all []*register
	for i, entity := range entities {
		l.registers[entity] = map[string]*register{}
		for n := range writers * recordsPerOne {
			id := fmt.Sprintf("%s-%d", entity, n)
			if entity == "slow" {
				id = fmt.Sprint(n + i)
			}
			r := newRegister(entity, id)
			l.registers[entity][id] = r
			owned[n%writers] = append(owned[n%writers], r)
			all = append(all, r)
		}
	}
	for _, mine := range owned {
		l.client(func(its *rand.Rand) { w.write(l.stuck, mine[its.IntN(len(mine))], its) })
	}
	for range readers {
		l.client(func(its *rand.Rand) { w.read(all[its.IntN(len(all))], its) })
	}
	l.client(func(its *rand.Rand) {
		per := writers * recordsPerOne
		at := its.IntN(len(all)/per) * per
		w.readMany(all[at:at+10], its)
	})
	l.client(func(*rand.Rand) { w.watch(w.t.Context(), l.registers); time.Sleep(200 * time.Millisecond) })
	return l
}

// client does something again and again until the load is over.
func (l *load) client(do func(random *rand.Rand)) {
	its := rand.New(rand.NewPCG(l.w.random.Uint64(), 0)) // drawn here: a source is not safe for two
	l.clients.Go(func() {
		for {
			select {
			case <-l.over:
				return
			default:
				l.w.calm.RLock()
				do(its)
				l.w.calm.RUnlock()
				time.Sleep(pace)
			}
		}
	})
}

// end stops the clients, waits until the database has everything, and compares all there is.
func (l *load) end() {
	w := l.w
	close(l.over)
	patience := time.AfterFunc(2*testkit.Patience, l.giveUp)
	l.clients.Wait()
	patience.Stop()
	w.mend(l.stuck, l.registers["strict"])
	l.giveUp()
	require.Empty(w.t, w.tally.violations())
	w.settled(l.registers)
	w.t.Logf("in the end:\n%s", strings.TrimSpace(w.tally.String()))
}
