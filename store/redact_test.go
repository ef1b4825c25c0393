package store_test

import (
	"context"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/schema"
	"github.com/afterwrite/afterwrite/store/fault"
)

// quoting is an entity whose table refuses records in messages that quote their secrets.
func quoting(t *testing.T, url string) (*bench, *schema.Entity) {
	t.Helper()
	e := entity(t, "card", schema.String,
		schema.Field{Name: "name", Type: schema.String},
		schema.Field{Name: "number", Type: schema.String, Redact: true},
		schema.Field{Name: "pin", Type: schema.Int, Redact: true})
	b := setup(t, url, []*schema.Entity{e})
	if b.Dialect() == "mysql" {
		for _, event := range []string{"INSERT", "UPDATE"} {
			b.exec(`CREATE TRIGGER now_` + event + ` BEFORE ` + event + ` ON cards FOR EACH ROW BEGIN
				DECLARE said varchar(500) DEFAULT CONCAT(NEW.number, ' with pin ', NEW.pin, ' of ', NEW.name, ' is not welcome');
				IF NEW.name = 'locked' THEN SIGNAL SQLSTATE '40001' SET MYSQL_ERRNO = 1213, MESSAGE_TEXT = said; END IF;
				IF NEW.name = 'bad' THEN SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = said; END IF; END`)
		}
	} else if b.Dialect() == "postgres" {
		b.exec(`CREATE FUNCTION tell() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
			IF NEW.name = 'locked' THEN RAISE EXCEPTION '% with pin % of bad is not welcome', NEW.number, NEW.pin USING ERRCODE = '40P01'; END IF;
			IF NEW.name = 'bad' THEN RAISE EXCEPTION '% with pin % of % is not welcome', NEW.number, NEW.pin, NEW.name; END IF;
			RETURN NEW; END $$`)
		b.exec("CREATE CONSTRAINT TRIGGER later AFTER INSERT OR UPDATE ON cards DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (NEW.id = 'late') EXECUTE FUNCTION tell()")
		b.exec("CREATE TRIGGER now BEFORE INSERT OR UPDATE ON cards FOR EACH ROW WHEN (NEW.id <> 'late') EXECUTE FUNCTION tell()")
	} else {
		// RAISE takes no expression here, but other functions quote what they are given.
		b.exec("CREATE TRIGGER now BEFORE INSERT ON cards WHEN NEW.name = 'bad' BEGIN SELECT json_extract('{}', NEW.number || ' with pin ' || NEW.pin || ' of ' || NEW.name || ' is not welcome'); END")
	}
	return b, e
}

func card(id, name, number, pin string) schema.Change {
	return put(id, `"`+name+`"`, `"`+number+`"`, pin)
}

// A message of the database tells nothing of redacted values, in a batch or alone.
func TestRefusalsTellNoSecrets(t *testing.T) {
	onEach(t, func(t *testing.T, url string) {
		b, e := quoting(t, url)
		some := []schema.Change{card("a", "good", "4000-1111", "1234"), card("b", "bad", "4000-2222", "31337"),
			card("c", "bad", "4000-3333", "424242"), card("d", "good", "4000-4444", "99")}
		flushed, err := b.Flush(t.Context(), e, 0, batch(some...))
		if err != nil {
			// SQLite has no code of its own for what its functions refuse.
			require.True(t, fault.Unavailable(err), "%v", err)
			requireNoSecrets(t, err.Error())
			flushed, err = b.Isolate(t.Context(), e, 0, batch(some...))
		}
		require.NoError(t, err)
		require.Equal(t, []string{"b", "c"}, refusedIDs(flushed))
		for _, r := range flushed.Refused {
			requireNoSecrets(t, r.Refusal.Message)
		}

		_, err = b.Through(t.Context(), e, "b", func(context.Context, schema.Row, string, string) (schema.Change,
			error) {
			return some[1], nil
		}, nil)
		require.Error(t, err)
		requireNoSecrets(t, err.Error())
		if b.Dialect() == "postgres" {
			flushed := b.flush(e, card("late", "bad", "4000-5555", "31337"), card("e", "good", "4000-6666", "1"))
			require.Equal(t, []string{"late"}, refusedIDs(flushed))
			requireNoSecrets(t, flushed.Refused[0].Refusal.Message)
			for _, id := range []string{"late", "now"} {
				_, err = b.Flush(t.Context(), e, 0, batch(card(id, "locked", "4000-7777", "31337")))
				require.True(t, fault.Unavailable(err), "%v", err)
				requireNoSecrets(t, err.Error())
			}
		}
	})
}

func requireNoSecrets(t *testing.T, message string) {
	t.Helper()
	require.Contains(t, message, "(redacted) with pin (redacted) of bad is not welcome")
	for _, secret := range []string{"4000", "31337", "424242"} {
		require.False(t, strings.Contains(message, secret), message)
	}
}

// What a trigger quotes of the row as it was is gone as well, however the database spells it, upper-cased or cut.
func TestRefusalsTellNoSecretsOfTheRow(t *testing.T) {
	onEach(t, func(t *testing.T, url string) {
		e := entity(t, "safe", schema.String,
			schema.Field{Name: "number", Type: schema.String, Redact: true},
			schema.Field{Name: "worth", Type: schema.Float, Redact: true},
			schema.Field{Name: "held", Type: schema.JSON, Redact: true})
		b := setup(t, url, []*schema.Entity{e})
		switch b.Dialect() {
		case "mysql":
			b.exec(`CREATE TRIGGER old_safes BEFORE UPDATE ON safes FOR EACH ROW BEGIN
				DECLARE said varchar(500) DEFAULT CONCAT(UPPER(OLD.number), ' ', LEFT(OLD.number, 9), ' ', OLD.worth, ' ', OLD.held, ' stays');
				SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = said; END`)
		case "postgres":
			b.exec(`CREATE FUNCTION old_safe() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
				RAISE EXCEPTION '% % % % stays', upper(OLD.number), left(OLD.number, 9), OLD.worth, OLD.held; END $$`)
			b.exec("CREATE TRIGGER now BEFORE UPDATE ON safes FOR EACH ROW EXECUTE FUNCTION old_safe()")
		default:
			b.exec(`CREATE TRIGGER now BEFORE UPDATE ON safes BEGIN
				SELECT json_extract('{}', upper(OLD.number) || ' ' || substr(OLD.number, 1, 9) || ' ' || OLD.worth || ' ' || OLD.held || ' stays'); END`)
		}
		b.flush(e, put("a", `"forty-thieves-ünder"`, "1.5e+15", `{"gold": ["a\"bc", 31337]}`))
		change := put("a", `"new"`, "1", "{}")
		flushed, err := b.Flush(t.Context(), e, 0, batch(change))
		if err != nil {
			flushed, err = b.Isolate(t.Context(), e, 0, batch(change))
		}
		require.NoError(t, err)
		require.Len(t, flushed.Refused, 1)
		message := flushed.Refused[0].Refusal.Message
		require.Contains(t, message, "stays")
		for _, secret := range []string{"forty", "THIEVES", "forty-thi", "1.5e", "1500000000000000", "gold", "31337"} {
			require.NotContains(t, message, secret)
		}
	})
}
