package main

import (
	"context"
	"testing"

	prom "github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/cache"
	"github.com/afterwrite/afterwrite/internal/testkit"
	"github.com/afterwrite/afterwrite/producer"
	"github.com/afterwrite/afterwrite/schema"
)

// noRows is a database without rows.
type noRows struct{}

func (noRows) Load(context.Context, *schema.Entity, []string) (map[string]schema.Values, error) {
	return nil, nil
}

// Two caches, or two producers, on one registry are an error that says what to do, not a
// panic, and what is closed makes room.
func TestTwoOfOneKindOnOneRegistry(t *testing.T) {
	t.Parallel()
	registry := prom.NewRegistry()
	cfg := cache.Config{URL: testkit.SharedRedis(t).URL(), Registerer: registry}
	first, err := cache.New(cfg)
	require.NoError(t, err)
	_, err = cache.New(cfg)
	require.ErrorContains(t, err, "prometheus.WrapRegistererWith")
	shared := prom.NewRegistry()
	for _, name := range []string{"first", "second"} {
		labelled := cfg
		labelled.Registerer = prom.WrapRegistererWith(prom.Labels{"cache": name}, shared)
		c, err := cache.New(labelled)
		require.NoError(t, err, "each with a label of its own")
		defer c.Close()
	}
	writes := producer.Config{Cache: first, Loader: noRows{}, Registerer: registry}
	p, err := producer.New(writes)
	require.NoError(t, err)
	_, err = producer.New(writes)
	require.ErrorContains(t, err, "prometheus.WrapRegistererWith")
	require.NoError(t, p.Close())
	require.NoError(t, first.Close())
	again, err := cache.New(cfg)
	require.NoError(t, err)
	require.NoError(t, again.Close())
}
