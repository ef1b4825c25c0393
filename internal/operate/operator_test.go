package operate_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/cache/events"
	"github.com/afterwrite/afterwrite/internal/operate"
	"github.com/afterwrite/afterwrite/schema"
	"github.com/afterwrite/afterwrite/store/ledger"
)

func TestShow(t *testing.T) {
	onEach(t, func(t *testing.T, b *bundle) {
		b.put(1, "row-")
		b.flush()
		b.dead(2)
		letters, err := b.List(t.Context(), ledger.LetterFilter{ID: "u0000"}, 0, 10)
		require.NoError(t, err)
		require.Len(t, letters, 1)
		v, err := b.Show(t.Context(), letters[0].Number)
		require.NoError(t, err)
		require.False(t, v.Stale())
		require.Len(t, v.History, 1)
		require.Contains(t, v.Payload, "dead-u0000")
		require.True(t, v.Row.Exists)
		require.Contains(t, v.Row.Values, `"row-u0000"`)
		require.Equal(t, schema.Dead, v.State.Record.Status)

		_, err = b.producer.Put(t.Context(), "user", "u0000", schema.Fields{"name": "newer"})
		require.NoError(t, err)
		v, err = b.Show(t.Context(), letters[0].Number)
		require.NoError(t, err)
		require.True(t, v.Stale())
		_, err = b.Show(t.Context(), 1<<40)
		require.ErrorIs(t, err, ledger.ErrNoLetter)
	})
}

func TestEdit(t *testing.T) {
	onEach(t, func(t *testing.T, b *bundle) {
		b.dead(1)
		number := b.numbers(users)[0]
		_, err := b.Edit(t.Context(), number, schema.Fields{"age": 200}, ann)
		require.ErrorIs(t, err, schema.ErrInvalid, "validated like a write")
		accepted, err := b.Edit(t.Context(), number, schema.Fields{"email": "free@x", "age": 20}, ann)
		require.NoError(t, err)
		letter, err := b.store.Letter(t.Context(), number)
		require.NoError(t, err)
		require.Equal(t, ledger.Edited, letter.Resolution)
		require.Contains(t, letter.Payload, "dead-u0000", "the old payload is kept")
		require.Greater(t, accepted.Version, letter.Version)
		b.flush()
		require.Equal(t, schema.Values{`"n0"`, `"free@x"`, "20", "0", "null"}, b.row("u0000"))
		require.EqualValues(t, 1, b.total().Superseded)
		_, err = b.Edit(t.Context(), number, schema.Fields{"age": 21}, ann)
		require.ErrorIs(t, err, operate.ErrStale, "once")
		log, err := b.Audit(t.Context(), ledger.AuditQuery{})
		require.NoError(t, err)
		require.Len(t, log, 1)
		require.Equal(t, "dead.edited", log[0].Action)
	})
}

// A dead letter edited while a newer write arrives: the newer write wins, and the edit is
// refused with a clear answer.
func TestNewerWriteWinsOverAnEdit(t *testing.T) {
	onEach(t, func(t *testing.T, b *bundle) {
		b.dead(1)
		number := b.numbers(users)[0]
		newer, err := b.producer.Put(t.Context(), "user", "u0000", schema.Fields{"name": "newer"})
		require.NoError(t, err)
		_, err = b.Edit(t.Context(), number, schema.Fields{"name": "edited"}, ann)
		require.ErrorIs(t, err, operate.ErrStale)
		b.flush()
		require.Equal(t, `"newer"`, b.row("u0000")[0])
		_, err = b.Edit(t.Context(), number, schema.Fields{"name": "edited"}, ann)
		require.ErrorIs(t, err, operate.ErrStale)
		read, err := b.cache.Get(t.Context(), b.user, "u0000")
		require.NoError(t, err)
		require.Equal(t, newer.Version, read.Version)
		letter, err := b.store.Letter(t.Context(), number)
		require.NoError(t, err)
		require.Equal(t, ledger.Unresolved, letter.Resolution, "the sweeper closes it as superseded")
	})
}

func TestDeadDeletion(t *testing.T) {
	onEach(t, func(t *testing.T, b *bundle) {
		b.put(1, "row-")
		b.flush()
		_, err := b.producer.Delete(t.Context(), "user", "u0000")
		require.NoError(t, err)
		b.kill()
		number := b.numbers(users)
		_, err = b.Edit(t.Context(), number[0], schema.Fields{"name": "x"}, ann)
		require.ErrorIs(t, err, schema.ErrInvalid)
		r, err := b.Discard(t.Context(), operate.Selection{Numbers: number}, ann)
		require.NoError(t, err)
		require.Equal(t, 1, r.Done)
		b.flush()
		require.Contains(t, b.row("u0000"), `"row-u0000"`)
		read, err := b.cache.Get(t.Context(), b.user, "u0000")
		require.NoError(t, err)
		require.False(t, read.Deleted)
	})
}

// Whoever listens learns that letters are resolved, or sent back.
func TestEventsTell(t *testing.T) {
	onEach(t, func(t *testing.T, b *bundle) {
		b.dead(3)
		number := b.numbers(users)
		_, err := b.Retry(t.Context(), operate.Selection{Numbers: number[:1]}, ann)
		require.NoError(t, err)
		_, err = b.Discard(t.Context(), operate.Selection{Numbers: number[1:2]}, ann)
		require.NoError(t, err)
		_, err = b.Edit(t.Context(), number[2], schema.Fields{"age": 1}, ann)
		require.NoError(t, err)
		var events []events.Event
		since := time.Now().Add(-time.Minute)
		for kept, err := range b.cache.Bus().Events(t.Context(), []*schema.Entity{b.user}, since) {
			require.NoError(t, err)
			require.NotEmpty(t, kept.Events, "some are missing")
			events = append(events, kept.Events...)
		}
		told := map[string]int{}
		for _, e := range events {
			told[e.Type]++
			letter, err := b.store.LetterOf(t.Context(), "user", e.ID, e.Version)
			require.NoError(t, err, "the version is the letter's")
			require.Equal(t, "user", letter.Entity)
		}
		require.Equal(t, map[string]int{"dead": 3, "resolved": 3}, told)
	})
}

// All that waits is ordered at once, and the audit tells who did it.
func TestFlushNow(t *testing.T) {
	onEach(t, func(t *testing.T, b *bundle) {
		b.put(40, "x-")
		now, err := b.FlushNow(t.Context(), "user", ann)
		require.NoError(t, err)
		require.EqualValues(t, 40, now.Pending)
		require.Len(t, b.queue.list, len(now.Orders))
		require.NotEmpty(t, now.Orders)
		log, err := b.Audit(t.Context(), ledger.AuditQuery{Entity: "user"})
		require.NoError(t, err)
		require.Equal(t, "flush.now", log[0].Action)
		require.Equal(t, ann, log[0].Actor)
		require.EqualValues(t, 40, log[0].Detail["pending"])
		_, err = b.FlushNow(t.Context(), "nobody", ann)
		require.ErrorIs(t, err, schema.ErrUnknownEntity)
	})
}
