package operate_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/cache"
	"github.com/afterwrite/afterwrite/internal/operate"
	"github.com/afterwrite/afterwrite/internal/testkit"
	"github.com/afterwrite/afterwrite/schema"
	"github.com/afterwrite/afterwrite/store/ledger"
)

var users = ledger.LetterFilter{Entity: "user"}

// Two thousand letters go back in pages, and the database has them all in the end.
func TestRetryThousands(t *testing.T) {
	onEach(t, func(t *testing.T, b *bundle) {
		b.dead(2000)
		var steps []operate.Report
		r, err := b.Retry(t.Context(), operate.Selection{Filter: users, Expect: 2000,
			OnStep: func(r operate.Progress) { steps = append(steps, r.Report) }}, ann)
		require.NoError(t, err)
		require.Equal(t, operate.Report{Selected: 2000, Done: 2000}, r)
		require.Len(t, steps, 4)
		require.Equal(t, 500, steps[0].Done)
		require.Equal(t, 2000, b.count(ledger.LetterFilter{State: ledger.StateRetrying}))
		require.EqualValues(t, 2000, b.total().Pending)

		again, err := b.Retry(t.Context(), operate.Selection{Filter: users}, ann)
		require.NoError(t, err)
		require.Zero(t, again, "a repeat finds nothing")
		b.flush()
		total := b.total()
		require.EqualValues(t, 2000, total.Persisted)
		require.Zero(t, total.Pending+total.Dead)
	})
}

// A retry orders the flush of what it has put back.
func TestRetryOrdersAFlush(t *testing.T) {
	onEach(t, func(t *testing.T, b *bundle) {
		g := &cache.Group{Entity: b.user, Partition: b.user.Partition("a"), Writes: []cache.Write{
			{Op: cache.OpPut, ID: "a", Values: schema.Values{`"n"`, `"x"`, "null", "0", "null"}}}}
		b.cache.Write(t.Context(), g)
		require.NoError(t, g.Results[0].Err)
		b.kill()
		_, err := b.backlog.End(t.Context(), g.Order, false) // of the task that had it die
		require.NoError(t, err)
		_, err = b.Retry(t.Context(), operate.Selection{Filter: users}, ann)
		require.NoError(t, err)
		require.Len(t, b.queue.list, 1)
		require.Equal(t, g.Partition, b.queue.list[0].Partition)
	})
}

func TestDiscardThousands(t *testing.T) {
	onEach(t, func(t *testing.T, b *bundle) {
		b.put(600, "row-")
		b.flush()
		b.dead(1200)
		r, err := b.Discard(t.Context(), operate.Selection{Filter: ledger.LetterFilter{Kind: schema.KindUnique}}, ann)
		require.NoError(t, err)
		require.Equal(t, operate.Report{Selected: 1200, Done: 1200}, r)
		require.Equal(t, 1200, b.count(ledger.LetterFilter{Resolution: ledger.Discarded}))
		b.flush()
		total := b.total()
		require.EqualValues(t, 1200, total.Discarded)
		require.Zero(t, total.Dead+total.Pending)
		require.Contains(t, b.row("u0599"), `"row-u0599"`, "the row's state is back")
		require.Nil(t, b.row("u0600"), "no row was there, and none is")
		log, err := b.Audit(t.Context(), ledger.AuditQuery{Entity: "user", ID: "u0001"})
		require.NoError(t, err)
		require.Len(t, log, 1)
		require.Equal(t, "dead.discarded", log[0].Action)
		require.Equal(t, ann, log[0].Actor)
	})
}

// Work that was stopped is resumed by a repeat, which finds what is left.
func TestStoppedAndResumed(t *testing.T) {
	onEach(t, func(t *testing.T, b *bundle) {
		b.dead(1600)
		ctx, stop := context.WithCancel(t.Context())
		r, err := b.Retry(ctx, operate.Selection{Filter: users, OnStep: func(r operate.Progress) {
			if r.Done == 1000 {
				stop()
			}
		}}, ann)
		require.ErrorIs(t, err, context.Canceled)
		require.Equal(t, 1000, r.Done, "what was begun was finished")
		require.Equal(t, 600, b.count(ledger.LetterFilter{State: ledger.StateWaiting}))
		r, err = b.Retry(t.Context(), operate.Selection{Filter: users}, ann)
		require.NoError(t, err)
		require.Equal(t, operate.Report{Selected: 600, Done: 600}, r)
		b.flush()
		require.EqualValues(t, 1600, b.total().Persisted)
	})
}

func TestByNumber(t *testing.T) {
	onEach(t, func(t *testing.T, b *bundle) {
		b.dead(5)
		all := b.numbers(users)
		r, err := b.Retry(t.Context(), operate.Selection{Numbers: []int64{all[0], all[1], all[0], 1 << 40}}, ann)
		require.NoError(t, err)
		require.Equal(t, 3, r.Selected, "each once")
		require.Equal(t, 2, r.Done)
		require.Equal(t, 1, r.Failed)
		require.Contains(t, r.Errors[0], "no such dead letter")
		r, err = b.Discard(t.Context(), operate.Selection{Numbers: all[:3]}, ann)
		require.NoError(t, err)
		require.Equal(t, operate.Report{Selected: 3, Done: 1, Stale: 2}, r, "what was sent back is no longer dead")
		_, err = b.Discard(t.Context(), operate.Selection{Filter: users, Expect: 5}, ann)
		require.ErrorIs(t, err, schema.ErrInvalid)
		require.Equal(t, 2, b.count(ledger.LetterFilter{State: ledger.StateWaiting}),
			"an unexpected number begins nothing")
	})
}

// A record that a newer write has replaced, or that is dead at another version, is left
// alone.
func TestStaleLettersAreLeftAlone(t *testing.T) {
	onEach(t, func(t *testing.T, b *bundle) {
		b.dead(3)
		_, err := b.producer.Put(t.Context(), "user", "u0000", schema.Fields{"name": "newer"})
		require.NoError(t, err)
		_, err = b.producer.Put(t.Context(), "user", "u0001", schema.Fields{"name": "newer"})
		require.NoError(t, err)
		b.kill() // again, at newer versions
		letters, err := b.List(t.Context(), ledger.LetterFilter{ID: "u0001"}, 0, 10)
		require.NoError(t, err)
		require.Len(t, letters, 2)
		old := letters[1].Number
		for name, act := range map[string]func(context.Context, operate.Selection, ledger.Actor) (operate.Report,
			error){"retry": b.Retry, "discard": b.Discard} {
			r, err := act(t.Context(), operate.Selection{Numbers: []int64{old}}, ann)
			require.NoError(t, err, name)
			require.Equal(t, operate.Report{Selected: 1, Stale: 1}, r, name)
		}
		_, err = b.Edit(t.Context(), old, schema.Fields{"name": "edited"}, ann)
		require.ErrorIs(t, err, operate.ErrStale)
		state, err := b.cache.Status(t.Context(), b.user, "u0001")
		require.NoError(t, err)
		require.Equal(t, letters[0].Version, state.Record.Version, "the newer state stands")
		require.Equal(t, schema.Dead, state.Record.Status)
	})
}

// A crash between the two steps of an action leaves an open letter whose record has left
// the dead. A repeat harms nothing.
func TestCrashBetweenTheSteps(t *testing.T) {
	onEach(t, func(t *testing.T, b *bundle) {
		b.dead(4)
		number := b.numbers(users)
		b.store.broken.Store(true)
		_, err := b.Retry(t.Context(), operate.Selection{Numbers: number[:1]}, ann)
		require.ErrorIs(t, err, errCrash)
		_, err = b.Discard(t.Context(), operate.Selection{Numbers: number[1:2]}, ann)
		require.ErrorIs(t, err, errCrash)
		_, err = b.Edit(t.Context(), number[2], schema.Fields{"name": "edited"}, ann)
		require.ErrorIs(t, err, errCrash)
		require.Equal(t, 4, b.count(ledger.LetterFilter{State: ledger.StateWaiting}))
		total := b.total()
		require.EqualValues(t, 1, total.Dead)
		require.EqualValues(t, 1, total.Discarded)

		b.store.broken.Store(false)
		r, err := b.Retry(t.Context(), operate.Selection{Filter: users}, ann)
		require.NoError(t, err)
		require.Equal(t, operate.Report{Selected: 4, Done: 1, Stale: 3}, r)
		b.flush()
		total = b.total()
		require.Zero(t, total.Pending+total.Held+total.Dead)
		require.EqualValues(t, 6, total.Accepted)
		edited, err := b.store.Letter(t.Context(), number[2])
		require.NoError(t, err)
		require.Contains(t, b.row(edited.ID), `"edited"`)
	})
}

// A lost reply of Redis leaves it unknown what was done: a repeat tells, and nothing is
// done twice.
func TestLostReplies(t *testing.T) {
	onEach(t, func(t *testing.T, b *bundle) {
		b.dead(2)
		number := b.numbers(users)
		b.faults.Inject(testkit.LoseReply, testkit.Script(t, "retry"))
		_, _ = b.Retry(t.Context(), operate.Selection{Numbers: number[:1]}, ann) // unknown
		b.faults.Inject(testkit.LoseReply, testkit.Script(t, "write"))
		r, err := b.Discard(t.Context(), operate.Selection{Numbers: number[1:]}, ann)
		require.NoError(t, err)
		require.Equal(t, 1, r.Failed, "unknown is not done")
		require.Contains(t, r.Errors[0], schema.ErrOutcomeUnknown.Error())

		for range 2 {
			_, err = b.Retry(t.Context(), operate.Selection{Numbers: number[:1]}, ann)
			require.NoError(t, err)
			r, err = b.Discard(t.Context(), operate.Selection{Numbers: number[1:]}, ann)
			require.NoError(t, err)
			require.Equal(t, 1, r.Stale)
		}
		b.flush()
		total := b.total()
		require.EqualValues(t, 1, total.Discarded)
		require.EqualValues(t, 3, total.Accepted)
		require.Zero(t, total.Dead)
	})
}

// What dies again after a retry waits for an operator again, under the same number.
func TestDiesAgain(t *testing.T) {
	onEach(t, func(t *testing.T, b *bundle) {
		b.dead(1)
		number := b.numbers(users)
		_, err := b.Retry(t.Context(), operate.Selection{Numbers: number}, ann)
		require.NoError(t, err)
		b.kill()
		require.Equal(t, number, b.numbers(ledger.LetterFilter{State: ledger.StateWaiting}))
		r, err := b.Discard(t.Context(), operate.Selection{Filter: users}, ann)
		require.NoError(t, err)
		require.Equal(t, 1, r.Done)
	})
}

func TestRateIsKept(t *testing.T) {
	t.Parallel()
	b := setup(t, testkit.SQLite(t))
	b.dead(30)
	began := time.Now()
	r, err := b.Retry(t.Context(), operate.Selection{Filter: users, Rate: 40}, ann)
	require.NoError(t, err)
	require.Equal(t, 30, r.Done)
	require.GreaterOrEqual(t, time.Since(began), 450*time.Millisecond) // (30 - 10) / 40 s
}
