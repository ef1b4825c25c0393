package plan

import (
	"fmt"
	"os"
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

var load = Load{Writes: 5000, Hot: 0.2, Size: 400, Entities: 12, Cached: 100_000, Outage: 10 * time.Minute,
	Database: "postgres"}

func TestMake(t *testing.T) {
	lines := Make(load)
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
	lines = Make(large)
	require.EqualValues(t, 6, line(t, lines, "Redis primaries"))
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

// docs/CAPACITY.md has the figures that were measured, and every line of a plan.
func TestCapacityPage(t *testing.T) {
	text, err := os.ReadFile("../../docs/CAPACITY.md")
	require.NoError(t, err)
	for _, s := range sizes {
		require.Contains(t, string(text), fmt.Sprintf("| %.0f | %.0f | %.0f | %.0f |", s.values, s.pending, s.file,
			s.cached))
	}
	for _, l := range Make(load) {
		require.Contains(t, string(text), "| "+l.Name+" |")
	}
	require.True(t, strings.Contains(string(text), "18 µs") && strings.Contains(string(text), "17 µs"))
}
