package store_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/internal/testkit"
	"github.com/afterwrite/afterwrite/schema"
)

// A trigger leaves rows out, and the statement succeeds: what is not in the table is not
// persisted.
func TestARowThatATriggerLeavesOutIsRefused(t *testing.T) {
	onEach(t, func(t *testing.T, url string) {
		if strings.HasPrefix(url, "mysql") {
			return // its triggers cannot leave a row out
		}
		e := account(t)
		b := setup(t, url, []*schema.Entity{e})
		b.flush(e, put("kept", email(1), "13"), put("changed", email(2), "2"), put("gone", email(3), "3"))
		if b.Dialect() == "sqlite" {
			b.exec("CREATE TRIGGER i BEFORE INSERT ON accounts WHEN new.age = 13 BEGIN SELECT RAISE(IGNORE); END")
			b.exec("CREATE TRIGGER u BEFORE UPDATE ON accounts WHEN new.age = 13 AND old.age <> 13 BEGIN SELECT RAISE(IGNORE); END")
			b.exec("CREATE TRIGGER d BEFORE DELETE ON accounts WHEN old.age = 13 BEGIN SELECT RAISE(IGNORE); END")
		} else {
			b.exec(`CREATE FUNCTION skip() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
				IF TG_OP = 'DELETE' THEN
					IF old.age = 13 THEN RETURN NULL; END IF;
					RETURN old;
				END IF;
				IF new.age = 13 THEN RETURN NULL; END IF;
				RETURN new; END $$`)
			b.exec("CREATE TRIGGER s BEFORE INSERT OR UPDATE OR DELETE ON accounts FOR EACH ROW EXECUTE FUNCTION skip()")
		}
		flushed := b.flush(e, put("new", email(4), "13"), put("changed", email(2), "13"), put("kept", email(1), "13"),
			put("good", email(5), "5"), put("better", email(6), "6"))
		require.ElementsMatch(t, []string{"new", "changed"}, refusedIDs(flushed))
		require.ElementsMatch(t, []string{"good", "better", "kept"}, ids(flushed.Persisted), "kept is as it was to be")
		require.Equal(t, schema.KindCheck, flushed.Refused[0].Refusal.Kind)
		require.Contains(t, flushed.Refused[0].Refusal.Message, "trigger")

		flushed = b.flush(e, del("kept"), del("gone"), del("never"))
		require.Equal(t, []string{"kept"}, refusedIDs(flushed))
		require.Equal(t, map[string]schema.Values{
			"kept": {email(1), "13"}, "changed": {email(2), "2"}, "good": {email(5), "5"}, "better": {email(6), "6"},
		}, b.load(e, "kept", "changed", "gone", "never", "new", "good", "better"))
	})
}

// PostgreSQL's own trigger that leaves out what changes nothing is no refusal.
func TestRedundantUpdatesAreWell(t *testing.T) {
	onEach(t, func(t *testing.T, url string) {
		e := account(t)
		b := setup(t, url, []*schema.Entity{e})
		if b.Dialect() == "postgres" {
			b.exec(`CREATE TRIGGER z BEFORE UPDATE ON accounts
				FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()`)
		}
		changes := accounts(50)
		for range 2 {
			require.Len(t, b.flush(e, changes...).Persisted, 50)
		}
		changes[7].Values = schema.Values{email(7), "null"}
		require.Len(t, b.flush(e, changes...).Persisted, 50)
		require.Equal(t, "null", b.load(e, changes[7].ID)[changes[7].ID][1])
	})
}

// A trigger gives the row another key, or deletes it: nothing of the write is under the record's id, so it is not
// persisted, and its neighbours are.
func TestARowThatATriggerMovesIsRefused(t *testing.T) {
	onEach(t, func(t *testing.T, url string) {
		e := account(t)
		b := setup(t, url, []*schema.Entity{e})
		b.flush(e, put("kept", email(1), "1"), put("lost", email(2), "2"))
		switch b.Dialect() {
		case "postgres":
			b.exec(`CREATE FUNCTION move() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
				IF new.age = 13 THEN new.id := new.id || '-moved'; END IF;
				RETURN new; END $$`)
			b.exec("CREATE TRIGGER m BEFORE INSERT OR UPDATE ON accounts FOR EACH ROW EXECUTE FUNCTION move()")
			b.exec(`CREATE FUNCTION lose() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
				DELETE FROM accounts WHERE id = new.id AND age = 14;
				RETURN NULL; END $$`)
			b.exec("CREATE TRIGGER l AFTER UPDATE ON accounts FOR EACH ROW EXECUTE FUNCTION lose()")
		case "sqlite":
			b.exec(`CREATE TRIGGER i AFTER INSERT ON accounts WHEN new.age = 13
				BEGIN UPDATE accounts SET id = id || '-moved' WHERE id = new.id; END`)
			b.exec(`CREATE TRIGGER u AFTER UPDATE OF age ON accounts WHEN new.age = 13
				BEGIN UPDATE accounts SET id = id || '-moved' WHERE id = new.id; END`)
			b.exec(`CREATE TRIGGER l AFTER UPDATE OF age ON accounts WHEN new.age = 14
				BEGIN DELETE FROM accounts WHERE id = new.id; END`)
		default:
			b.exec(`CREATE TRIGGER i BEFORE INSERT ON accounts FOR EACH ROW
				SET NEW.id = IF(NEW.age = 13, CONCAT(NEW.id, '-moved'), NEW.id)`)
			b.exec(`CREATE TRIGGER u BEFORE UPDATE ON accounts FOR EACH ROW
				SET NEW.id = IF(NEW.age IN (13, 14), CONCAT(NEW.id, '-moved'), NEW.id)`)
		}
		flushed := b.flush(e, put("new", email(4), "13"), put("kept", email(1), "13"),
			put("good", email(5), "5"), put("better", email(6), "6"))
		require.ElementsMatch(t, []string{"new", "kept"}, refusedIDs(flushed))
		require.ElementsMatch(t, []string{"good", "better"}, ids(flushed.Persisted))
		require.Equal(t, schema.KindCheck, flushed.Refused[0].Refusal.Kind)
		require.Contains(t, flushed.Refused[0].Refusal.Message, "changed the key")
		if b.Dialect() == "postgres" { // whose rows are not read back before COMMIT
			b.exec("CREATE FUNCTION late() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$")
			b.exec(`CREATE CONSTRAINT TRIGGER late AFTER INSERT OR UPDATE ON accounts DEFERRABLE INITIALLY DEFERRED
				FOR EACH ROW EXECUTE FUNCTION late()`)
		}
		require.Equal(t, []string{"lost"}, refusedIDs(b.flush(e, put("lost", email(2), "14"))))
		require.Equal(t, map[string]schema.Values{
			"kept": {email(1), "1"}, "lost": {email(2), "2"}, "good": {email(5), "5"}, "better": {email(6), "6"},
		}, b.load(e, "kept", "lost", "new", "good", "better", "new-moved", "kept-moved", "lost-moved"))
	})
}

// A trigger of SQLite can end the transaction: its record alone is refused, and its neighbours are persisted.
func TestARowForWhichATriggerEndsTheTransactionIsRefused(t *testing.T) {
	t.Parallel()
	e := account(t)
	b := setup(t, testkit.SQLite(t), []*schema.Entity{e})
	b.flush(e, put("kept", email(101), "98"), put("gone", email(102), "2"))
	b.exec("CREATE TRIGGER i BEFORE INSERT ON accounts WHEN new.age = 99 BEGIN SELECT RAISE(ROLLBACK, 'not that'); END")
	b.exec("CREATE TRIGGER u AFTER UPDATE ON accounts WHEN new.age = 99 BEGIN SELECT RAISE(ROLLBACK, 'not that'); END")
	b.exec("CREATE TRIGGER d BEFORE DELETE ON accounts WHEN old.age = 98 BEGIN SELECT RAISE(ROLLBACK, 'stays'); END")
	changes := append(accounts(20), put("new", email(140), "99"), put("gone", email(141), "99"), del("kept"))
	flushed := b.flush(e, changes...)
	require.ElementsMatch(t, []string{"new", "gone", "kept"}, refusedIDs(flushed))
	require.Len(t, flushed.Persisted, 20)
	for _, refused := range flushed.Refused {
		require.Equal(t, schema.KindPoison, refused.Refusal.Kind)
		require.Contains(t, []string{"not that", "stays"}, refused.Refusal.Message)
	}
	require.Equal(t, map[string]schema.Values{"kept": {email(101), "98"}, "gone": {email(102), "2"}},
		b.load(e, "kept", "gone", "new"))
}
