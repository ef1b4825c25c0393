package store_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

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
