package ledger_test

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/schema"
	"github.com/afterwrite/afterwrite/store/fault"
	"github.com/afterwrite/afterwrite/store/ledger"
)

// Of any number of processes that pair at once each decides on what the one before it
// decided; a decision that fails changes nothing.
func TestPairOneAtATime(t *testing.T) {
	onEach(t, func(t *testing.T, url string) {
		b := setup(t, url, nil)
		none, err := b.Pairing(t.Context(), "aw")
		require.NoError(t, err)
		require.True(t, none.None())

		var all sync.WaitGroup
		firsts := 0 // guarded by the row's lock
		for i := range 8 {
			all.Go(func() {
				err := b.Pair(t.Context(), "aw", func(_ context.Context, stored schema.Pairing) (ledger.Pairs, error) {
					if !stored.None() {
						return ledger.Pairs{With: stored}, nil
					}
					firsts++
					return ledger.Pairs{With: schema.Pairing{Deployment: "d" + strconv.Itoa(i), Life: "l"}}, nil
				})
				require.NoError(t, err)
			})
		}
		all.Wait()
		require.Equal(t, 1, firsts)
		first, err := b.Pairing(t.Context(), "aw")
		require.NoError(t, err)
		require.False(t, first.None())

		refused := errors.New("they differ")
		err = b.Pair(t.Context(), "aw", func(_ context.Context, stored schema.Pairing) (ledger.Pairs, error) {
			require.Equal(t, first, stored)
			return ledger.Pairs{}, refused
		})
		require.ErrorIs(t, err, refused)
		require.False(t, fault.Unavailable(err))
		err = b.Pair(t.Context(), "other", func(context.Context, schema.Pairing) (ledger.Pairs, error) {
			return ledger.Pairs{}, refused
		})
		require.ErrorIs(t, err, refused)
		for name, want := range map[string]schema.Pairing{"aw": first, "other": {}} {
			got, err := b.Pairing(t.Context(), name)
			require.NoError(t, err)
			require.Equal(t, want, got, name)
		}
	})
}

// A loss stays open until an operator acknowledges it, once, with a reason; the audit has
// both.
func TestLosses(t *testing.T) {
	onEach(t, func(t *testing.T, url string) {
		b := setup(t, url, nil)
		at := time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)
		require.NoError(t, b.NoteLosses(t.Context(),
			ledger.Loss{At: at, Entity: "account", Life: "l1", Why: "emptied"},
			ledger.Loss{Entity: "other", Life: "l1", Records: 3, Why: "evicted"}))
		open, err := b.OpenLosses(t.Context())
		require.NoError(t, err)
		require.Len(t, open, 2)
		require.Equal(t, ledger.Loss{Number: open[0].Number, At: at, Entity: "account", Life: "l1", Why: "emptied"},
			open[0])
		require.WithinDuration(t, time.Now(), open[1].At, time.Minute)
		of, err := b.LossesOf(t.Context(), "l1")
		require.NoError(t, err)
		require.Equal(t, open, of)
		of, err = b.LossesOf(t.Context(), "l2")
		require.NoError(t, err)
		require.Empty(t, of)

		n, err := b.Acknowledge(t.Context(), open[:1], "restored by hand", admin)
		require.NoError(t, err)
		require.Equal(t, 1, n)
		n, err = b.Acknowledge(t.Context(), open, "seen", admin)
		require.NoError(t, err)
		require.Equal(t, 1, n, "one was acknowledged before")
		open, err = b.OpenLosses(t.Context())
		require.NoError(t, err)
		require.Empty(t, open)

		// It was noted before, though it is acknowledged; counted ones may be alike, and another life is another loss.
		again := []ledger.Loss{{Entity: "account", Life: "l1", Why: "again"}, {Entity: "other", Life: "l1", Records: 3},
			{Entity: "account", Life: "l2", Why: "again"}}
		failed := make(chan error)
		for range 4 {
			go func() { failed <- b.NoteLosses(t.Context(), again[0], again[2]) }()
		}
		for range 4 {
			if err := <-failed; err != nil {
				t.Log("the unique key has refused it:", err)
			}
		}
		require.NoError(t, b.NoteLosses(t.Context(), again...))
		open, err = b.OpenLosses(t.Context())
		require.NoError(t, err)
		require.Len(t, open, 2)
		_, err = b.Acknowledge(t.Context(), open, "seen", admin)
		require.NoError(t, err)

		log, err := b.AuditLog(t.Context(), ledger.AuditQuery{})
		require.NoError(t, err)
		require.Len(t, log, 8)
		log = log[4:]
		require.Equal(t, ledger.LossAcknowledged, log[1].Action)
		require.Equal(t, "restored by hand", log[1].Detail["reason"])
		require.Equal(t, admin, log[1].Actor)
		require.Equal(t, ledger.RedisLost, log[3].Action)
	})
}
