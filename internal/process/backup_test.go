package process

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/schema"
	"github.com/afterwrite/afterwrite/store/ledger"
)

// turn is the turn that the database has committed; "" for none.
func (b *olderBench) turn() (number int64, id string) {
	b.t.Helper()
	turns, err := b.Store.Turns(b.t.Context())
	require.NoError(b.t, err)
	for _, t := range turns {
		number, id = t.Turn, t.TurnID
	}
	return number, id
}

// restore has the fence as it was at a turn, as an older backup of the database has it.
func (b *olderBench) restore(turn int64, id string) {
	b.t.Helper()
	query := "DELETE FROM afterwrite_fences"
	if turn > 0 {
		query = fmt.Sprintf("UPDATE afterwrite_fences SET turn = %d, turn_id = '%s'", turn, id)
	}
	_, err := b.db.ExecContext(b.t.Context(), query)
	require.NoError(b.t, err)
}

// wentBack checks that one loss of rows is open, and acknowledges it.
func (b *olderBench) wentBack() {
	b.t.Helper()
	losses, err := b.Losses(b.t.Context(), b.Config.Entities)
	require.NoError(b.t, err)
	require.Len(b.t, losses, 1)
	require.True(b.t, losses[0].OfRows(), losses[0].Why)
	require.NotZero(b.t, losses[0].Number)
	n, err := b.Acknowledge(b.t.Context(), losses, "a test", ledger.Actor{Name: "test"})
	require.NoError(b.t, err)
	require.Equal(b.t, 1, n)
}

// TestI3OlderDatabase: a database that lacks even one flush that Redis knows to be committed, as after an older backup
// was restored or a standby that lagged took over, is known before anything is flushed into it. The loss is noted
// once, what is cached stays, and all goes on.
func TestI3OlderDatabase(t *testing.T) {
	onOlder(t, func(t *testing.T, b *olderBench) {
		none := func() {
			require.NoError(t, b.CheckPairing(t.Context()))
			losses, err := b.Losses(t.Context(), b.Config.Entities)
			require.NoError(t, err)
			require.Empty(t, losses)
		}
		for back := range 4 { // flushes that the database lacks; at first it has none
			turn, id := b.turn()
			for i := range back + 1 {
				b.put(fmt.Sprint("a", i), back)
				b.drain()
			}
			none()
			b.restore(turn, id)
			b.put("since", back)
			require.ErrorIs(t, b.flush(100), schema.ErrOlder, "it would hide that the database is older")
			unnoted, err := b.Losses(t.Context(), b.Config.Entities)
			require.NoError(t, err)
			require.Len(t, unnoted, 1)
			require.True(t, unnoted[0].OfRows())
			require.NoError(t, b.CheckPairing(t.Context()))
			require.NoError(t, b.CheckPairing(t.Context()))
			require.Equal(t, fmt.Sprint(back), b.read("a0"), "what is cached may be all that is left")
			b.drain()
			b.wentBack()
			none()
		}
	})
}

// TestNoOlderDatabase: a flush that was rolled back, one that another process has committed meanwhile, turns of another
// Redis, and a pairing on purpose tell of no older database, and flushes go on.
func TestNoOlderDatabase(t *testing.T) {
	onOlder(t, func(t *testing.T, b *olderBench) {
		goesOn := func() {
			require.NoError(t, b.CheckPairing(t.Context()))
			losses, err := b.Losses(t.Context(), b.Config.Entities)
			require.NoError(t, err)
			require.Empty(t, losses)
			b.put("a", 1)
			b.drain()
			require.NoError(t, b.CheckPairing(t.Context()))
			require.Zero(t, b.stats().Imbalance())
		}
		goesOn()
		for range 2 {
			f, err := b.Store.Begin(t.Context(), b.e, 0)
			require.NoError(t, err)
			b.put("b", 1)
			batch, err := b.Pending.Due(t.Context(), b.e, 0, 10, 1<<20)
			require.NoError(t, err)
			require.NoError(t, b.Pending.Note(t.Context(), b.e, 0, &batch, f.Before(), f.Turn()))
			f.Rollback()
			goesOn()
		}
		_, err := b.db.ExecContext(t.Context(), "UPDATE afterwrite_fences SET turn_of = 'another'")
		require.NoError(t, err)
		goesOn()
		_, err = b.PairAnew(t.Context(), ledger.Actor{Name: "test"})
		require.NoError(t, err)
		goesOn()
	})
}
