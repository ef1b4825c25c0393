package ledger_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/internal/testkit"
	"github.com/afterwrite/afterwrite/schema"
	"github.com/afterwrite/afterwrite/store/fault"
	"github.com/afterwrite/afterwrite/store/ledger"
)

// TestDeadLettersFaults: whatever fails, a repeat makes it whole and nothing is twice.
func TestDeadLettersFaults(t *testing.T) {
	onEach(t, func(t *testing.T, url string) {
		setup(t, url, nil)
		for _, match := range []func(string) bool{testkit.Begin, testkit.Statement("afterwrite_errors"),
			testkit.Statement("afterwrite_dead_letters"), testkit.Statement("afterwrite_audit"), testkit.Commit} {
			for _, mode := range []testkit.Mode{testkit.Refuse, testkit.LoseReply} {
				b := open(t, url, nil)
				l := []ledger.Letter{letter("a", 1, schema.KindUnique, "x")}
				injected := b.faults.Inject(mode, match)
				if err := b.InsertDead(t.Context(), l); err != nil {
					require.True(t, fault.Unavailable(err))
					require.NoError(t, b.InsertDead(t.Context(), l))
				}
				open, err := b.OpenLetters(t.Context(), account(t), 0, 10)
				require.NoError(t, err)
				require.Len(t, open, 1)
				numbers := []int64{open[0].Number}
				if _, err := b.Resolve(t.Context(), numbers, ledger.Discarded, admin); err != nil {
					require.True(t, fault.Unavailable(err))
					_, err = b.Resolve(t.Context(), numbers, ledger.Discarded, admin)
					require.NoError(t, err)
				}
				injected.Release()
				require.Equal(t, 1, b.count(ledger.LetterFilter{Resolution: ledger.Discarded}))
				log, err := b.AuditLog(t.Context(), ledger.AuditQuery{})
				require.NoError(t, err)
				require.Len(t, log, 1, "audited once")
				b.exec("DELETE FROM afterwrite_dead_letters")
				b.exec("DELETE FROM afterwrite_audit")
			}
		}
	})
}
