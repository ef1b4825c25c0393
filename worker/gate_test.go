package worker

import (
	"errors"
	"log/slog"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
)

// Whoever reads that the database is away wants to know what it said.
func TestGateSaysWhy(t *testing.T) {
	t.Parallel()
	var log strings.Builder
	g := newGate(slog.New(slog.NewTextHandler(&log, nil)), prometheus.NewGauge(prometheus.GaugeOpts{Name: "x"}))
	for range outages {
		leave, ok := g.enter()
		require.True(t, ok)
		g.blame(errors.New("no such table: users"))
		leave(away)
	}
	require.Contains(t, log.String(), "no such table: users")
	_, ok := g.enter()
	require.False(t, ok)
}
