package store_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/internal/testkit"
	"github.com/afterwrite/afterwrite/schema"
	"github.com/afterwrite/afterwrite/store"
	"github.com/afterwrite/afterwrite/store/catalog"
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
			require.ErrorIs(t, err, store.ErrUnfit)
			for _, part := range []string{"things.f", "thing.f", c.fix} {
				require.ErrorContains(t, err, part)
			}
			lines := strings.Join(store.VerdictLines(verdicts(b)), "\n")
			require.Contains(t, lines, "things: exact: id\nthings.f (")
			require.Contains(t, lines, ") refused: ")
			_, err = b.Migrate(t.Context(), true)
			require.ErrorIs(t, err, store.ErrUnfit)
		})
	}
}

func verdicts(b *bench) []store.Verdict {
	b.t.Helper()
	all, err := b.Verdicts(b.t.Context())
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
			require.ErrorIs(t, err, store.ErrUnfit, typ)
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
		require.ErrorIs(t, err, store.ErrUnfit, typ)
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
	require.ErrorIs(t, err, store.ErrUnfit)
	require.True(t, store.Unavailable(err))
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
