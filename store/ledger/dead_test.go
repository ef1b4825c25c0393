package ledger_test

import (
	"fmt"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/schema"
	"github.com/afterwrite/afterwrite/store/fault"
	"github.com/afterwrite/afterwrite/store/ledger"
)

var (
	died  = time.Date(2026, 1, 31, 12, 0, 0, 123456000, time.UTC)
	admin = ledger.Actor{Name: "ann", Origin: "127.0.0.1"}
)

func letter(id string, v schema.Version, kind schema.Kind, message string) ledger.Letter {
	return ledger.Letter{
		Entity: "account", ID: id, Version: v, Payload: `{"email":"x","age":9223372036854775807}`,
		Refusal:  schema.Refusal{Kind: kind, Constraint: "uq_accounts_email", Column: "email", Message: message},
		Attempts: 2, AcceptedAt: died.Add(-time.Minute), DiedAt: died,
		History: []schema.Attempt{
			{Number: 1, At: died.Add(-time.Second), Kind: kind, Message: message, Worker: "w1"},
			{Number: 2, At: died, Kind: kind, Message: message, Worker: "w2"},
		},
	}
}

func TestDeadLetters(t *testing.T) {
	onEach(t, func(t *testing.T, url string) {
		b := setup(t, url, nil)
		want := letter("a/é", 7, schema.KindUnique, "duplicate 100%_\\ Key")
		for range 2 {
			require.NoError(t, b.InsertDead(t.Context(), []ledger.Letter{want}))
		}
		got, err := b.LetterOf(t.Context(), "account", "a/é", 7)
		require.NoError(t, err)
		want.Number = got.Number
		require.Equal(t, want, got)
		got, err = b.Letter(t.Context(), want.Number)
		require.NoError(t, err)
		require.Equal(t, want, got)
		_, err = b.Letter(t.Context(), 1000)
		require.ErrorIs(t, err, ledger.ErrNoLetter)

		gone := letter("gone", 8, schema.KindForeignKey, "still referred to")
		gone.Deleted, gone.Payload = true, ""
		require.NoError(t, b.InsertDead(t.Context(), []ledger.Letter{gone}))
		got, err = b.LetterOf(t.Context(), "account", "gone", 8)
		require.NoError(t, err)
		require.True(t, got.Deleted)
		require.Empty(t, got.Payload)
	})
}

// TestResolveOnce: of all who resolve a letter one wins, and it is never reopened.
func TestResolveOnce(t *testing.T) {
	onEach(t, func(t *testing.T, url string) {
		b := setup(t, url, nil)
		require.NoError(t, b.InsertDead(t.Context(), []ledger.Letter{letter("a", 1, schema.KindUnique, "x")}))
		first, err := b.LetterOf(t.Context(), "account", "a", 1)
		require.NoError(t, err)
		var wait sync.WaitGroup
		wins := make([]int, 4)
		for i := range wins {
			wait.Go(func() {
				n, err := b.Resolve(t.Context(), []int64{first.Number, 999}, ledger.Discarded, admin)
				wins[i] = n
				if err != nil {
					t.Error(err)
				}
			})
		}
		wait.Wait()
		require.Equal(t, 1, wins[0]+wins[1]+wins[2]+wins[3])
		again, err := b.Retried(t.Context(), []int64{first.Number}, admin)
		require.NoError(t, err)
		require.Zero(t, again)
		require.NoError(t, b.InsertDead(t.Context(), []ledger.Letter{letter("a", 1, schema.KindCheck, "y")}))
		now, err := b.Letter(t.Context(), first.Number)
		require.NoError(t, err)
		require.Equal(t, ledger.Discarded, now.Resolution)
		require.Equal(t, "ann", now.Resolver)
		require.False(t, now.ResolvedAt.IsZero())
		require.Equal(t, first.Refusal, now.Refusal)
		log, err := b.AuditLog(t.Context(), ledger.AuditQuery{Entity: "account", ID: "a"})
		require.NoError(t, err)
		require.Len(t, log, 1)
		require.Equal(t, "dead.discarded", log[0].Action)
		require.Equal(t, admin, log[0].Actor)
		require.Equal(t, schema.Version(1), log[0].Version)
		_, err = b.Resolve(t.Context(), []int64{1}, ledger.Unresolved, admin)
		require.Error(t, err)
	})
}

// TestDiesAgain: a letter that was sent back and refused takes the new refusal.
func TestDiesAgain(t *testing.T) {
	onEach(t, func(t *testing.T, url string) {
		b := setup(t, url, nil)
		require.NoError(t, b.InsertDead(t.Context(), []ledger.Letter{letter("a", 1, schema.KindUnique, "x")}))
		first, err := b.LetterOf(t.Context(), "account", "a", 1)
		require.NoError(t, err)
		n, err := b.Retried(t.Context(), []int64{first.Number}, admin)
		require.NoError(t, err)
		require.Equal(t, 1, n)
		require.Equal(t, 1, b.count(ledger.LetterFilter{State: ledger.StateRetrying}))
		require.Equal(t, 0, b.count(ledger.LetterFilter{State: ledger.StateWaiting}))
		second := letter("a", 1, schema.KindCheck, "y")
		second.DiedAt, second.Attempts = died.Add(time.Hour), 4
		require.NoError(t, b.InsertDead(t.Context(), []ledger.Letter{second}))
		now, err := b.Letter(t.Context(), first.Number)
		require.NoError(t, err)
		second.Number = first.Number
		require.Equal(t, second, now)
		open, err := b.OpenLetters(t.Context(), account(t), 0, 10)
		require.NoError(t, err)
		require.Equal(t, []ledger.OpenLetter{{Number: first.Number, ID: "a", Version: 1}}, open)
	})
}

func (b *bench) count(f ledger.LetterFilter) int {
	b.t.Helper()
	n, err := b.CountLetters(b.t.Context(), f)
	require.NoError(b.t, err)
	return n
}

func TestLetterFilters(t *testing.T) {
	onEach(t, func(t *testing.T, url string) {
		b := setup(t, url, nil)
		var letters []ledger.Letter
		for i := range 1200 {
			l := letter(strconv.Itoa(i), 1, schema.KindUnique, "Duplicate key")
			if i%3 == 0 {
				l = letter(strconv.Itoa(i), 1, schema.KindCheck, "100%_wrong")
				l.Refusal.Constraint = "positive"
			}
			l.DiedAt = died.Add(time.Duration(i) * time.Second)
			letters = append(letters, l)
		}
		require.NoError(t, b.InsertDead(t.Context(), letters))
		require.Equal(t, 1200, b.count(ledger.LetterFilter{}))
		require.Equal(t, 400, b.count(ledger.LetterFilter{Kind: schema.KindCheck}))
		require.Equal(t, 400, b.count(ledger.LetterFilter{Constraint: "positive"}))
		require.Equal(t, 800, b.count(ledger.LetterFilter{Text: "DUPLICATE"}))
		require.Equal(t, 400, b.count(ledger.LetterFilter{Text: "0%_w"}))
		require.Equal(t, 0, b.count(ledger.LetterFilter{Text: "0_w"}))
		require.Equal(t, 0, b.count(ledger.LetterFilter{Entity: "other"}))
		require.Equal(t, 100, b.count(ledger.LetterFilter{Since: died.Add(100 * time.Second),
			Until: died.Add(200 * time.Second)}))
		require.Equal(t, 1, b.count(ledger.LetterFilter{Entity: "account", ID: "7", State: ledger.StateOpen}))

		groups, err := b.LetterGroups(t.Context(), ledger.LetterFilter{}, 10)
		require.NoError(t, err)
		require.Len(t, groups, 2)
		require.Equal(t, 800, groups[0].Count)
		require.Equal(t, "Duplicate key", groups[0].Refusal.Message)
		require.Equal(t, died.Add(time.Second), groups[0].First)
		require.Equal(t, died.Add(1199*time.Second), groups[0].Last)

		seen, before := 0, int64(0)
		for {
			page, err := b.Letters(t.Context(), ledger.LetterFilter{Kind: schema.KindCheck}, before, 150)
			require.NoError(t, err)
			if len(page) == 0 {
				break
			}
			for _, l := range page {
				require.True(t, before == 0 || l.Number < before)
				before = l.Number
				seen++
			}
		}
		require.Equal(t, 400, seen)

		open, err := b.OpenLetters(t.Context(), account(t), 0, 5000)
		require.NoError(t, err)
		var numbers []int64
		for _, o := range open {
			numbers = append(numbers, o.Number)
		}
		n, err := b.Resolve(t.Context(), numbers[:1000], ledger.Superseded, ledger.Actor{Name: "sweeper"})
		require.NoError(t, err)
		require.Equal(t, 1000, n)
		require.Equal(t, 200, b.count(ledger.LetterFilter{State: ledger.StateOpen}))
		require.Equal(t, 1000, b.count(ledger.LetterFilter{Resolution: ledger.Superseded}))
		purged, err := b.PurgeLetters(t.Context(), time.Now().Add(-time.Hour), 5000)
		require.NoError(t, err)
		require.Zero(t, purged)
		purged, err = b.PurgeLetters(t.Context(), time.Now().Add(time.Hour), 600)
		require.NoError(t, err)
		require.Equal(t, 600, purged)
		purged, err = b.PurgeLetters(t.Context(), time.Now().Add(time.Hour), 5000)
		require.NoError(t, err)
		require.Equal(t, 400, purged)
		require.Equal(t, 200, b.count(ledger.LetterFilter{}), "open letters stay")
	})
}

func TestPolicies(t *testing.T) {
	onEach(t, func(t *testing.T, url string) {
		b := setup(t, url, nil)
		current, err := b.CurrentPolicies(t.Context())
		require.NoError(t, err)
		require.Empty(t, current)
		p := schema.DefaultRetryPolicy()
		twenty, none := 20, schema.JitterNone
		p.On = map[schema.Kind]schema.RetryOverride{schema.KindForeignKey: {MaxAttempts: &twenty, Jitter: &none}}
		set, err := b.SetPolicy(t.Context(), "account", 0, p, admin, "for the import")
		require.NoError(t, err)
		require.Equal(t, int64(1), set.Version)
		_, err = b.SetPolicy(t.Context(), "account", 0, p, admin, "late")
		require.ErrorIs(t, err, ledger.ErrPolicyChanged)
		require.False(t, fault.Unavailable(err))
		q := p
		q.MaxAttempts = 3
		_, err = b.SetPolicy(t.Context(), "account", 1, q, admin, "")
		require.NoError(t, err)
		q.MaxAttempts = 0
		_, err = b.SetPolicy(t.Context(), "account", 2, q, admin, "")
		require.ErrorIs(t, err, schema.ErrInvalid)
		current, err = b.CurrentPolicies(t.Context())
		require.NoError(t, err)
		require.Equal(t, 3, current["account"].Policy.MaxAttempts)
		history, err := b.PolicyHistory(t.Context(), "account", 0)
		require.NoError(t, err)
		require.Len(t, history, 2)
		require.Equal(t, set, history[1])
		require.Equal(t, p, history[1].Policy)
		log, err := b.AuditLog(t.Context(), ledger.AuditQuery{Entity: "account", Limit: 1})
		require.NoError(t, err)
		require.Equal(t, "policy.set", log[0].Action)
		require.EqualValues(t, 2, log[0].Detail["version"])
		require.NotEqual(t, log[0].Detail["before"], log[0].Detail["policy"])
		require.EqualValues(t, p.MaxAttempts, log[0].Detail["before"].(map[string]any)["max_attempts"])
	})
}

// TestPolicySetByMany: each version is set by one, and none is lost silently.
func TestPolicySetByMany(t *testing.T) {
	onEach(t, func(t *testing.T, url string) {
		b := setup(t, url, nil)
		var wait sync.WaitGroup
		won := make([]bool, 6)
		for i := range won {
			wait.Go(func() {
				_, err := b.SetPolicy(t.Context(), "account", 0, schema.DefaultRetryPolicy(), admin, fmt.Sprint(i))
				won[i] = err == nil
				if err != nil {
					require.ErrorIs(t, err, ledger.ErrPolicyChanged)
				}
			})
		}
		wait.Wait()
		wins := 0
		for _, w := range won {
			if w {
				wins++
			}
		}
		require.Equal(t, 1, wins)
	})
}

func TestAudit(t *testing.T) {
	onEach(t, func(t *testing.T, url string) {
		b := setup(t, url, nil)
		for i := range 3 {
			require.NoError(t, b.Audit(t.Context(), ledger.AuditEntry{
				At: died, Actor: admin, Action: "cache.invalidate", Entity: "account",
				Detail: map[string]any{"n": float64(i)},
			}))
		}
		log, err := b.AuditLog(t.Context(), ledger.AuditQuery{Limit: 2})
		require.NoError(t, err)
		require.Len(t, log, 2)
		require.Equal(t, map[string]any{"n": float64(2)}, log[0].Detail)
		require.Equal(t, died, log[0].At)
		rest, err := b.AuditLog(t.Context(), ledger.AuditQuery{Before: log[1].Number})
		require.NoError(t, err)
		require.Len(t, rest, 1)
	})
}

// What PostgreSQL would refuse as a text is the caller's fault, on either database.
func TestFiltersAreText(t *testing.T) {
	onEach(t, func(t *testing.T, url string) {
		e := account(t)
		b := setup(t, url, []*schema.Entity{e})
		for _, bad := range []string{"a\x00b", "\xff"} {
			for _, f := range []ledger.LetterFilter{{Entity: bad}, {ID: bad}, {Constraint: bad}, {Text: bad}} {
				_, err := b.Letters(t.Context(), f, 0, 10)
				require.ErrorIs(t, err, schema.ErrInvalid)
				_, err = b.CountLetters(t.Context(), f)
				require.ErrorIs(t, err, schema.ErrInvalid)
				_, err = b.LetterGroups(t.Context(), f, 10)
				require.ErrorIs(t, err, schema.ErrInvalid)
			}
			_, err := b.SetPolicy(t.Context(), e.Name, 0, e.Retry, ledger.Actor{Name: "ann"}, bad)
			require.ErrorIs(t, err, schema.ErrInvalid)
		}
	})
}

// Lines of the audit go by age, the oldest first, as many as are asked for.
func TestPurgeAudit(t *testing.T) {
	onEach(t, func(t *testing.T, url string) {
		b := setup(t, url, nil)
		now := time.Now()
		for days := 10; days > 0; days-- {
			require.NoError(t, b.Audit(t.Context(), ledger.AuditEntry{At: now.AddDate(0, 0, -days), Action: "test",
				Detail: map[string]any{"days": days}}))
		}
		purge := func(days, limit, want int) {
			t.Helper()
			n, err := b.PurgeAudit(t.Context(), now.AddDate(0, 0, -days).Add(-time.Minute), limit)
			require.NoError(t, err)
			require.Equal(t, want, n)
		}
		purge(11, 100, 0)
		purge(5, 3, 3)
		purge(5, 100, 2)
		left, err := b.AuditLog(t.Context(), ledger.AuditQuery{})
		require.NoError(t, err)
		require.Len(t, left, 5)
		require.EqualValues(t, 5, left[4].Detail["days"])
	})
}
