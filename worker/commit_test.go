package worker

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// A COMMIT that a deferred constraint refuses is rolled back, though Redis has noted its turn: acks of what the other
// transactions of the flush have committed must not make Redis know that turn as committed. It would tell of a database
// that went back.
func TestARefusedCommitIsNoOlderDatabase(t *testing.T) {
	onEach(t, func(t *testing.T, b *bench) {
		if strings.HasPrefix(b.db, "mysql") {
			return // it defers no constraint
		}
		b.exec("CREATE TABLE names (name text PRIMARY KEY)")
		b.exec("INSERT INTO names VALUES ('good')")
		if strings.HasPrefix(b.db, "postgres") {
			b.exec("ALTER TABLE users ADD FOREIGN KEY (name) REFERENCES names (name) DEFERRABLE INITIALLY DEFERRED")
		} else {
			b.exec("DROP TABLE users")
			b.exec(`CREATE TABLE users (id text PRIMARY KEY, name text REFERENCES names DEFERRABLE INITIALLY DEFERRED,
				email text, age bigint, login_count bigint, profile text)`)
		}
		w := b.worker()
		for i := range 5 {
			b.put(fmt.Sprint("good", i), "good")
		}
		b.put("none", "none") // the newest, so the last transaction of the flush is its own
		b.flush(w)
		b.quiet(1)
		require.Len(t, b.names(), 5)
		turns, err := b.store.Turns(t.Context())
		require.NoError(t, err)
		notes, err := b.backlog.Turns(t.Context(), b.e)
		require.NoError(t, err)
		for _, turn := range turns {
			require.LessOrEqual(t, notes[turn.Partition].Committed(), turn.Turn)
		}
	})
}
