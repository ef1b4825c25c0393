package hammer

import (
	"cmp"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/internal/testkit"
)

// previous is the release before this one, N−1: a commit. A release raises it to the commit of the one before.
const previous = "ca7520d"

// TestUpgrade replaces the processes of the release before by those of this build, one at a time and under load, with
// the migrations between, and goes back again. No acknowledged write is lost, no read is stale, no row moves back, and
// the operators' commands of both builds work while both run.
func TestUpgrade(t *testing.T) {
	t.Parallel()
	from := cmp.Or(os.Getenv("TESTKIT_UPGRADE_FROM"), previous)
	find := exec.CommandContext(t.Context(), "git", "cat-file", "-e", from+"^{commit}")
	find.Dir = testkit.Root(t)
	if out, err := find.CombinedOutput(); err != nil {
		t.Skipf("the source of the release before, %s, is not here (a clone without its history?): %v %s", from, err, out)
	}
	old, now := built(t, checkedOut(t, from)), built(t, testkit.Root(t))
	t.Run("postgres", func(t *testing.T) { upgrade(t, testkit.DedicatedPostgres(t, true), old, now) })
	t.Run("mariadb", func(t *testing.T) { upgrade(t, testkit.DedicatedMariaDB(t, true), old, now) })
}

func upgrade(t *testing.T, d database, old, now string) {
	w := newWorld(t, site{database: d}, []string{old}, testkit.Random(t))
	l := w.load()
	l.goesOn("all of the release before")

	w.builds = []string{now}
	require.NoError(t, w.tool(w.apis[0].env, "migrate"))
	l.goesOn("migrated")
	for _, p := range append(append([]*process{}, w.workers...), w.apis...) {
		l.replace(p, now)
		w.bothWork(old, now)
	}
	l.goesOn("all of this build")

	for _, p := range w.processes() { // APIs first
		l.replace(p, old)
		w.bothWork(now, old)
	}
	l.goesOn("all of the release before again")
	l.end() // and what is left is right for this build, too
	var losses int
	require.NoError(t, w.sql.QueryRow("SELECT count(*) FROM afterwrite_losses").Scan(&losses))
	require.Zero(t, losses, "no build takes the other's flushes for those of another Redis")
}

// replace ends a process as a supervisor does and starts it from a build, and waits until the load has gone on for a
// while with both.
func (l *load) replace(p *process, build string) {
	l.w.t.Helper()
	p.signal(syscall.SIGTERM, build)
	testkit.Within(l.w.t, 2*testkit.Patience, p.kind+" runs from the other build", func() bool {
		return p.runs(build) && l.w.ready(p.addr)
	})
	l.goesOn(p.kind + " replaced")
}

// goesOn waits until each entity was written and read for a while.
func (l *load) goesOn(when string) {
	l.w.t.Helper()
	before := l.w.tally.now()
	testkit.Within(l.w.t, 2*testkit.Patience, when+": writes and reads go on", func() bool {
		after := l.w.tally.now()
		for _, entity := range entities {
			if after["writes "+entity]-before["writes "+entity] < 10 {
				return false
			}
		}
		return after["reads checked"]-before["reads checked"] > 200
	})
	require.Empty(l.w.t, l.w.tally.violations(), when)
}

// bothWork runs operators' commands of two builds while processes of both run. What fails is reported with what it
// said.
func (w *world) bothWork(builds ...string) {
	w.t.Helper()
	for _, build := range builds {
		for _, command := range []string{"status", "dead list", "fsck doc", "audit"} {
			args := strings.Fields(command)
			out, err := w.command(w.t.Context(), build, w.apis[0].env, args...).CombinedOutput()
			require.NoError(w.t, err, "%s: %s", command, out)
			if args[0] == "status" {
				for _, p := range []string{"api", "worker"} {
					require.Equal(w.t, 2, strings.Count(string(out), "\n"+p+" "), "%s", out)
				}
			}
		}
	}
}
