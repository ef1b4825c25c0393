package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/internal/bench"
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
