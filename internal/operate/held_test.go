package operate_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/cache/pending"
	"github.com/afterwrite/afterwrite/internal/operate"
	"github.com/afterwrite/afterwrite/internal/testkit/whole"
	"github.com/afterwrite/afterwrite/producer"
	"github.com/afterwrite/afterwrite/schema"
	"github.com/afterwrite/afterwrite/store/ledger"
)

// hold accepts n users and holds them, as a worker does whose database refuses them.
func (b *bundle) hold(n int) []operate.Held {
	b.t.Helper()
	var held []operate.Held
	for _, id := range b.put(n, "held-") {
		s, err := b.cache.Status(b.t.Context(), b.user, id)
		require.NoError(b.t, err)
		held = append(held, operate.Held{Entity: b.user, ID: id, Version: s.Record.Version})
	}
	b.refuse(held...)
	return held
}

// refuse holds records, again where they were tried again.
func (b *bundle) refuse(some ...operate.Held) {
	b.t.Helper()
	for _, h := range some {
		n, err := b.backlog.Hold(b.t.Context(), b.user, b.user.Partition(h.ID), []pending.Refused{{
			Change: schema.Change{ID: h.ID, Version: h.Version}, Refusal: taken, Attempts: 3,
			Next:    time.Now().Add(time.Hour),
			History: []schema.Attempt{{Number: 3, At: time.Now(), Kind: taken.Kind, Message: "taken", Worker: "w"}},
		}})
		require.NoError(b.t, err)
		require.Equal(b.t, 1, n)
	}
}

func (b *bundle) audited(id string) []ledger.AuditEntry {
	b.t.Helper()
	log, err := b.Audit(b.t.Context(), ledger.AuditQuery{Entity: "user", ID: id})
	require.NoError(b.t, err)
	return log
}

// One held record is tried again; what is not held at that version is left alone.
func TestRetryOne(t *testing.T) {
	onEach(t, func(t *testing.T, b *bundle) {
		one := b.hold(1)[0]
		s, err := b.cache.Status(t.Context(), b.user, one.ID)
		require.NoError(t, err)
		require.Equal(t, "taken", s.History[0].Message)
		older := one
		older.Version--
		require.ErrorIs(t, b.RetryOne(t.Context(), older, ann), operate.ErrStale)
		require.NoError(t, b.RetryOne(t.Context(), one, ann))
		total := b.total()
		require.EqualValues(t, 1, total.Pending)
		require.Zero(t, total.Held)
		require.Equal(t, "held.retry", b.audited(one.ID)[0].Action)
		require.ErrorIs(t, b.RetryOne(t.Context(), one, ann), operate.ErrStale, "once: it is pending")
	})
}

// One held record is given up: the row's state is its newest, a deletion where there is
// none.
func TestDiscardOne(t *testing.T) {
	onEach(t, func(t *testing.T, b *bundle) {
		b.put(1, "row-")
		b.flush()
		held := b.hold(2)
		for _, one := range held {
			older := one
			older.Version--
			require.ErrorIs(t, b.DiscardOne(t.Context(), older, ann), operate.ErrStale)
			require.NoError(t, b.DiscardOne(t.Context(), one, ann))
			require.ErrorIs(t, b.DiscardOne(t.Context(), one, ann), operate.ErrStale, "once")
			log := b.audited(one.ID)
			require.Len(t, log, 1)
			require.Equal(t, "held.discarded", log[0].Action)
			require.Equal(t, one.Version, log[0].Version)
			require.Equal(t, ann, log[0].Actor)
		}
		b.flush()
		require.Contains(t, b.row("u0000"), `"row-u0000"`)
		require.Nil(t, b.row("u0001"))
		total := b.total()
		require.EqualValues(t, 2, total.Discarded)
		require.Zero(t, total.Held+total.Pending)
	})
}

// An edit is validated like a write, and never undoes a newer one.
func TestEditOne(t *testing.T) {
	onEach(t, func(t *testing.T, b *bundle) {
		one := b.hold(1)[0]
		_, err := b.EditOne(t.Context(), one, schema.Fields{"age": 200}, ann)
		require.ErrorIs(t, err, schema.ErrInvalid, "validated like a write")
		accepted, err := b.EditOne(t.Context(), one, schema.Fields{"email": "free@x", "age": 20}, ann)
		require.NoError(t, err)
		require.Greater(t, accepted.Version, one.Version)
		_, err = b.EditOne(t.Context(), one, schema.Fields{"age": 21}, ann)
		require.ErrorIs(t, err, operate.ErrStale, "once")
		b.flush()
		require.Equal(t, schema.Values{`"n0"`, `"free@x"`, "20", "0", "null"}, b.row(one.ID))
		log := b.audited(one.ID)
		require.Len(t, log, 1)
		require.Equal(t, "held.edited", log[0].Action)

		one = b.hold(1)[0]
		newer, err := b.producer.Put(t.Context(), "user", one.ID, schema.Fields{"name": "newer"})
		require.NoError(t, err)
		_, err = b.EditOne(t.Context(), one, schema.Fields{"name": "edited"}, ann)
		require.ErrorIs(t, err, operate.ErrStale)
		b.refuse(operate.Held{Entity: b.user, ID: one.ID, Version: newer.Version})
		_, err = b.EditOne(t.Context(), one, schema.Fields{"name": "edited"}, ann)
		require.ErrorIs(t, err, operate.ErrStale, "held, but at a newer version")
		read, err := b.cache.Get(t.Context(), b.user, one.ID)
		require.NoError(t, err)
		require.Equal(t, newer.Version, read.Version)
	})
}

// faster is another writer that comes between the look at a record and the write of its
// edit.
type faster struct{ *producer.Producer }

func (f faster) Do(ctx context.Context, r producer.Request) (producer.Accepted, error) {
	if _, err := f.Put(ctx, r.Entity, r.ID, schema.Fields{"name": "newer"}); err != nil {
		return producer.Accepted{}, err
	}
	return f.Producer.Do(ctx, r)
}

func TestNewerWriteWinsWhileHeldIsEdited(t *testing.T) {
	onEach(t, func(t *testing.T, b *bundle) {
		one := b.hold(1)[0]
		m, err := operate.New(operate.Config{Entities: []*schema.Entity{b.user}, Letters: b.store,
			Records: whole.Of(b.cache), Writes: faster{b.producer}, Queue: b.queue})
		require.NoError(t, err)
		_, err = m.EditOne(t.Context(), one, schema.Fields{"email": "edited@x"}, ann)
		require.ErrorIs(t, err, operate.ErrStale)
		require.Empty(t, b.audited(one.ID))
		b.flush()
		require.Equal(t, schema.Values{`"newer"`, "null", "null", "0", "null"}, b.row(one.ID))
	})
}

// What is pending is on its way, and what is dead has a letter: neither is held.
func TestOnlyHeldIsMendedAsHeld(t *testing.T) {
	onEach(t, func(t *testing.T, b *bundle) {
		b.put(1, "x-")
		for _, status := range []schema.Status{schema.Pending, schema.Dead} {
			s, err := b.cache.Status(t.Context(), b.user, "u0000")
			require.NoError(t, err)
			require.Equal(t, status, s.Record.Status)
			one := operate.Held{Entity: b.user, ID: "u0000", Version: s.Record.Version}
			_, err = b.EditOne(t.Context(), one, schema.Fields{"name": "edited"}, ann)
			require.ErrorIs(t, err, operate.ErrStale, status)
			require.ErrorIs(t, b.RetryOne(t.Context(), one, ann), operate.ErrStale, status)
			require.ErrorIs(t, b.DiscardOne(t.Context(), one, ann), operate.ErrStale, status)
			if status == schema.Pending {
				b.kill()
			}
		}
	})
}

func TestHeldDeletionIsNotEdited(t *testing.T) {
	onEach(t, func(t *testing.T, b *bundle) {
		b.put(1, "row-")
		b.flush()
		gone, err := b.producer.Delete(t.Context(), "user", "u0000")
		require.NoError(t, err)
		one := operate.Held{Entity: b.user, ID: "u0000", Version: gone.Version}
		b.refuse(one)
		_, err = b.EditOne(t.Context(), one, schema.Fields{"name": "x"}, ann)
		require.ErrorIs(t, err, schema.ErrInvalid)
		require.NoError(t, b.DiscardOne(t.Context(), one, ann))
		b.flush()
		require.Contains(t, b.row("u0000"), `"row-u0000"`)
	})
}

// All of a filter, and no more, in steps; what was done twice finds nothing.
func TestHeldByTheThousand(t *testing.T) {
	onEach(t, func(t *testing.T, b *bundle) {
		b.hold(1200)
		unique := ledger.LetterFilter{Kind: schema.KindUnique}
		found, err := b.SelectHeld(t.Context(), unique)
		require.NoError(t, err)
		require.Len(t, found, 1200)
		found, err = b.SelectHeld(t.Context(), ledger.LetterFilter{ID: "u0007", Text: "DUPLICATE"})
		require.NoError(t, err)
		require.Len(t, found, 1)
		for _, none := range []ledger.LetterFilter{{Kind: schema.KindCheck}, {Entity: "item"},
			{Until: time.Now().Add(-time.Hour)}, {Constraint: "other"}} {
			found, err = b.SelectHeld(t.Context(), none)
			require.NoError(t, err)
			require.Empty(t, found)
		}
		_, err = b.DiscardHeld(t.Context(), operate.Selection{Filter: unique, Expect: 7}, ann)
		require.ErrorIs(t, err, schema.ErrInvalid)
		require.EqualValues(t, 1200, b.total().Held, "an unexpected number begins nothing")

		r, err := b.DiscardHeld(t.Context(), operate.Selection{Filter: ledger.LetterFilter{ID: "u0007"}, Expect: 1},
			ann)
		require.NoError(t, err)
		require.Equal(t, operate.Report{Selected: 1, Done: 1}, r)
		var steps []operate.Report
		r, err = b.RetryHeld(t.Context(), operate.Selection{Filter: unique, Expect: 1199,
			OnStep: func(r operate.Progress) { steps = append(steps, r.Report) }}, ann)
		require.NoError(t, err)
		require.Equal(t, operate.Report{Selected: 1199, Done: 1199}, r)
		require.Len(t, steps, 3)
		require.Equal(t, 500, steps[0].Done)
		total := b.total()
		require.EqualValues(t, 1200, total.Pending)
		require.Zero(t, total.Held)
		require.Equal(t, "held.discarded", b.audited("u0007")[0].Action)
		for i := range 1200 {
			require.Len(t, b.audited(fmt.Sprintf("u%04d", i)), 1, "each is in the audit")
		}
		again, err := b.RetryHeld(t.Context(), operate.Selection{Filter: unique}, ann)
		require.NoError(t, err)
		require.Zero(t, again, "a repeat finds nothing")
	})
}

// What is refused again while the others are still tried is not tried for ever, and what a
// newer write has replaced is left alone.
func TestHeldAgainIsLeft(t *testing.T) {
	onEach(t, func(t *testing.T, b *bundle) {
		held := b.hold(20)
		var tried int
		r, err := b.RetryHeld(t.Context(), operate.Selection{Rate: 40, OnStep: func(r operate.Progress) {
			if tried = r.Done; r.Done == 10 {
				found, err := b.SelectHeld(t.Context(), ledger.LetterFilter{})
				require.NoError(t, err)
				var gone []operate.Held
				for _, h := range held {
					if !named(found, h.ID) {
						gone = append(gone, h)
					}
				}
				require.Len(t, gone, 10)
				b.refuse(gone...)
				_, err = b.producer.Put(t.Context(), "user", found[len(found)-1].ID, schema.Fields{"name": "newer"})
				require.NoError(t, err)
			}
		}, Filter: users}, ann)
		require.NoError(t, err)
		require.Equal(t, operate.Report{Selected: 20, Done: 19, Stale: 1}, r)
		require.Equal(t, 19, tried)
		require.EqualValues(t, 10, b.total().Held)
	})
}

func named(some []operate.Held, id string) bool {
	for _, h := range some {
		if h.ID == id {
			return true
		}
	}
	return false
}

// Work that was stopped is resumed by a repeat, which finds what is left.
func TestHeldWorkIsStopped(t *testing.T) {
	onEach(t, func(t *testing.T, b *bundle) {
		b.hold(700)
		ctx, stop := context.WithCancel(t.Context())
		r, err := b.DiscardHeld(ctx, operate.Selection{Filter: users, OnStep: func(operate.Progress) { stop() }}, ann)
		require.ErrorIs(t, err, context.Canceled)
		require.Equal(t, operate.Report{Selected: 700, Done: 500}, r, "what was begun was finished")
		require.EqualValues(t, 200, b.total().Held)
		r, err = b.DiscardHeld(t.Context(), operate.Selection{Filter: users}, ann)
		require.NoError(t, err)
		require.Equal(t, operate.Report{Selected: 200, Done: 200}, r)
	})
}
