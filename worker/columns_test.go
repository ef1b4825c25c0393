package worker

import (
	"database/sql"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/cache"
	"github.com/afterwrite/afterwrite/internal/testkit"
	"github.com/afterwrite/afterwrite/schema"
)

// text is what another program reads.
func (b *bench) text(query string) string {
	b.t.Helper()
	var text sql.NullString
	require.NoError(b.t, testkit.SQL(b.t, b.db).QueryRowContext(b.t.Context(), query).Scan(&text))
	return text.String
}

// A patch and an increment write what they name: what another program wrote to the row
// since it was cached stays, whatever the cache still has.
func TestAPatchLeavesWhatOthersWrote(t *testing.T) {
	onEach(t, func(t *testing.T, b *bench) {
		w := b.worker()
		b.put("a", "Ann")
		b.flush(w)
		b.exec("UPDATE users SET name = 'Other', age = 77 WHERE id = 'a'")
		at, _ := b.e.Field("age")
		logins, _ := b.e.Field("login_count")
		values := make(schema.Values, len(b.e.Fields))
		values[at] = "30"
		b.write(cache.Write{Op: cache.OpPatch, ID: "a", Values: values})
		b.write(cache.Write{Op: cache.OpIncrement, ID: "a", Deltas: []cache.Delta{{Field: logins, By: 2}}})
		b.flush(w)
		require.Equal(t, "Other", b.text("SELECT name FROM users"))
		require.Equal(t, "30", b.text("SELECT age FROM users"))
		require.Equal(t, "2", b.text("SELECT login_count FROM users"))
		require.Zero(t, b.stats().Pending)

		b.exec("DELETE FROM users")
		b.write(cache.Write{Op: cache.OpPatch, ID: "a", Values: values})
		b.flush(w)
		require.Equal(t, "0", b.text("SELECT count(*) FROM users"), "what another program deleted stays deleted")
		require.EqualValues(t, 1, b.stats().Held)
		state, err := b.cache.Status(t.Context(), b.e, "a")
		require.NoError(t, err)
		require.Equal(t, schema.KindMissing, state.Refusal.Kind)
		b.put("a", "Again")
		b.flush(w)
		require.Equal(t, "Again", b.text("SELECT name FROM users"))
		require.Zero(t, b.stats().Held)
	})
}
