package store_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/internal/testkit"
	"github.com/afterwrite/afterwrite/schema"
	"github.com/afterwrite/afterwrite/store"
	"github.com/afterwrite/afterwrite/store/fault"
)

// unwrapped leaves the sessions to the driver alone, which keeps statements prepared then.
func unwrapped(c *store.Config) { c.Wrap = nil }

// A flush writes the table that has the name, though its session has kept statements for another table.
func TestKeptStatementsAreOfOneTable(t *testing.T) {
	t.Parallel()
	url := testkit.Postgres(t).Database(t) + "&search_path=first,public"
	e := account(t)
	b := setup(t, url, []*schema.Entity{e}, unwrapped, func(c *store.Config) { c.MaxOpen = 3 })
	b.exec("CREATE SCHEMA first") // one that is new in search_path has the server analyse everything again
	count := func(table string) string { return b.text("SELECT count(*)::text FROM " + table) }
	write := func(n int) { // so often that each session has kept what it writes by
		for range 8 {
			b.flush(e, accounts(n)...)
			require.Len(t, b.load(e, fmt.Sprintf("u%04d", n-1)), 1)
		}
	}
	write(3)
	require.Equal(t, "3", count("public.accounts"))
	b.exec("CREATE TABLE first.accounts (LIKE public.accounts INCLUDING ALL)")
	write(5)
	require.Equal(t, "3", count("public.accounts"))
	require.Equal(t, "5", count("first.accounts"))
	b.exec("DROP TABLE first.accounts")
	write(4)
	require.Equal(t, "4", count("public.accounts"))
}

// Where sessions forget what was prepared, as behind a pooler that was not found, a flush fails once and no statement
// is kept from then on.
func TestForgottenStatementsAreKeptNoLonger(t *testing.T) {
	t.Parallel()
	e := account(t)
	b := setup(t, testkit.Postgres(t).Database(t), []*schema.Entity{e}, unwrapped,
		func(c *store.Config) { c.MaxOpen = 3 })
	b.exec("CREATE FUNCTION forget() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN EXECUTE 'DEALLOCATE ALL'; RETURN NULL; END$$")
	b.exec("CREATE TRIGGER forget AFTER INSERT ON accounts FOR EACH STATEMENT EXECUTE FUNCTION forget()")
	require.False(t, b.Pooled())
	for range 20 {
		if _, err := b.Flush(t.Context(), e, 0, batch(put("u1", email(1), "1"))); err != nil {
			require.True(t, fault.Unavailable(err))
			require.ErrorContains(t, err, "does not exist (SQLSTATE 26000)")
			break
		}
	}
	require.True(t, b.Pooled())
	for range 20 {
		b.flush(e, put("u1", email(1), "2"))
	}
}

// What a session keeps follows each change of its table.
func TestKeptStatementsFollowTheirTable(t *testing.T) {
	t.Parallel()
	url := testkit.Postgres(t).Database(t)
	e := account(t)
	b := setup(t, url, []*schema.Entity{e}, unwrapped)
	write := func(age string) string {
		for range 3 {
			b.flush(e, put("u1", email(1), age))
		}
		return b.text("SELECT age::text FROM accounts WHERE id = 'u1'")
	}
	require.Equal(t, "1", write("1"))
	b.exec("ALTER TABLE accounts ALTER COLUMN age TYPE integer")
	require.Equal(t, "2", write("2"))
	b.exec("ALTER TABLE accounts ALTER COLUMN age TYPE numeric(20, 2)")
	require.Equal(t, "3.00", write("3"))
	b.exec("ALTER TABLE accounts ADD COLUMN more text DEFAULT 'x'")
	require.Equal(t, "4.00", write("4"))
	b.exec("CREATE FUNCTION double() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.age = 2 * NEW.age; RETURN NEW; END'")
	b.exec("CREATE TRIGGER double BEFORE INSERT OR UPDATE ON accounts FOR EACH ROW EXECUTE FUNCTION double()")
	outcome := b.flush(e, put("u1", email(1), "5"))
	require.Equal(t, "10", outcome.Persisted[0].Row[1])
	b.exec("DROP TRIGGER double ON accounts")
	require.Equal(t, "6.00", write("6"))
	b.exec("ALTER TABLE accounts RENAME TO former; CREATE TABLE accounts (LIKE former INCLUDING ALL)")
	require.Equal(t, "7.00", write("7"))
	require.Equal(t, "6.00", b.text("SELECT age::text FROM former WHERE id = 'u1'"))
	b.exec("DROP TABLE accounts")
	for range 3 {
		_, err := b.Flush(t.Context(), e, 0, batch(put("u1", email(1), "8")))
		require.True(t, fault.Unavailable(err))
		require.ErrorContains(t, err, `relation "accounts" does not exist`)
	}
	b.exec("ALTER TABLE former RENAME TO accounts")
	require.Equal(t, "8.00", write("8"))
}
