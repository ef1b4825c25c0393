package dashboard_test

import (
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/cache/pending"
	"github.com/afterwrite/afterwrite/internal/fleet"
	"github.com/afterwrite/afterwrite/schema"
)

// The quantiles of lag are those of all workers' records together, not of one worker.
func TestLagQuantilesOfAllWorkers(t *testing.T) {
	s := healthy()
	var fast, slow pending.Lags
	for range 98 {
		fast.Add(20 * time.Millisecond)
	}
	slow.Add(2 * time.Second)
	slow.Add(2 * time.Second)
	s.processes = []fleet.Process{
		{Kind: "worker", ID: "host-7", Info: map[string]string{"busy": "1", "lags": fast.String()}},
		{Kind: "worker", ID: "host-8", Info: map[string]string{"busy": "2", "lags": slow.String()}},
	}
	_, html := get(t, pages(t, s), "/")
	shown := text(html)
	require.Contains(t, shown, "Lag p50, last minute 24 ms")
	require.Contains(t, shown, "Lag p99, last minute 2.0 s")
	require.Contains(t, shown, "host-8 busy 2")
	require.NotContains(t, shown, fast.String(), "what the quantiles are made of is for no reader")

	s.processes = s.processes[:0]
	_, html = get(t, pages(t, s), "/")
	require.Contains(t, text(html), "Lag p99, last minute —")
}

// A real worker tells its lags, and the charts have them.
func TestLagOfARealWorker(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	d.put("user", "ada", map[string]any{"name": "Ada"})
	d.await("user", "ada", schema.Persisted)
	var columns struct {
		At   []int64    `json:"at"`
		Half []*float64 `json:"half"`
		Most []*float64 `json:"most"`
	}
	d.eventually("the charts have the lag of the write", func() bool {
		r, text := d.visit(http.MethodGet, "/series.json", "", nil)
		require.Equal(t, http.StatusOK, r.StatusCode)
		require.NoError(t, json.Unmarshal([]byte(text), &columns))
		n := len(columns.Most)
		return n > 0 && columns.Most[n-1] != nil
	})
	last := len(columns.At) - 1
	require.Len(t, columns.Half, last+1)
	require.Positive(t, *columns.Half[last])
	require.LessOrEqual(t, *columns.Half[last], *columns.Most[last])
}
