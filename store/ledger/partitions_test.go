package ledger_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/schema"
	"github.com/afterwrite/afterwrite/store/fault"
)

func TestAdopt(t *testing.T) {
	onEach(t, func(t *testing.T, url string) {
		e := account(t)
		b := open(t, url, []*schema.Entity{e})
		_, err := b.Adopt(t.Context(), e)
		require.ErrorIs(t, err, fault.ErrNotMigrated)
		require.NoError(t, b.Ping(t.Context()))
		b = setup(t, url, []*schema.Entity{e})
		for range 2 {
			stored, err := b.Adopt(t.Context(), e)
			require.NoError(t, err)
			require.Equal(t, 16, stored)
		}
		e.Partitions = 4
		stored, err := b.Adopt(t.Context(), e)
		require.NoError(t, err)
		require.Equal(t, 16, stored)
		require.NoError(t, b.SetPartitions(t.Context(), e))
		stored, err = b.Adopt(t.Context(), e)
		require.NoError(t, err)
		require.Equal(t, 4, stored)
	})
}
