package operate_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/cache/pending"
	"github.com/afterwrite/afterwrite/internal/operate"
	"github.com/afterwrite/afterwrite/schema"
	"github.com/afterwrite/afterwrite/store/ledger"
)

func TestLivePolicy(t *testing.T) {
	onEach(t, func(t *testing.T, b *bundle) {
		p, err := b.Policy(t.Context(), "user")
		require.NoError(t, err)
		require.Zero(t, p.Version)
		require.Equal(t, b.user.Retry, p.Policy)

		p, err = b.SetPolicy(t.Context(), "user", operate.PolicyChange{{"max_attempts", "3"},
			{"on.foreign_key.max_attempts", "20"}}, 0, ann, "import")
		require.NoError(t, err)
		require.EqualValues(t, 1, p.Version)
		require.Equal(t, 3, p.Policy.MaxAttempts)
		require.Equal(t, 20, p.Policy.For(schema.KindForeignKey).MaxAttempts)
		require.Equal(t, b.user.Retry.Base, p.Policy.Base, "what is not named stays")

		_, err = b.SetPolicy(t.Context(), "user", operate.PolicyChange{{"base", "2s"}}, 0, ann, "late")
		require.ErrorIs(t, err, ledger.ErrPolicyChanged)
		_, err = b.SetPolicy(t.Context(), "user", operate.PolicyChange{{"base", "0s"}}, 1, ann, "")
		require.ErrorIs(t, err, schema.ErrInvalid)
		require.ErrorContains(t, err, "base must be from")
		_, err = b.SetPolicy(t.Context(), "nobody", nil, -1, ann, "")
		require.ErrorIs(t, err, schema.ErrUnknownEntity)

		p, err = b.SetPolicy(t.Context(), "user", operate.PolicyChange{{"on.foreign_key", ""}}, -1, ann, "")
		require.NoError(t, err)
		require.Empty(t, p.Policy.On)

		_, err = b.Rollback(t.Context(), "user", 1, 1, ann)
		require.ErrorIs(t, err, ledger.ErrPolicyChanged)
		p, err = b.Rollback(t.Context(), "user", 1, 2, ann)
		require.NoError(t, err)
		require.EqualValues(t, 3, p.Version)
		require.Equal(t, 20, p.Policy.For(schema.KindForeignKey).MaxAttempts)
		p, err = b.Rollback(t.Context(), "user", 0, -1, ann)
		require.NoError(t, err)
		require.Equal(t, b.user.Retry.MaxAttempts, p.Policy.MaxAttempts)
		_, err = b.Rollback(t.Context(), "user", 9, -1, ann)
		require.ErrorIs(t, err, schema.ErrInvalid)

		history, err := b.PolicyHistory(t.Context(), "user", 100)
		require.NoError(t, err)
		var versions []int64
		for _, h := range history {
			versions = append(versions, h.Version)
		}
		require.Equal(t, []int64{4, 3, 2, 1, 0}, versions)
		require.Equal(t, []operate.Difference{{Name: "max_attempts", From: "10", To: "3"},
			{Name: "on.foreign_key.max_attempts", To: "20"}},
			operate.Differences(history[4].Policy, history[3].Policy))
		log, err := b.Audit(t.Context(), ledger.AuditQuery{Entity: "user"})
		require.NoError(t, err)
		require.Len(t, log, 4)
	})
}

func TestPolicyChange(t *testing.T) {
	t.Parallel()
	old := schema.DefaultRetryPolicy()
	p, err := operate.PolicyChange{{"base", "2s"}, {"factor", "1.5"}, {"cap", "1m"}, {"jitter", "none"},
		{"timeout", "5s"},
		{"on.unique.base", "1m"}, {"on.unique.jitter", "full"}, {"on.check.factor", "3"}}.Apply(old)
	require.NoError(t, err)
	require.Empty(t, old.On, "the policy itself is not changed")
	require.Equal(t, []operate.Setting{{"max_attempts", "10"}, {"base", "2s"}, {"factor", "1.5"}, {"cap", "1m"},
		{"jitter", "none"}, {"timeout", "5s"},
		{"on.unique.base", "1m"}, {"on.unique.jitter", "full"}, {"on.check.factor", "3"}}, operate.Settings(p))
	again, err := operate.PolicyChange(operate.Settings(p)).Apply(schema.DefaultRetryPolicy())
	require.NoError(t, err)
	require.Equal(t, p, again, "what is listed can be set")
	p, err = operate.PolicyChange{{"on.unique.base", ""}, {"on.check.factor", ""}}.Apply(p)
	require.NoError(t, err)
	require.NotContains(t, p.On, schema.KindCheck)
	require.Nil(t, p.On[schema.KindUnique].Base)

	for _, bad := range []struct{ name, value, says string }{
		{"max_attempts", "many", "max_attempts must be a whole number"},
		{"max_attempts", "0", "max_attempts must be from 1 to 1000"},
		{"max_attempts", "", "max_attempts must have a value"},
		{"base", "5", "base must be a duration"},
		{"cap", "8d", "cap must be a duration"},
		{"cap", "1ms", "cap must be from base (1s)"},
		{"factor", "0.5", "factor must be from 1"},
		{"factor", "NaN", "factor must be from 1"},
		{"jitter", "some", "jitter must be full, equal or none"},
		{"timeout", "", "timeout must be a duration"},
		{"timeout", "1h", "timeout must be from"},
		{"bse", "1s", "bse is not a setting"},
		{"on.nothing.base", "1s", "on.nothing.base is not of a kind"},
		{"on.unique.timeout", "1s", "on.unique.timeout is not a setting"},
		{"on.unique", "1s", "on.unique is not a setting"},
		{"on.unique.cap", "1ms", "on.unique.cap must be from base"},
	} {
		_, err := operate.PolicyChange{{bad.name, bad.value}}.Apply(old)
		require.ErrorIs(t, err, schema.ErrInvalid, bad.name)
		require.ErrorContains(t, err, bad.says)
	}
}

// Effect tells how another policy would move the records that wait.
func TestEffect(t *testing.T) {
	onEach(t, func(t *testing.T, b *bundle) {
		b.put(1200, "held-")
		for partition := range b.user.Partitions {
			batch, err := b.backlog.Due(t.Context(), b.user, partition, 10_000, 1<<26)
			require.NoError(t, err)
			var refused []pending.Refused
			for _, d := range batch.Due {
				refused = append(refused, pending.Refused{Change: d.Change, Refusal: taken, Attempts: 2,
					Next: time.Now().Add(time.Minute)})
			}
			_, err = b.backlog.Hold(t.Context(), b.user, partition, refused)
			require.NoError(t, err)
		}
		p := b.user.Retry
		p.Base, p.Jitter, p.MaxAttempts = time.Second, schema.JitterNone, 3
		sooner, err := b.Effect(t.Context(), "user", p)
		require.NoError(t, err)
		require.Equal(t, 1200, sooner.Waiting)
		require.Equal(t, 1200, sooner.Sooner)
		require.Equal(t, 1200, sooner.Die)
		require.False(t, sooner.First.After(sooner.Last))
		p.Base, p.Cap, p.MaxAttempts = time.Hour, 3*time.Hour, 4
		later, err := b.Effect(t.Context(), "user", p)
		require.NoError(t, err)
		require.Equal(t, 1200, later.Later)
		require.Zero(t, later.Die)
		require.True(t, later.First.After(sooner.Last))
	})
}
