package rdb_test

import (
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/internal/rdb"
)

// Of two components in one registry the second gets an error, leaves nothing behind, and is
// let in when the first is gone.
func TestScope(t *testing.T) {
	t.Parallel()
	registry := prometheus.NewRegistry()
	metrics := func() (collectors []prometheus.Collector) {
		for _, name := range []string{"own", "taken"} {
			collectors = append(collectors, prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: "help"}))
		}
		return collectors
	}
	taken := metrics()[1]
	require.NoError(t, registry.Register(taken))
	second := rdb.NewScope(registry)
	second.MustRegister(metrics()...)
	require.ErrorContains(t, second.Err(), "prometheus.WrapRegistererWith")
	families, err := registry.Gather()
	require.NoError(t, err)
	require.Len(t, families, 1, "whole or not at all")
	require.True(t, registry.Unregister(taken))
	third := rdb.NewScope(registry)
	third.MustRegister(metrics()...)
	require.NoError(t, third.Err())
	third.Drop()
	none := rdb.NewScope(nil)
	none.MustRegister(metrics()...)
	require.NoError(t, none.Err())
}
