package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/cmd/afterwrite/internal/local"
	"github.com/afterwrite/afterwrite/internal/bench"
	"github.com/afterwrite/afterwrite/internal/plan"
	"github.com/afterwrite/afterwrite/internal/testkit"
)

// The benchmark runs every section on Redis and a database that exist already, and
// leaves nothing behind.
func TestBench(t *testing.T) {
	t.Parallel()
	testkit.Databases(t, func(t *testing.T, url string) {
		d := deploy(t, url)
		server := testkit.Redis(t)
		client := server.Client(t)
		require.NoError(t, client.Set(t.Context(), "theirs", "1", 0).Err())
		chart := filepath.Join(t.TempDir(), "chart.svg")
		out := d.ok("bench", "--redis", server.URL(), "--database", url, "--json", "--svg", chart,
			"--runs", "1", "--seconds", "0.05", "--callers", "2", "--backlog", "1000", "--hot", "500")

		var report bench.Report
		require.NoError(t, json.Unmarshal([]byte(out), &report))
		sections := map[string]bool{}
		for _, f := range report.Figures {
			sections[f.Section] = true
			for _, s := range f.Series {
				require.NotEmpty(t, s.Values, "%s, %s", f.Name, s.Way)
			}
		}
		require.Len(t, sections, len(bench.Sections()))
		svg, err := os.ReadFile(chart)
		require.NoError(t, err)
		require.Contains(t, string(svg), "<svg")

		keys, err := client.Keys(t.Context(), "*").Result()
		require.NoError(t, err)
		for _, key := range keys {
			require.False(t, strings.HasPrefix(key, bench.Prefix+":"), key)
		}
		require.Equal(t, "1", client.Get(t.Context(), "theirs").Val())
	})
}

// What bench measures for a plan is what plan computes with.
func TestBenchForAPlan(t *testing.T) {
	t.Parallel()
	d := deploy(t, testkit.SQLite(t))
	require.Equal(t, exitUsage, d.run("", "bench", "--plan", "f.json", "--only", "http").code)
	d.ok("bench", "--redis", testkit.Redis(t).URL(), "--runs", "1", "--seconds", "0.05", "--backlog", "1000", "--plan",
		"f.json")
	var rates plan.Rates
	require.NoError(t, json.Unmarshal([]byte(d.read("f.json")), &rates))
	require.NoError(t, rates.Check())
	require.Equal(t, "sqlite", rates.Database)
	require.Contains(t, rates.Machine, "processors, Redis ")
	out := d.ok("plan", "--writes", "500/s", "--rates", "f.json")
	require.Contains(t, out, fmt.Sprintf("%.0f µs to accept a write", rates.Accept))
	require.Contains(t, out, "SQLite, which has one writer")
	for _, args := range [][]string{{"--rates", "none.json"}, {"--rates", "afterwrite.yaml"},
		{"--rates", "f.json", "--database", "postgres"}} {
		r := d.run("", append([]string{"plan", "--writes", "5"}, args...)...)
		require.Equal(t, exitUsage, r.code, r.err)
		require.Contains(t, r.err, "--rates")
	}
}

// A run that is killed takes its processes with it, and the next run removes its directory,
// and no other.
func TestKilledBench(t *testing.T) {
	t.Parallel()
	d := deploy(t, testkit.SQLite(t))
	temporary := filepath.Join(d.dir, "tmp")
	require.NoError(t, os.MkdirAll(filepath.Join(temporary, "afterwrite-bench-new"), 0o700))
	d.env = append(d.env, "TMPDIR="+temporary)
	alive := filepath.Join(temporary, "afterwrite-bench-alive")
	require.NoError(t, os.Mkdir(alive, 0o700))
	lock, err := os.Create(filepath.Join(alive, "lock"))
	require.NoError(t, err)
	defer lock.Close()
	require.NoError(t, local.TryLock(lock))
	dirs := func() int {
		found, err := filepath.Glob(filepath.Join(temporary, "*"))
		require.NoError(t, err)
		return len(found)
	}

	run := d.start("bench", "--only", "http", "--seconds", "60")
	logs := filepath.Join(temporary, "afterwrite-bench-*", "log")
	testkit.Eventually(t, "its processes run", func() bool {
		found, _ := filepath.Glob(logs)
		return len(found) == 1
	})
	require.Equal(t, 3, dirs())
	next := func() { require.Contains(t, d.run("", "bench", "--redis", "redis://127.0.0.1:1").err, "refused") }
	next()
	require.Equal(t, 3, dirs(), "it is alive")
	require.NoError(t, run.cmd.Process.Kill())
	<-run.done
	testkit.Eventually(t, "its directory is removed when its processes have ended", func() bool {
		next()
		return dirs() == 2
	})
	require.DirExists(t, alive)
}
