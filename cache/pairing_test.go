package cache_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/schema"
)

// The pairing is kept by its first writer, changed only from what its caller saw, and gone
// when Redis is emptied.
func TestPairing(t *testing.T) {
	b := setup(t)
	got, err := b.Pairing(t.Context())
	require.NoError(t, err)
	require.True(t, got.None())
	first, second := schema.Pairing{Deployment: "d", Life: "1"}, schema.Pairing{Deployment: "d", Life: "2"}
	pair := func(seen, with schema.Pairing) bool {
		t.Helper()
		paired, err := b.Pair(t.Context(), seen, with)
		require.NoError(t, err)
		return paired
	}
	require.True(t, pair(schema.Pairing{}, first))
	require.False(t, pair(schema.Pairing{}, second), "another was faster")
	require.False(t, pair(second, first))
	got, err = b.Pairing(t.Context())
	require.NoError(t, err)
	require.Equal(t, first, got)
	require.True(t, pair(first, second))
	require.NoError(t, b.RDB.Del(t.Context(), b.Under+":{_}:pairing").Err())
	require.True(t, pair(schema.Pairing{}, first))
}
