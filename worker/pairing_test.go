package worker

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/schema"
	"github.com/afterwrite/afterwrite/store/ledger"
)

// pairDatabase gives the database's side of the pairing.
func (b *bench) pairDatabase(with schema.Pairing) {
	b.t.Helper()
	err := b.store.Pair(b.t.Context(), "", func(context.Context, schema.Pairing) (ledger.Pairs, error) {
		return ledger.Pairs{With: with}, nil
	})
	require.NoError(b.t, err)
}

// A flush writes nothing unless Redis, as the batch is read from it, and the database, as its
// fence is locked, belong together: whatever was exchanged in between is seen, at once.
func TestNothingIsFlushedIntoAnotherDatabase(t *testing.T) {
	onEach(t, func(t *testing.T, b *bench) {
		w := b.worker()
		sides := []schema.Pairing{{}, {Deployment: "d1", Life: "l1"}, {Deployment: "d1", Life: "l2"},
			{Deployment: "d2", Life: "l3"}}
		flushed := 0
		held := schema.Pairing{}
		for _, database := range sides {
			b.pairDatabase(database)
			for _, redis := range sides {
				paired, err := b.cache.Pair(t.Context(), held, redis)
				require.NoError(t, err)
				require.True(t, paired)
				held = redis
				b.put("a", database.Life+redis.Life)
				before := b.names()["a"]
				if redis != database {
					for range 2 { // a backlog is read ahead of the lock on SQLite
						b.flush(w)
						require.Equal(t, before, b.names()["a"], "%v into %v", redis, database)
						require.EqualValues(t, 1, b.stats().Pending)
						w.backlogs.Store(place{b.e.Name, 0}, true)
						_ = w.sweepOnce(t.Context())
					}
					w.backlogs.Clear()
					continue
				}
				b.drain(w)
				require.Equal(t, database.Life+redis.Life, b.names()["a"])
				flushed++
			}
			// Let the last write go with its own side, so that the next round begins again.
			paired, err := b.cache.Pair(t.Context(), held, database)
			require.NoError(t, err)
			require.True(t, paired)
			held = database
			b.drain(w)
		}
		require.Equal(t, len(sides), flushed)
		b.quiet(0)
	})
}
