package worker

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/internal/testkit"
	"github.com/afterwrite/afterwrite/schema"
)

// TestNothingCrossesBetweenTwoDeployments: while Redis and the database do not belong
// together, policies of the one move no record of the other and no dead letter is closed.
func TestNothingCrossesBetweenTwoDeployments(t *testing.T) {
	t.Parallel()
	b := setup(t, testkit.SQLite(t))
	apart := schema.Unpaired("the database is another one")
	w := b.worker(func(c *Config) { c.Unpaired = func() error { return apart } })
	w.leading.Store(true)
	tasks := map[string]func(context.Context) error{"follow": w.follow, "move": w.move, "tidy": w.tidy}
	for name, do := range tasks {
		require.ErrorIs(t, do(t.Context()), schema.ErrUnpaired, name)
	}
	require.False(t, w.policies.known.Load())
	apart = nil
	for name, do := range tasks {
		require.NoError(t, do(t.Context()), name)
	}
}
