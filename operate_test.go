package afterwrite_test

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite"
	"github.com/afterwrite/afterwrite/afterwritetest"
	"github.com/afterwrite/afterwrite/internal/testkit"
	"github.com/afterwrite/afterwrite/operate"
	"github.com/afterwrite/afterwrite/schema"
)

// TestOperate takes refused records through what an operator can do with them.
func TestOperate(t *testing.T) {
	policy := schema.DefaultRetryPolicy()
	policy.MaxAttempts = 1
	db := afterwritetest.New(t, afterwrite.Model[Counter](afterwrite.Retry(policy)))
	counters, ctx := afterwrite.Table[Counter](db), t.Context()
	op := db.Operate(operate.Actor{Name: "test", Origin: "here"})
	mine := operate.Filter{Entity: "counter"}

	refuse := func(id string) (accept func()) { return afterwritetest.Refuse(t, db, Counter{}, id, "check") }
	put := func(id string) error {
		w, err := counters.Put(ctx, &Counter{ID: id, N: 1})
		require.NoError(t, err)
		return w.Wait(ctx)
	}
	accept := refuse("a")
	var dead *afterwrite.DeadError
	require.ErrorAs(t, put("a"), &dead)
	letters, err := op.DeadLetters(ctx, mine, 0, 10)
	require.NoError(t, err)
	require.Len(t, letters, 1)
	require.Equal(t, dead.Version, letters[0].Version)
	letter, err := op.DeadLetter(ctx, letters[0].Number)
	require.NoError(t, err)
	require.Len(t, letter.History, 1)
	groups, err := op.DeadLetterGroups(ctx, mine, 10)
	require.NoError(t, err)
	require.Equal(t, 1, groups[0].Count)
	accept()
	report, err := op.Retry(ctx, operate.Selection{Filter: mine, Expect: 1})
	require.NoError(t, err)
	require.Equal(t, 1, report.Done)
	afterwritetest.Flush(t, db)
	got, err := counters.Get(ctx, "a")
	require.NoError(t, err)
	require.Equal(t, afterwrite.Persisted, got.Status)

	accept = refuse("b")
	require.ErrorAs(t, put("b"), &dead)
	refuse("c")
	require.ErrorAs(t, put("c"), &dead)
	letters, err = op.DeadLetters(ctx, operate.Filter{Entity: "counter", ID: "b"}, 0, 10)
	require.NoError(t, err)
	_, err = op.Edit(ctx, letters[0].Number, schema.Fields{"n": "x"})
	require.ErrorIs(t, err, afterwrite.ErrInvalid)
	accept()
	_, err = op.Edit(ctx, letters[0].Number, schema.Fields{"n": 5})
	require.NoError(t, err)
	afterwritetest.Flush(t, db)
	report, err = op.Discard(ctx, operate.Selection{Filter: operate.Filter{Entity: "counter", ID: "c"}})
	require.NoError(t, err)
	require.Equal(t, 1, report.Done)
	_, err = counters.Get(ctx, "c")
	require.ErrorIs(t, err, afterwrite.ErrNotFound)
	_, err = op.DeadLetter(ctx, 1<<40)
	require.ErrorIs(t, err, operate.ErrNoLetter)

	active, err := op.Policy(ctx, "counter")
	require.NoError(t, err)
	require.Equal(t, 1, active.Policy.MaxAttempts)
	policy.MaxAttempts, policy.Base, policy.Cap = 9, time.Hour, time.Hour
	set, err := op.SetPolicy(ctx, "counter", policy, active.Version, "slower")
	require.NoError(t, err)
	_, err = op.SetPolicy(ctx, "counter", policy, active.Version, "again")
	require.ErrorIs(t, err, operate.ErrPolicyChanged)
	testkit.Eventually(t, "the worker follows", func() bool {
		refuse := refuse("d")
		defer refuse()
		return errors.As(put("d"), new(*afterwrite.HeldError))
	})
	held, err := op.Held(ctx, mine)
	require.NoError(t, err)
	require.Len(t, held, 1)
	_, err = op.EditHeld(ctx, held[0], schema.Fields{"n": 7})
	require.NoError(t, err)
	_, err = op.EditHeld(ctx, held[0], schema.Fields{"n": 8})
	require.ErrorIs(t, err, operate.ErrStale)
	_, err = op.RollBackPolicy(ctx, "counter", 0, set.Version)
	require.NoError(t, err)
	history, err := op.PolicyHistory(ctx, "counter", 10)
	require.NoError(t, err)
	require.Len(t, history, 3)
	afterwritetest.Flush(t, db)

	paused, err := op.Pause(ctx, "counter")
	require.NoError(t, err)
	require.Equal(t, 16, paused)
	w, err := counters.Put(ctx, &Counter{ID: "e"})
	require.NoError(t, err)
	_, err = op.Resume(ctx, "counter")
	require.NoError(t, err)
	pending, _, err := op.FlushNow(ctx, "counter")
	require.NoError(t, err)
	require.LessOrEqual(t, pending, int64(1))
	afterwritetest.RequirePersisted(t, w)
	afterwritetest.Flush(t, db)
	compared, err := op.Fsck(ctx)
	require.NoError(t, err)
	require.True(t, compared.OK(), "%+v", compared)
	_, err = op.Fsck(ctx, "nothing")
	require.ErrorIs(t, err, afterwrite.ErrUnknownModel)
	done, err := op.Audit(ctx, operate.AuditQuery{})
	require.NoError(t, err)
	own := 0
	for _, entry := range done {
		if entry.Actor.Name == "test" {
			own++
		}
	}
	require.GreaterOrEqual(t, own, 9, "%+v", done)
}

// TestOperateDoctor: the examination of `afterwrite doctor`, from Go.
func TestOperateDoctor(t *testing.T) {
	db := afterwritetest.New(t, afterwrite.Model[Counter]())
	op := db.Operate(operate.Actor{Name: "test"})
	examine := func() map[string]operate.Finding {
		lines, err := op.Doctor(t.Context())
		require.NoError(t, err)
		found := map[string]operate.Finding{}
		for _, l := range lines {
			found[l.Check] = l
		}
		return found
	}
	found := examine()
	for _, check := range []string{"redis", "database", "tables", "columns", "backlog of counter", "pairing"} {
		require.Equal(t, operate.Fine, found[check].Verdict, "%s: %+v", check, found[check])
	}
	require.NotContains(t, found, "tokens", "the program asks who is there by itself")
	_, err := afterwritetest.SQL(t, db).Exec("DROP TABLE counters")
	require.NoError(t, err)
	tables := examine()["tables"]
	require.Equal(t, operate.Failure, tables.Verdict)
	require.NotEmpty(t, tables.Hint)
	require.NoError(t, db.Close())
	_, err = op.Doctor(t.Context())
	require.ErrorIs(t, err, afterwrite.ErrClosed)
}
