package ledger_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/schema"
	"github.com/afterwrite/afterwrite/store/ledger"
)

// TestPagesOfAFilter: whatever a filter says, the pages have each of its letters once, the
// newest first, where few errors match and where many do.
func TestPagesOfAFilter(t *testing.T) {
	onEach(t, func(t *testing.T, url string) {
		e := account(t)
		b := setup(t, url, []*schema.Entity{e})
		now := time.Now().UTC().Truncate(time.Second)
		var letters []ledger.Letter
		for i := range 300 {
			kind := []schema.Kind{schema.KindUnique, schema.KindCheck, schema.KindCheck}[i%3]
			message := fmt.Sprintf("taken %d", i%4)
			if kind == schema.KindCheck {
				message = fmt.Sprintf("value %d is BAD", i)
			}
			letters = append(letters, ledger.Letter{Entity: []string{"account", "other"}[i%2], ID: fmt.Sprint(i),
				Version: 1, Payload: "{}",
				Refusal: schema.Refusal{Kind: kind, Constraint: fmt.Sprint("c", i%5), Message: message}, Attempts: 1,
				AcceptedAt: now, DiedAt: now.Add(time.Duration(i) * time.Second)})
		}
		require.NoError(t, b.InsertDead(t.Context(), letters))
		_, err := b.Resolve(t.Context(), []int64{3, 30, 60, 61, 62}, ledger.Discarded, ledger.Actor{})
		require.NoError(t, err)
		all, err := b.Letters(t.Context(), ledger.LetterFilter{}, 0, 1000)
		require.NoError(t, err)
		require.Len(t, all, 300)
		for _, f := range []ledger.LetterFilter{
			{Kind: schema.KindUnique}, {Kind: schema.KindCheck}, {Constraint: "c3"}, {Text: "TAKEN 2"},
			{Text: "is bad"}, {Text: "nothing"},
			{Kind: schema.KindUnique, Entity: "other", State: ledger.StateWaiting},
			{Text: "taken", State: ledger.StateResolved},
			{Kind: schema.KindCheck, Constraint: "c1", Since: now.Add(50 * time.Second),
				Until: now.Add(200 * time.Second)}, {Kind: schema.KindUnique, ID: "33"},
		} {
			var want, got []int64
			for _, l := range all {
				if matches(f, l) {
					want = append(want, l.Number)
				}
			}
			for before := int64(0); ; {
				some, err := b.Letters(t.Context(), f, before, 7)
				require.NoError(t, err)
				if len(some) == 0 {
					break
				}
				for _, l := range some {
					got = append(got, l.Number)
				}
				before = got[len(got)-1]
			}
			require.Equal(t, want, got, "%+v", f)
			n, err := b.CountLetters(t.Context(), f)
			require.NoError(t, err)
			require.Len(t, want, n)
			require.True(t, slices.IsSortedFunc(got, func(a, b int64) int { return int(b - a) }))
		}
	})
}

func matches(f ledger.LetterFilter, l ledger.Letter) bool {
	r, resolved := l.Refusal, l.Resolution != ledger.Unresolved
	return (f.Entity == "" || f.Entity == l.Entity) && (f.ID == "" || f.ID == l.ID) &&
		(f.Kind == "" || f.Kind == r.Kind) &&
		(f.Constraint == "" || f.Constraint == r.Constraint) && strings.Contains(strings.ToLower(r.Message),
		strings.ToLower(f.Text)) &&
		(f.State != ledger.StateWaiting || !resolved) && (f.State != ledger.StateResolved || resolved) &&
		(f.Since.IsZero() || !l.DiedAt.Before(f.Since)) && (f.Until.IsZero() || l.DiedAt.Before(f.Until))
}
