package ledger_test

import (
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/internal/testkit"
	"github.com/afterwrite/afterwrite/schema"
	"github.com/afterwrite/afterwrite/store/ledger"
)

// databases runs fn on each dialect.
func databases(b *testing.B, fn func(b *testing.B, url string)) {
	b.Run("sqlite", func(b *testing.B) { fn(b, testkit.SQLite(b)) })
	b.Run("postgres", func(b *testing.B) { fn(b, testkit.Postgres(b).Database(b)) })
}

// BenchmarkDeadLetters inserts, searches, groups and resolves 20,000 dead letters.
func BenchmarkDeadLetters(b *testing.B) {
	databases(b, func(b *testing.B, url string) {
		s := setup(b, url, nil)
		const letters = 20_000
		insert := func(n int) {
			batch := make([]ledger.Letter, letters)
			for i := range batch {
				batch[i] = letter(strconv.Itoa(n*letters+i), 1, schema.KindUnique, "message "+strconv.Itoa(i%7))
			}
			require.NoError(b, s.InsertDead(b.Context(), batch))
		}
		b.Run("insert", func(b *testing.B) {
			n := 0
			for b.Loop() {
				insert(n)
				n++
			}
		})
		b.Run("search", func(b *testing.B) {
			for b.Loop() {
				_, err := s.Letters(b.Context(), ledger.LetterFilter{Text: "AGE 3", State: ledger.StateWaiting}, 0, 100)
				require.NoError(b, err)
			}
		})
		b.Run("group", func(b *testing.B) {
			for b.Loop() {
				_, err := s.LetterGroups(b.Context(), ledger.LetterFilter{}, 100)
				require.NoError(b, err)
			}
		})
		b.Run("resolve", func(b *testing.B) {
			for b.Loop() {
				open, err := s.OpenLetters(b.Context(), account(b), 0, 500)
				require.NoError(b, err)
				numbers := make([]int64, len(open))
				for i, o := range open {
					numbers[i] = o.Number
				}
				_, err = s.Resolve(b.Context(), numbers, ledger.Superseded, admin)
				require.NoError(b, err)
			}
		})
	})
}
