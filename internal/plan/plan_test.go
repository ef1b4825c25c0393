package plan

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func line(t *testing.T, lines []Line, name string) float64 {
	t.Helper()
	for _, l := range lines {
		if l.Name == name {
			return l.Value
		}
	}
	t.Fatalf("there is no %s", name)
	return 0
}

func how(t *testing.T, lines []Line, name string) string {
	t.Helper()
	for _, l := range lines {
		if l.Name == name {
			return l.How
		}
	}
	t.Fatalf("there is no %s", name)
	return ""
}

var load = Load{Writes: 5000, Hot: 0.2, Size: 400, Entities: 12, Cached: 100_000, Outage: 10 * time.Minute,
	Database: "postgres"}

func TestMake(t *testing.T) {
	lines := Make(load, Shipped(load.Database))
	require.NoError(t, load.Check())
	require.EqualValues(t, 4000, line(t, lines, "rows persisted"))
	require.InDelta(t, 15.8, line(t, lines, "Redis processor"), 0.01)
	require.EqualValues(t, 1, line(t, lines, "Redis primaries"))
	require.EqualValues(t, 200_000, line(t, lines, "flush.max_pending"))
	require.EqualValues(t, 2, line(t, lines, "workers"))
	require.EqualValues(t, 4, line(t, lines, "partitions"))
	require.InDelta(t, 4000*600*679, line(t, lines, "Redis backlog"), 5e6)

	large := load
	large.Writes, large.Hot = 100_000, 0
	lines = Make(large, Shipped(large.Database))
	tooMuch := large
	tooMuch.Database = "sqlite"
	require.Contains(t, how(t, Make(tooMuch, Shipped("sqlite")), "workers"), "too much")
	small := load
	small.Database = "sqlite"
	require.NotContains(t, how(t, Make(small, Shipped("sqlite")), "workers"), "too much")
	require.EqualValues(t, 8, line(t, lines, "Redis primaries"))
	require.EqualValues(t, 8, line(t, lines, "workers"))
	require.EqualValues(t, 10, line(t, lines, "apis"))
	require.EqualValues(t, 32, line(t, lines, "partitions"))
}

// What was measured comes back, what lies between lies on the line, and more is never less.
func TestMeasured(t *testing.T) {
	for _, s := range sizes {
		require.InDelta(t, s.pending, measured(s.values).pending, 0.01)
		require.InDelta(t, s.cached, measured(s.values).cached, 0.01)
	}
	last := 0.0
	for values := 1.0; values < 1<<20; values *= 1.5 {
		s := measured(values)
		require.GreaterOrEqual(t, s.pending, last)
		require.Positive(t, s.file)
		last = s.pending
	}
}

func TestCheck(t *testing.T) {
	nan := math.NaN()
	for _, change := range []func(*Load){func(l *Load) { l.Writes = nan }, func(l *Load) { l.Hot = nan }} {
		l := load
		change(&l)
		require.Error(t, l.Check())
	}
	for name, change := range map[string]func(*Load){
		"writes": func(l *Load) { l.Writes = 0 }, "hot": func(l *Load) { l.Hot = 1 },
		"size":     func(l *Load) { l.Size = 0 },
		"entities": func(l *Load) { l.Entities = 0 }, "outage": func(l *Load) { l.Outage = 0 },
		"database": func(l *Load) { l.Database = "oracle" },
	} {
		l := load
		change(&l)
		require.ErrorContains(t, l.Check(), name)
	}
}

// docs/CAPACITY.md has the rates that were measured, and every line of a plan.
func TestCapacityPage(t *testing.T) {
	text, err := os.ReadFile("../../docs/CAPACITY.md")
	require.NoError(t, err)
	for _, s := range sizes {
		require.Contains(t, string(text), fmt.Sprintf("| %.0f | %.0f | %.0f | %.0f |", s.values, s.pending, s.file,
			s.cached))
	}
	for _, l := range Make(load, Shipped(load.Database)) {
		require.Contains(t, string(text), "| "+l.Name+" |")
	}
	require.True(t, strings.Contains(string(text), "18 µs") && strings.Contains(string(text), "17 µs") &&
		strings.Contains(string(text), fmt.Sprintf("× %.1f", clusterCost)))
}

// Rates of another machine change what depends on them, and nothing else.
func TestRatesOfAnotherMachine(t *testing.T) {
	shipped := Make(load, Shipped("postgres"))
	f := Rates{Machine: "slow", Database: "postgres", Accept: 180, Flush: 170, Rows: 1000, Puts: 1000}
	lines := Make(load, f)
	require.InDelta(t, 158, line(t, lines, "Redis processor"), 0.1)
	require.EqualValues(t, 4, line(t, lines, "Redis primaries"))
	require.EqualValues(t, 7, line(t, lines, "workers"))
	require.EqualValues(t, 9, line(t, lines, "apis"))
	require.Equal(t, line(t, shipped, "Redis backlog"), line(t, lines, "Redis backlog"))
	for _, l := range lines {
		require.NotContains(t, l.How, "22,800", l.Name)
	}
}

// A file of rates is read as it was written; one that is no such file says what makes one.
func TestRatesInAFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "rates.json")
	want := Rates{Machine: "m", Database: "mysql", Accept: 1.5, Flush: 2, Rows: 3, Puts: 4}
	require.NoError(t, want.Write(file))
	got, err := Read(file)
	require.NoError(t, err)
	require.Equal(t, want, got)
	for text, name := range map[string]string{
		"{": "unexpected end", "{}": "is missing", `{"database":"oracle"}`: "is missing",
		`{"redis_accept_microseconds":1,"redis_flush_microseconds":1,"rows_per_second":1,"puts_per_second":1}`: "database",
		strings.Repeat(" ", maxFile+1): "more than",
	} {
		require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
		_, err := Read(file)
		require.ErrorContains(t, err, name)
		require.ErrorContains(t, err, "bench --plan")
	}
	require.Error(t, Rates{Database: "mysql"}.Write(file), "an incomplete run writes nothing")
	_, err = Read(filepath.Join(t.TempDir(), "none"))
	require.ErrorIs(t, err, os.ErrNotExist)
}
