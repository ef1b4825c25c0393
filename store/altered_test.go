package store_test

import (
	"context"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/internal/testkit"
	"github.com/afterwrite/afterwrite/schema"
	"github.com/afterwrite/afterwrite/store"
	"github.com/afterwrite/afterwrite/store/fault"
)

// onPostgres runs fn where sessions keep statements prepared, and where they do not.
func onPostgres(t *testing.T, fn func(t *testing.T, url string, options ...option)) {
	t.Helper()
	t.Parallel()
	for name, query := range map[string]string{"kept": "", "sent": "&default_query_exec_mode=cache_describe"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fn(t, testkit.Postgres(t).Database(t)+query, unwrapped, func(c *store.Config) { c.MaxOpen = 3 })
		})
	}
}

// price is an entity over a table of another program.
func price(t *testing.T, columns, url string, options ...option) (*bench, *schema.Entity) {
	e := entity(t, "price", schema.String, schema.Field{Name: "amount", Type: schema.Decimal, Precision: 12, Scale: 4},
		schema.Field{Name: "note", Type: schema.String})
	b := open(t, url, []*schema.Entity{e}, options...)
	b.exec("CREATE TABLE prices (id text PRIMARY KEY, " + columns + ")")
	_, err := b.Migrate(t.Context(), false)
	require.NoError(t, err)
	return b, e
}

// often flushes so often that sessions know the statements.
func (b *bench) often(e *schema.Entity, changes ...schema.Change) {
	b.t.Helper()
	for range 3 {
		require.Empty(b.t, b.flush(e, changes...).Refused)
	}
}

// amid flushes changes while a transaction of another program has done statements, and commits as the flush waits
// for it.
func (b *bench) amid(e *schema.Entity, statements string, changes ...schema.Change) (outcome store.Outcome, err error) {
	b.t.Helper()
	db := b.connect()
	defer db.Close()
	other, err := db.BeginTx(b.t.Context(), nil)
	require.NoError(b.t, err)
	_, err = other.ExecContext(b.t.Context(), statements)
	require.NoError(b.t, err)
	done := make(chan struct{})
	go func() {
		defer close(done)
		outcome, err = b.Flush(context.WithoutCancel(b.t.Context()), e, 0, batch(changes...))
	}()
	testkit.Eventually(b.t, "the flush waits for the other transaction", func() (waits bool) {
		const query = `SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted AND locktype = 'relation'
			AND database = (SELECT oid FROM pg_database WHERE datname = current_database()))`
		return other.QueryRowContext(b.t.Context(), query).Scan(&waits) == nil && waits
	})
	require.NoError(b.t, other.Commit())
	<-done
	return outcome, err
}

// A flush that waits for another program's transaction goes by what that has made of the table: by the columns of the
// table that has the name now, and by a trigger, for which a reader does not wait.
func TestAFlushThatWaitsGoesByWhatItWaitedFor(t *testing.T) {
	onPostgres(t, func(t *testing.T, url string, options ...option) {
		b, e := price(t, "amount numeric(12,4), note text", url, options...)
		b.exec("CREATE FUNCTION upper() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.note = upper(NEW.note); RETURN NEW; END'")
		b.often(e, put("a", `"1.2345"`, `"x"`))
		outcome, err := b.amid(e, "CREATE TRIGGER upper BEFORE UPDATE ON prices FOR EACH ROW EXECUTE FUNCTION upper()",
			put("a", `"1.2345"`, `"y"`))
		require.NoError(t, err)
		require.Equal(t, schema.Values{`"1.2345"`, `"Y"`}, outcome.Persisted[0].Row)
		b.exec("DROP TRIGGER upper ON prices")
		b.often(e, put("a", `"1.2345"`, `"x"`))
		_, err = b.amid(e, `CREATE TABLE others (id text PRIMARY KEY, amount numeric(12,2), note text);
			ALTER TABLE prices RENAME TO former; ALTER TABLE others RENAME TO prices`, put("a", `"1.2345"`, `"z"`))
		require.ErrorIs(t, err, fault.ErrUnfit)
		require.Equal(t, "0", b.text("SELECT count(*) FROM prices"))
	})
}

// A session keeps the types of a text's parameters. Those of a column that has another type since would alter values.
func TestAColumnOfAnotherTypeGetsWhatIsWritten(t *testing.T) {
	onPostgres(t, func(t *testing.T, url string, options ...option) {
		for before, value := range map[string]string{"char(10)": "x  ", "numeric": "1e3"} {
			e := entity(t, "host", schema.String, schema.Field{Name: "ip", Type: schema.String},
				schema.Field{Name: "note", Type: schema.String})
			b := open(t, url, []*schema.Entity{e}, options...)
			b.exec("CREATE TABLE hosts (id text PRIMARY KEY, ip inet, note " + before + ")") // an inet is sent as it is
			_, err := b.Migrate(t.Context(), false)
			require.NoError(t, err)
			b.often(e, put("a", "null", `"1"`))
			b.exec("ALTER TABLE hosts ALTER note TYPE text")
			b.often(e, put("a", "null", `"`+value+`"`))
			require.Equal(t, value, b.text("SELECT note FROM hosts"))
			b.exec("DROP TABLE hosts")
		}
	})
}

// What no mark of a table tells is read again as soon as a statement fails for it.
func TestWhatNoMarkTellsIsReadAgain(t *testing.T) {
	onPostgres(t, func(t *testing.T, url string, options ...option) {
		e := account(t)
		b := setup(t, url, []*schema.Entity{e}, options...)
		b.often(e, put("a", email(1), "1"), put("b", email(2), "1"))
		b.exec("ALTER INDEX " + b.text("SELECT indexrelid::regclass FROM pg_index WHERE indrelid = 'accounts'::regclass AND "+
			"NOT indisprimary") + " RENAME TO other")
		require.Empty(t, b.flush(e, put("a", email(2), "1"), put("b", email(1), "1")).Refused, "values are exchanged")

		b.exec("CREATE TYPE mood AS ENUM ('x', 'y')")
		b, e = price(t, "amount numeric(12,4), note mood", url, options...)
		soon := func(value string) {
			for range 3 {
				if _, err := b.Flush(t.Context(), e, 0, batch(put("a", value, `"y"`))); err == nil {
					break
				}
			}
			require.Equal(t, strings.Trim(value, `"`), b.text("SELECT amount FROM prices"))
		}
		b.often(e, put("a", `"1.0000"`, `"x"`))
		b.exec("ALTER TYPE mood RENAME TO humour")
		soon(`"2.0000"`)
		b.exec("CREATE FUNCTION lower() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.note = lower(NEW.note::text); RETURN NEW; END'")
		b.exec("CREATE TRIGGER lower BEFORE UPDATE ON prices FOR EACH ROW EXECUTE FUNCTION lower()")
		b.exec("ALTER TABLE prices ALTER note TYPE text")
		b.often(e, put("a", `"4.0000"`, `"x"`))
		b.exec("ALTER TABLE prices ALTER note TYPE varchar(20)") // of which the plans of the function know nothing
		soon(`"5.0000"`)
	})
}

// Foreign keys between other tables decide what the database changes with a row, too.
func TestKeysOfOtherTablesAreFollowed(t *testing.T) {
	onPostgres(t, func(t *testing.T, url string, options ...option) {
		parent := entity(t, "parent", schema.String, schema.Field{Name: "n", Type: schema.Int})
		child := entity(t, "child", schema.String, schema.Field{Name: "n", Type: schema.Int})
		b := open(t, url, []*schema.Entity{parent, child}, options...)
		b.exec("CREATE TABLE parents (id text PRIMARY KEY, n bigint)")
		b.exec("CREATE TABLE middles (id text PRIMARY KEY, parent text REFERENCES parents ON DELETE CASCADE)")
		b.exec("CREATE TABLE childs (id text PRIMARY KEY, n bigint, middle text)")
		_, err := b.Migrate(t.Context(), false)
		require.NoError(t, err)
		family := func() {
			b.often(parent, put("p", "1"))
			b.exec("INSERT INTO middles (id, parent) VALUES ('m', 'p')")
			b.exec("INSERT INTO childs VALUES ('c', 1, 'm')")
		}
		const key = "ALTER TABLE childs ADD CONSTRAINT up FOREIGN KEY (middle) REFERENCES middles ON DELETE CASCADE"
		beside := []schema.Beside{{Entity: child, IDs: []string{"c"}}}

		family()
		_, err = b.amid(parent, key, del("p"))
		require.True(t, fault.Conflict(err), "%v", err)
		require.Equal(t, beside, b.flush(parent, del("p")).Beside)

		b.exec("ALTER TABLE childs DROP CONSTRAINT up")
		b.often(parent, put("p", "1"))
		b.exec(key)
		family()
		require.Equal(t, beside, b.flush(parent, del("p")).Beside)

		family()
		b.exec("ALTER TABLE middles RENAME parent TO above")
		require.Equal(t, beside, b.flush(parent, del("p")).Beside)
	})
}

// Policies that begin to apply to the role decide how a row is written, though the table is as it was.
func TestPoliciesThatBeginToApply(t *testing.T) {
	onPostgres(t, func(t *testing.T, raw string, options ...option) {
		owner, e := price(t, "amount numeric(12,4), note text", raw)
		u, err := url.Parse(raw)
		require.NoError(t, err)
		role := "role_" + strings.TrimPrefix(u.Path, "/")[len(u.Path)-10:]
		u.User = url.User(role)
		owner.exec("CREATE ROLE " + role + " LOGIN BYPASSRLS")
		owner.exec("GRANT ALL ON ALL TABLES IN SCHEMA public TO " + role)
		owner.exec("ALTER TABLE prices ENABLE ROW LEVEL SECURITY")
		owner.exec("CREATE POLICY seen ON prices FOR SELECT USING (true)")
		owner.exec("CREATE POLICY updated ON prices FOR UPDATE USING (true) WITH CHECK (note <> 'z')")
		owner.exec("CREATE POLICY inserted ON prices FOR INSERT WITH CHECK (note <> 'y')")
		b := open(t, u.String(), []*schema.Entity{e}, options...)
		b.often(e, put("a", `"1.0000"`, `"x"`))
		owner.exec("ALTER ROLE " + role + " NOBYPASSRLS")
		require.Empty(t, b.flush(e, put("a", `"1.0000"`, `"y"`)).Refused, "the policy of an INSERT is none of an UPDATE")
		require.Len(t, b.flush(e, put("a", `"1.0000"`, `"z"`)).Refused, 1)
		require.Len(t, b.flush(e, put("b", `"1.0000"`, `"y"`)).Refused, 1)
	})
}
