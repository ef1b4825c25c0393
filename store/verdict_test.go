package store_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/internal/testkit"
	"github.com/afterwrite/afterwrite/schema"
	"github.com/afterwrite/afterwrite/store/catalog"
	"github.com/afterwrite/afterwrite/store/fault"
	"github.com/afterwrite/afterwrite/store/survey"
)

// A column that would round what is written is refused at the start, with the fix.
func TestColumnsThatRoundAreRefused(t *testing.T) {
	t.Parallel()
	for column, c := range map[string]struct {
		field schema.Field
		fix   string // "" where the column is taken
	}{
		"timestamp(3)":                     {schema.Field{Type: schema.Time}, "from: database"},
		"date":                             {schema.Field{Type: schema.Time}, "from: database"},
		"numeric(10,2)":                    {schema.Field{Type: schema.Decimal, Precision: 12, Scale: 4}, "scale: 2"},
		"numeric(38,2)":                    {schema.Field{Type: schema.Decimal, Precision: 38, Scale: 4}, "scale: 2"},
		"real":                             {schema.Field{Type: schema.Float}, "from: database"},
		"double precision":                 {schema.Field{Type: schema.Int}, "from: database"},
		"bytea":                            {schema.Field{Type: schema.Text}, "the type bytes"},
		"smallint":                         {schema.Field{Type: schema.Bool}, "the type int"},
		"int GENERATED ALWAYS AS IDENTITY": {schema.Field{Type: schema.Int}, "leave it out"},
		"jsonb":                            {schema.Field{Type: schema.JSON}, ""},
		"timestamptz":                      {schema.Field{Type: schema.Time}, ""},
		"timestamp":                        {schema.Field{Type: schema.Time}, ""},
		"numeric":                          {schema.Field{Type: schema.Float}, ""},
	} {
		t.Run(column, func(t *testing.T) {
			t.Parallel()
			c.field.Name = "f"
			e := entity(t, "thing", schema.String, c.field)
			b := open(t, testkit.Postgres(t).Database(t), []*schema.Entity{e})
			b.exec("CREATE TABLE things (id text PRIMARY KEY, f " + column + ")")
			_, err := b.Outstanding(t.Context())
			if c.fix == "" {
				_, err = b.Migrate(t.Context(), false)
				require.NoError(t, err)
				return
			}
			require.ErrorIs(t, err, fault.ErrUnfit)
			for _, part := range []string{"things.f", "thing.f", c.fix} {
				require.ErrorContains(t, err, part)
			}
			lines := strings.Join(survey.VerdictLines(verdicts(b)), "\n")
			require.Contains(t, lines, "things: exact: id\nthings.f (")
			require.Contains(t, lines, ") refused: ")
			_, err = b.Migrate(t.Context(), true)
			require.ErrorIs(t, err, fault.ErrUnfit)
		})
	}
}

func verdicts(b *bench) []survey.Verdict {
	b.t.Helper()
	all, err := survey.Of(b.Store).Verdicts(b.t.Context())
	require.NoError(b.t, err)
	return all
}

// A key has to tell exactly the ids apart that the entity has.
func TestKeysThatTellOtherIDsApartAreRefused(t *testing.T) {
	onEach(t, func(t *testing.T, url string) {
		for typ, id := range map[string]schema.FieldType{"text": schema.Int, "varchar(20)": schema.Int,
			"integer": schema.UUID} {
			name := "k" + strings.ToLower(strings.Trim(typ, "()0123456789"))
			e := entity(t, name, id, schema.Field{Name: "label", Type: schema.Text})
			b := open(t, url, []*schema.Entity{e})
			b.exec("CREATE TABLE " + e.Table + " (id " + typ + " PRIMARY KEY, label text)")
			_, err := b.Outstanding(t.Context())
			require.ErrorIs(t, err, fault.ErrUnfit, typ)
			require.ErrorContains(t, err, "set `id: {type: ")
		}
	})
}

// A column of SQLite that keeps a number and its text side by side is no key of texts: they would be one id.
func TestI8SQLiteKeysHaveAType(t *testing.T) {
	t.Parallel()
	for _, typ := range []string{"", "BLOB"} {
		e := entity(t, "thing", schema.String, schema.Field{Name: "n", Type: schema.Int})
		b := open(t, testkit.SQLite(t), []*schema.Entity{e})
		b.exec("CREATE TABLE things (id " + typ + " PRIMARY KEY, n integer)")
		_, err := b.Outstanding(t.Context())
		require.ErrorIs(t, err, fault.ErrUnfit, typ)
		require.ErrorContains(t, err, "name a column of text", typ)
	}
}

// A table that another program changes is written by what it is now, and judged again,
// without a restart.
func TestAChangedTableIsLookedAtAgain(t *testing.T) {
	t.Parallel()
	e := entity(t, "thing", schema.String,
		schema.Field{Name: "n", Type: schema.Int}, schema.Field{Name: "seen", Type: schema.Time},
		schema.Field{Name: "ratio", Type: schema.Float})
	e.Fields[1].FromDatabase, e.Fields[2].FromDatabase = true, true // narrow columns are taken
	b := open(t, testkit.Postgres(t).Database(t), []*schema.Entity{e})
	b.exec("CREATE TABLE things (id text PRIMARY KEY, n integer, seen date, ratio real)")
	_, err := b.Migrate(t.Context(), false)
	require.NoError(t, err)
	b.flush(e, put("a", "1", `"2026-01-31T12:34:56Z"`, "0.1"))
	require.Equal(t, schema.Values{"1", `"2026-01-31T00:00:00Z"`, "0.1"}, b.load(e, "a")["a"])

	b.exec("ALTER TABLE things ALTER n TYPE bigint, ALTER seen TYPE timestamptz, ALTER ratio TYPE double precision")
	whole := schema.Values{"3000000000", `"2026-01-31T12:34:56Z"`, "0.1"}
	require.Empty(t, b.flush(e, put("a", whole...)).Refused)
	require.Equal(t, whole, b.load(e, "a")["a"])
	b.exec("ALTER TABLE things ALTER n TYPE text")
	require.Empty(t, b.flush(e, put("b", whole...)).Refused)
	require.Equal(t, whole, b.load(e, "b")["b"])

	// What does not fit any more is nobody's refusal: it waits for the table.
	b.exec("ALTER TABLE things ALTER n TYPE double precision USING 0")
	f, err := b.Begin(t.Context(), e, 0)
	require.NoError(t, err)
	defer f.Rollback()
	_, err = f.Write(t.Context(), []schema.Change{put("c", whole...)})
	require.ErrorIs(t, err, fault.ErrUnfit)
	require.True(t, fault.Unavailable(err))
	require.ErrorContains(t, err, "things.n")
	f.Rollback()
	b.exec("ALTER TABLE things ALTER n TYPE bigint")
	require.Empty(t, b.flush(e, put("c", whole...)).Refused)
	require.Equal(t, whole, b.load(e, "c")["c"])
}

// The verdicts on columns that Afterwrite makes are exact.
func TestOwnColumnsAreExact(t *testing.T) {
	onEach(t, func(t *testing.T, url string) {
		e := everything(t)
		b := open(t, url, []*schema.Entity{e})
		before := verdicts(b)
		_, err := b.Migrate(t.Context(), false)
		require.NoError(t, err)
		after := verdicts(b)
		require.Len(t, after, len(e.Fields)+1)
		require.Len(t, before, len(after))
		for _, v := range append(before, after...) {
			require.Equal(t, catalog.Exact, v.Hold, v.String())
		}
	})
}

// A trigger that is made between two flushes has the last word in the second.
func TestATriggerThatIsNewHasTheLastWord(t *testing.T) {
	onEach(t, func(t *testing.T, url string) {
		e := account(t)
		b := setup(t, url, []*schema.Entity{e})
		require.Nil(t, b.flush(e, put("x", `"a"`, "1")).Persisted[0].Row)
		for _, statement := range map[string][]string{
			"sqlite": {"CREATE TRIGGER z AFTER UPDATE OF age ON accounts BEGIN " +
				"UPDATE accounts SET age = 77 WHERE id = new.id AND age <> 77; END"},
			"postgres": {"CREATE FUNCTION z() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.age = 77; RETURN NEW; END $$",
				"CREATE TRIGGER z BEFORE UPDATE ON accounts FOR EACH ROW EXECUTE FUNCTION z()"},
			"mysql": {"CREATE TRIGGER z BEFORE UPDATE ON accounts FOR EACH ROW SET NEW.age = 77"},
		}[b.Dialect()] {
			b.exec(statement)
		}
		require.Equal(t, schema.Values{`"a"`, "77"}, b.flush(e, put("x", `"a"`, "2")).Persisted[0].Row)
	})
}

// Why a key is refused names its own trouble, and the column that has it.
func TestRefusedKeysNameTheirTrouble(t *testing.T) {
	t.Parallel()
	pg, my := testkit.Postgres(t), testkit.MariaDB(t)
	alone := schema.ID{Type: schema.Int}
	parts := schema.ID{Columns: []string{"id", "e"}}
	for _, c := range []struct {
		url, table string
		id         schema.ID
		says       string // "" is taken
		line       string // a line of the verdicts, where the key is refused
	}{
		{pg.Database(t), "(id int PRIMARY KEY DEFERRABLE, e text, n int)", alone, "is DEFERRABLE", "NOT DEFERRABLE"},
		{pg.Database(t), "(id int UNIQUE DEFERRABLE, e text, n int); CREATE UNIQUE INDEX x ON things (id)", alone, "is DEFERRABLE",
			"NOT DEFERRABLE"},
		{pg.Database(t), "(id int PRIMARY KEY, e text, n numeric(5,-2))", alone, "multiples of 100", "negative scale"},
		{pg.Database(t), "(no int); DROP TABLE things; CREATE EXTENSION citext; " +
			"CREATE TABLE things (id int, e citext, n int, PRIMARY KEY (id, e))", parts, "its type is citext",
			"things.e (citext) refused: it does not tell exactly the ids of type string apart; make it a text"},
		{my.Database(t), "(id int, e enum('a'), n int, PRIMARY KEY (id, e))", parts, "different values of id, e",
			"things.e (enum('a')) refused: it does not tell exactly the ids of type string apart; make it a varchar"},
		{my.Database(t), "(id int, e varchar(9) COLLATE utf8mb4_general_ci, n int, PRIMARY KEY (id, e))", parts,
			"different values of id, e", "things.e (varchar(9)) refused: it takes different ids for the same"},
		{my.Database(t), "(id int PRIMARY KEY, e int, n int) WITH SYSTEM VERSIONING", alone, "", ""},
		{my.Database(t), "(id int PRIMARY KEY, e int, n int, b timestamp(6) GENERATED ALWAYS AS ROW START, " +
			"z timestamp(6) GENERATED ALWAYS AS ROW END, PERIOD FOR SYSTEM_TIME(b, z)) WITH SYSTEM VERSIONING", alone, "", ""},
	} {
		e := &schema.Entity{Name: "thing", Table: "things", ID: c.id, Fields: []schema.Field{
			{Name: "e", Type: schema.String}, {Name: "n", Type: schema.Int}}}
		if c.id.Composite() {
			e.Fields = append(e.Fields, schema.Field{Name: "id", Column: "id", Type: schema.Int})
			e.Fields[2].Name = "no"
		} else {
			e.Fields = e.Fields[1:]
		}
		require.NoError(t, e.Init())
		b := open(t, c.url, []*schema.Entity{e})
		for statement := range strings.SplitSeq("CREATE TABLE things "+c.table, "; ") {
			b.exec(statement)
		}
		_, err := b.Migrate(t.Context(), false)
		if c.says == "" {
			require.NoError(t, err, c.table)
			for n := range 3 {
				require.Empty(t, b.flush(e, put("1", "1"), put("2", strings.Repeat("7", n+1))).Refused)
			}
			require.Equal(t, map[string]schema.Values{"1": {"1"}, "2": {"777"}}, b.load(e, "1", "2", "3"))
			require.Equal(t, []string{"1", "2"}, listed(b, e))
			require.Empty(t, b.flush(e, del("1")).Refused)
			require.Equal(t, []string{"2"}, listed(b, e))
			continue
		}
		require.ErrorContains(t, err, c.says)
		verdicts, err := survey.Of(b.Store).Verdicts(t.Context())
		require.NoError(t, err)
		lines := strings.Join(survey.VerdictLines(verdicts), "\n")
		if c.id.Composite() {
			require.NotContains(t, lines, "things.id (int) refused")
		}
		require.Contains(t, lines, c.line)
	}
}

// What is persisted in an UNLOGGED table is lost with a crash: migrate says so.
func TestUnloggedTablesAreNamed(t *testing.T) {
	t.Parallel()
	e := entity(t, "thing", schema.Int, schema.Field{Name: "n", Type: schema.Int})
	b := open(t, testkit.Postgres(t).Database(t), []*schema.Entity{e})
	b.exec("CREATE UNLOGGED TABLE things (id bigint PRIMARY KEY, n bigint)")
	for _, says := range []bool{true, false} {
		lines, err := b.Migrate(t.Context(), true)
		require.NoError(t, err)
		require.Equal(t, says, strings.Contains(strings.Join(lines, " "), "things is UNLOGGED"), lines)
		b.exec("ALTER TABLE things SET LOGGED")
	}
}

// A setting of the server by which it quotes the names of types changes no verdict.
func TestTypesAreKnownQuotedToo(t *testing.T) {
	t.Parallel()
	e := entity(t, "doc", schema.String, schema.Field{Name: "body", Type: schema.JSON},
		schema.Field{Name: "data", Type: schema.Bytes})
	b := open(t, testkit.Postgres(t).Database(t), []*schema.Entity{e})
	b.exec(`DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET quote_all_identifiers = on', current_database()); END $$`)
	b.exec("CREATE TABLE docs (id text PRIMARY KEY, body json, data bytea)")
	_, err := b.Migrate(t.Context(), false)
	require.NoError(t, err)
	b.flush(e, put("a", "{}", `"AA=="`))
	require.Len(t, b.load(e, "a"), 1)
}
