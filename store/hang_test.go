package store_test

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/internal/testkit"
	"github.com/afterwrite/afterwrite/schema"
	"github.com/afterwrite/afterwrite/store"
	"github.com/afterwrite/afterwrite/store/fault"
)

// hanging opens a store on PostgreSQL whose statements may take that long, and hang for
// the accounts whose age is negative.
func hanging(t *testing.T, most time.Duration) (*bench, *schema.Entity) {
	t.Helper()
	e := account(t)
	b := setup(t, testkit.Postgres(t).Database(t), []*schema.Entity{e},
		func(c *store.Config) { c.StatementTimeout = most })
	b.exec(`CREATE FUNCTION hang() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(600); RETURN NEW; END $$`)
	b.exec(`CREATE TRIGGER hang BEFORE INSERT OR UPDATE ON accounts FOR EACH ROW WHEN (NEW.age < 0) EXECUTE FUNCTION hang()`)
	return b, e
}

// sieved flushes again and again until each change is persisted or slow, as a worker does
// that isolates the slow ones, and returns the slow ones.
func (b *bench) sieved(e *schema.Entity, changes []schema.Change) (slow []string) {
	b.t.Helper()
	testkit.Eventually(b.t, "each change is persisted or slow", func() bool {
		flushed, err := b.Flush(b.t.Context(), e, 0, batch(changes...))
		require.NoError(b.t, err)
		require.Empty(b.t, flushed.Refused)
		done := ids(flushed.Persisted)
		for _, r := range flushed.Slow {
			require.Equal(b.t, schema.KindTimeout, r.Refusal.Kind)
			require.True(b.t, r.Isolate)
			slow, done = append(slow, r.ID), append(done, r.ID)
		}
		require.NotEmpty(b.t, done, "each flush gets further")
		changes = slices.DeleteFunc(slices.Clone(changes), func(c schema.Change) bool {
			return slices.Contains(done,
				c.ID)
		})
		return len(changes) == 0
	})
	return slow
}

// Statements that hang for a few of many changes are given up, and the neighbours persisted
// by the same flush, before any of the few has been tried with all of its time.
func TestI5NeighboursOfAHangingStatement(t *testing.T) {
	t.Parallel()
	for _, n := range []int{1, 12} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			t.Parallel()
			b, e := hanging(t, 6*time.Second)
			changes := accounts(200)
			var poison []string
			for i := range n {
				changes[i*199/n].Values[1] = "-1"
				poison = append(poison, changes[i*199/n].ID)
			}
			slow := b.sieved(e, changes)
			require.Subset(t, slow, poison)
			rows := b.load(e, ids(changes)...)
			for _, c := range changes {
				_, there := rows[c.ID]
				// On a machine that is busy a good one may have been slow, too.
				require.True(t, there || slices.Contains(slow, c.ID), c.ID)
				require.False(t, there && slices.Contains(poison, c.ID), c.ID)
			}
		})
	}
}

// What is slow is tried alone, with all of its time, and only then is it refused: by the
// database, on a connection that lives.
func TestASlowChangeHasAllOfItsTimeAlone(t *testing.T) {
	t.Parallel()
	b, e := hanging(t, time.Second)
	bad := put("bad", email(1), "-1")
	began := time.Now()
	for _, bound := range []time.Duration{time.Minute, time.Second} { // the second is no longer than a statement's
		ctx, cancel := context.WithTimeout(t.Context(), bound)
		defer cancel()
		flushed, err := b.Isolate(ctx, e, 0, batch(bad))
		require.NoError(t, err)
		require.GreaterOrEqual(t, time.Since(began), 900*time.Millisecond)
		require.Equal(t, []string{"bad"}, refusedIDs(flushed))
		require.True(t, flushed.Refused[0].Isolate)
		require.Contains(t, flushed.Refused[0].Refusal.Message, "statement timeout")
	}

	b.exec("DROP TRIGGER hang ON accounts")
	flushed, err := b.Isolate(t.Context(), e, 0, batch(bad))
	require.NoError(t, err)
	require.Equal(t, []string{"bad"}, ids(flushed.Persisted))
}

// A row that another session has locked hangs like a trigger that does.
func TestI5NeighboursOfALockedRow(t *testing.T) {
	t.Parallel()
	e := account(t)
	b := setup(t, testkit.Postgres(t).Database(t), []*schema.Entity{e}, func(c *store.Config) {
		c.StatementTimeout, c.LockTimeout = 6*time.Second, 500*time.Millisecond
	})
	changes := accounts(100)
	b.flush(e, changes...)
	other, err := sql.Open("pgx", b.url)
	require.NoError(t, err)
	defer other.Close()
	tx, err := other.BeginTx(t.Context(), nil)
	require.NoError(t, err)
	defer tx.Rollback() //nolint:errcheck // the end of the test
	_, err = tx.Exec("UPDATE accounts SET age = 0 WHERE id = $1", changes[42].ID)
	require.NoError(t, err)

	require.Contains(t, b.sieved(e, changes), changes[42].ID)
	require.NoError(t, tx.Rollback())
	flushed, err := b.Isolate(t.Context(), e, 0, batch(changes[42]))
	require.NoError(t, err)
	require.Len(t, flushed.Persisted, 1)
}

// A statement that takes its time for all of its changes alike is no change's fault: where
// nothing comes through, the next flush has all of the time.
func TestATableThatIsSlowAsAWholeIsFlushed(t *testing.T) {
	t.Parallel()
	e := account(t)
	b := setup(t, testkit.Postgres(t).Database(t), []*schema.Entity{e},
		func(c *store.Config) { c.StatementTimeout = 3 * time.Second })
	b.exec(`CREATE FUNCTION heavy() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(0.8); RETURN NULL; END $$`)
	b.exec(`CREATE TRIGGER heavy AFTER INSERT OR UPDATE ON accounts FOR EACH STATEMENT EXECUTE FUNCTION heavy()`)
	_, err := b.Flush(t.Context(), e, 0, batch(accounts(20)...))
	require.True(t, fault.Unavailable(err), "%v", err)
	require.False(t, fault.Away(err))
	for range 2 {
		flushed := b.flush(e, accounts(20)...)
		require.Len(t, flushed.Persisted, 20)
		require.Empty(t, flushed.Slow)
	}
	b.exec("DROP TRIGGER heavy ON accounts")
	b.flush(e, accounts(20)...) // and the time is over: the next that hangs is given up early
	b.exec(`CREATE TRIGGER heavy AFTER INSERT OR UPDATE ON accounts FOR EACH STATEMENT EXECUTE FUNCTION heavy()`)
	_, err = b.Flush(t.Context(), e, 0, batch(accounts(20)...))
	require.True(t, fault.Unavailable(err), "%v", err)
}

// COMMIT has all of the time, however little the pieces before it had, and a limit of the
// URL's is not lengthened.
func TestCommitIsNotHurried(t *testing.T) {
	t.Parallel()
	b, e := hanging(t, 6*time.Second)
	b.exec(`CREATE FUNCTION late() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
		INSERT INTO limits VALUES (current_setting('statement_timeout')); RETURN NULL; END $$`)
	b.exec(`CREATE TABLE limits (text text)`)
	b.exec(`CREATE CONSTRAINT TRIGGER late AFTER INSERT ON accounts DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION late()`)
	limits := func(url string) []string {
		b := open(t, url, []*schema.Entity{e})
		changes := accounts(3)
		changes[1].Values[1] = "-1"
		b.sieved(e, changes)
		db, err := sql.Open("pgx", b.url)
		require.NoError(t, err)
		defer db.Close()
		var found []string
		rows, err := db.Query("DELETE FROM limits RETURNING text")
		require.NoError(t, err)
		for rows.Next() {
			var text string
			require.NoError(t, rows.Scan(&text))
			found = append(found, text)
		}
		require.NoError(t, rows.Err())
		b.exec("DELETE FROM accounts")
		return found
	}
	for _, spelled := range []string{"3s", "3000"} {
		found := limits(b.url + "&statement_timeout=" + spelled)
		require.NotEmpty(t, found)
		for _, limit := range found {
			require.Equal(t, "3s", limit)
		}
	}
}
