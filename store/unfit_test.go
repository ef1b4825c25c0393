package store_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/internal/testkit"
	"github.com/afterwrite/afterwrite/schema"
	"github.com/afterwrite/afterwrite/store"
	"github.com/afterwrite/afterwrite/store/fault"
)

// narrow is an entity over a table made by hand, whose columns hold less than its values.
func narrow(t *testing.T) (*bench, *schema.Entity) {
	t.Helper()
	t.Parallel()
	e := entity(t, "seat", schema.Int,
		schema.Field{Name: "label", Type: schema.String},
		schema.Field{Name: "parent", Type: schema.Int})
	b := open(t, testkit.Postgres(t).Database(t), []*schema.Entity{e})
	b.exec(`CREATE TABLE parents (n smallint PRIMARY KEY)`)
	b.exec(`CREATE TABLE seats (id integer PRIMARY KEY, label uuid UNIQUE, parent smallint REFERENCES parents (n))`)
	_, err := b.Migrate(t.Context(), false)
	require.NoError(t, err)
	return b, e
}

const (
	tooLarge = "5000000000"
	label    = `"a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"`
	other    = `"a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a12"`
)

// An id that its column cannot hold has no row: the database is not away, and no neighbour
// of the same query is.
func TestIDsThatTheirColumnCannotHold(t *testing.T) {
	b, e := narrow(t)
	b.flush(e, put("1", label, "null"), put("2", "null", "null"))
	require.Empty(t, b.load(e, tooLarge))
	require.Len(t, b.load(e, "1", tooLarge, "2", "3", "6000000000"), 2)

	_, err := b.Through(t.Context(), e, tooLarge, func(_ context.Context, row schema.Row,
		_, _ string) (schema.Change, error) {
		require.False(t, row.Exists)
		return del(tooLarge), nil
	}, nil)
	require.NoError(t, err)
	flushed := b.flush(e, del(tooLarge), del("2"))
	require.Empty(t, flushed.Refused)
	require.Len(t, b.load(e, "1", "2"), 1)
}

// A deletion that a trigger refuses with a code of values is refused: its row is there.
func TestDeletionRefusedByATriggersValue(t *testing.T) {
	b, e := narrow(t)
	b.exec(`CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM 'x'::int; RETURN OLD; END $$`)
	b.exec(`CREATE TRIGGER keep BEFORE DELETE ON seats FOR EACH ROW EXECUTE FUNCTION keep()`)
	b.flush(e, put("1", "null", "null"))
	require.Equal(t, []string{"1"}, refusedIDs(b.flush(e, del("1"))))
}

// No row has a value that its column cannot hold.
func TestListByAValueThatItsColumnCannotHold(t *testing.T) {
	b, e := narrow(t)
	b.flush(e, put("1", label, "null"))
	for position, value := range map[int]string{0: `"bogus"`, 1: "100000"} {
		rows, err := b.List(t.Context(), e, store.Query{Equal: map[int]string{position: value}})
		require.NoError(t, err)
		require.Empty(t, rows)
	}
}

// The queries that find the refused ask for the values of all changes, of which the column
// may not hold one: the others are persisted in the same flush.
func TestI5ValuesThatTheirColumnCannotHold(t *testing.T) {
	b, e := narrow(t)
	b.exec(`INSERT INTO parents VALUES (1)`)
	b.flush(e, put("1", label, "1"))
	flushed := b.flush(e, put("2", label, "null"), put("3", `"bogus"`, "null"), put("4", other, "null"),
		put("5", "null", "7"), put("6", "null", "100000"), put("7", "null", "1"))
	require.ElementsMatch(t, []string{"2", "3", "5", "6"}, refusedIDs(flushed))
	require.Len(t, b.load(e, "4", "7"), 2)
}

// A text is read as it was written where its column is a date, of which the drivers make a time.
func TestI8TextInAColumnOfDates(t *testing.T) {
	onEach(t, func(t *testing.T, url string) {
		e := entity(t, "visit", schema.String, schema.Field{Name: "day", Type: schema.String})
		b := open(t, url, []*schema.Entity{e})
		b.exec(`CREATE TABLE visits (id text PRIMARY KEY, day date)`)
		_, err := b.Migrate(t.Context(), false)
		require.NoError(t, err)
		b.flush(e, put("a", `"2026-01-02"`), put("b", "null"))
		require.Equal(t, map[string]schema.Values{"a": {`"2026-01-02"`}, "b": {"null"}}, b.load(e, "a", "b"))
	})
}

// A table that cannot keep records at all is refused by name.
func TestTablesThatKeepNoRecords(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		url        func(t *testing.T) string
		statements []string
		says       string
	}{
		"MyISAM": {func(t *testing.T) string { return testkit.MariaDB(t).Database(t) },
			[]string{"CREATE TABLE seats (id bigint PRIMARY KEY, n bigint) ENGINE=MyISAM"},
			"its engine, MyISAM, has no transactions"},
		"Aria": {func(t *testing.T) string { return testkit.MariaDB(t).Database(t) },
			[]string{"CREATE TABLE seats (id bigint PRIMARY KEY, n bigint) ENGINE=Aria"},
			"its engine, Aria, has no transactions"},
		"parent": {func(t *testing.T) string { return testkit.Postgres(t).Database(t) },
			[]string{"CREATE TABLE seats (id bigint PRIMARY KEY, n bigint)", "CREATE TABLE more () INHERITS (seats)"},
			"tables inherit from it"},
		"materialized view": {func(t *testing.T) string { return testkit.Postgres(t).Database(t) },
			[]string{"CREATE MATERIALIZED VIEW seats AS SELECT 1::bigint AS id, 2::bigint AS n",
				"CREATE UNIQUE INDEX ON seats (id)"}, "it is a materialized view"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := entity(t, "seat", schema.Int, schema.Field{Name: "n", Type: schema.Int})
			b := open(t, c.url(t), []*schema.Entity{e})
			for _, s := range c.statements {
				b.exec(s)
			}
			_, err := b.Migrate(t.Context(), false)
			require.ErrorIs(t, err, fault.ErrUnfit)
			require.ErrorContains(t, err, c.says)
		})
	}
}

// The conflict clauses of SQLite's tables replace and ignore rows without a word. A flush
// overrides them: its neighbours stay, and the record is refused.
func TestConflictClausesTouchNoNeighbour(t *testing.T) {
	t.Parallel()
	for _, clause := range []string{"REPLACE", "IGNORE", "FAIL", "ROLLBACK", "ABORT"} {
		t.Run(clause, func(t *testing.T) {
			t.Parallel()
			e := entity(t, "host", schema.Int, schema.Field{Name: "name", Type: schema.String, Unique: true},
				schema.Field{Name: "n", Type: schema.Int})
			b := open(t, testkit.SQLite(t), []*schema.Entity{e})
			b.exec("CREATE TABLE hosts (id INTEGER PRIMARY KEY ON CONFLICT " + clause +
				", name TEXT UNIQUE ON CONFLICT " + clause +
				", n INTEGER NOT NULL ON CONFLICT " + clause + " DEFAULT 7, theirs TEXT DEFAULT 'x')")
			_, err := b.Migrate(t.Context(), false)
			require.NoError(t, err)
			require.Empty(t, b.flush(e, put("1", `"a"`, "1"), put("2", `"b"`, "2")).Refused)
			b.exec("UPDATE hosts SET theirs = 'kept'")
			flushed := b.flush(e, put("2", `"a"`, "5"), put("3", `"b"`, "6"), put("4", `"d"`, "null"),
				put("5", `"e"`, "5"))
			require.ElementsMatch(t, []string{"2", "3", "4"}, refusedIDs(flushed))
			require.Empty(t, b.flush(e, put("1", `"b"`, "1"), put("2", `"a"`, "2")).Refused) // an exchange
			require.Equal(t, "2", b.text("SELECT count(*) FROM hosts WHERE theirs = 'kept'"))
			require.Equal(t, map[string]schema.Values{"1": {`"b"`, "1"}, "2": {`"a"`, "2"}, "5": {`"e"`, "5"}},
				b.load(e, "1", "2", "3", "4", "5"))
		})
	}
}

// MariaDB has no partial indexes: the condition is rejected by name before anything connects.
func TestNoPartialIndexesOnMariaDB(t *testing.T) {
	t.Parallel()
	e := entity(t, "host", schema.Int, schema.Field{Name: "name", Type: schema.String, Unique: true,
		UniqueWhere: "gone IS NULL"})
	_, err := store.Open(store.Config{URL: "mysql://root@127.0.0.1:1/x"}, []*schema.Entity{e})
	require.ErrorContains(t, err, "entity host: field name: unique.where: MySQL and MariaDB have no partial indexes")
}

// A column that ALTER TABLE has widened has rows of ids and values that it could not hold before, whatever the sessions
// of the pool know of it.
func TestAWidenedColumnIsReadByItsNewType(t *testing.T) {
	b, e := narrow(t)
	b.exec(`ALTER TABLE seats DROP CONSTRAINT seats_parent_fkey`)
	list := func() int {
		rows, err := b.List(t.Context(), e, store.Query{Equal: map[int]string{1: tooLarge}})
		require.NoError(t, err)
		return len(rows)
	}
	through := func() (exists bool) {
		_, err := b.Through(t.Context(), e, tooLarge, func(_ context.Context, row schema.Row,
			_, _ string) (schema.Change, error) {
			exists = row.Exists
			return schema.Change{}, schema.ErrNotFound
		}, nil)
		require.ErrorIs(t, err, schema.ErrNotFound)
		return exists
	}
	require.Empty(t, b.load(e, "1"))
	require.False(t, through())
	require.Zero(t, list())
	rows, err := b.List(t.Context(), e, store.Query{Equal: map[int]string{1: "1"}}) // its statement is known now
	require.NoError(t, err)
	require.Empty(t, rows)
	b.exec(`ALTER TABLE seats ALTER id TYPE bigint, ALTER parent TYPE bigint`)
	b.exec(`INSERT INTO seats VALUES (5000000000, null, 5000000000)`)
	require.True(t, through(), "a create would overwrite it")
	require.Len(t, b.load(e, tooLarge), 1)
	require.Equal(t, 1, list())
}
