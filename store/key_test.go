package store_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/internal/problem"
	"github.com/afterwrite/afterwrite/internal/testkit"
	"github.com/afterwrite/afterwrite/schema"
	"github.com/afterwrite/afterwrite/store"
)

// Ids that are the labels of an enum are listed in its order, alone and as a part of a key: they have no collation.
func TestKeysOfAnEnumAreListed(t *testing.T) {
	t.Parallel()
	alone := entity(t, "size", schema.String, schema.Field{Name: "n", Type: schema.Int})
	part := &schema.Entity{Name: "stock", Table: "stocks", ID: schema.ID{Columns: []string{"size", "no"}},
		Fields: []schema.Field{{Name: "no", Type: schema.Int}, {Name: "n", Type: schema.Int}}}
	require.NoError(t, part.Init())
	b := open(t, testkit.Postgres(t).Database(t), []*schema.Entity{alone, part})
	b.exec("CREATE TYPE size AS ENUM ('s', 'm', 'l')")
	b.exec("CREATE TABLE sizes (id size PRIMARY KEY, n bigint)")
	b.exec("CREATE TABLE stocks (size size, no bigint, n bigint, PRIMARY KEY (size, no))")
	_, err := b.Migrate(t.Context(), false)
	require.NoError(t, err)
	b.flush(alone, put("l", "1"), put("s", "1"), put("m", "1"))
	require.Equal(t, []string{"s", "m", "l"}, listed(b, alone))
	b.flush(part, put("l~1", `"l"`, "1", "1"), put("s~10", `"s"`, "10", "1"), put("s~9", `"s"`, "9", "1"))
	require.Equal(t, []string{"s~9", "s~10", "l~1"}, listed(b, part))
}

// A list has the order of the key's own collation: by any other, each page would sort the whole table.
func TestListsInTheOrderOfTheKey(t *testing.T) {
	t.Parallel()
	alone := entity(t, "word", schema.String, schema.Field{Name: "n", Type: schema.Int})
	part := &schema.Entity{Name: "entry", Table: "entries", ID: schema.ID{Columns: []string{"word", "no"}},
		Fields: []schema.Field{{Name: "no", Type: schema.Int}, {Name: "n", Type: schema.Int}}}
	require.NoError(t, part.Init())
	b := open(t, testkit.Postgres(t).Database(t), []*schema.Entity{alone, part})
	b.exec(`CREATE TABLE words (id text COLLATE "en-x-icu" PRIMARY KEY, n bigint)`)
	b.exec(`CREATE TABLE entries (word varchar(20) COLLATE "en-x-icu", no bigint, n bigint, PRIMARY KEY (word, no))`)
	_, err := b.Migrate(t.Context(), false)
	require.NoError(t, err)
	var words, entries []schema.Change
	for _, word := range []string{"B", "a", "b", "A", "é", "f", "a b", "ab", "a-b"} {
		words = append(words, put(word, "1"))
		for _, no := range []string{"10", "9"} {
			id := part.KeyID([]string{`"` + word + `"`, no})
			entries = append(entries, put(id, `"`+word+`"`, no, "1"))
		}
	}
	b.flush(alone, words...)
	b.flush(part, entries...)
	require.Equal(t, []string{"a", "A", "a b", "a-b", "ab", "b", "B", "é", "f"}, listed(b, alone))
	require.Equal(t, []string{"a~9", "a~10", "A~9", "A~10", "a=20b~9", "a=20b~10", "a-b~9", "a-b~10", "ab~9", "ab~10", "b~9",
		"b~10", "B~9", "B~10", "é~9", "é~10", "f~9", "f~10"}, listed(b, part))
}

// listed are the ids of an entity, page by page.
func listed(b *bench, e *schema.Entity) (ids []string) {
	b.t.Helper()
	for q := (store.Query{Limit: 2}); ; q.After = ids[len(ids)-1] {
		page, err := b.List(b.t.Context(), e, q)
		require.NoError(b.t, err)
		for _, row := range page {
			ids = append(ids, row.ID)
		}
		if len(page) < q.Limit {
			return ids
		}
	}
}

// Rows of SQLite whose key has another spelling, or none of its type, are listed as foreign, once each, and are no row
// of the id that they look like.
func TestForeignCompositeKeys(t *testing.T) {
	t.Parallel()
	e := &schema.Entity{Name: "visit", Table: "visits", ID: schema.ID{Columns: []string{"at", "no", "name"}},
		Fields: []schema.Field{{Name: "at", Type: schema.Time}, {Name: "no", Type: schema.Int},
			{Name: "name", Type: schema.Text}, {Name: "n", Type: schema.Int}}}
	require.NoError(t, e.Init())
	b := open(t, testkit.SQLite(t), []*schema.Entity{e})
	b.exec("CREATE TABLE visits (at datetime, no integer, name text, n integer, UNIQUE (at, no, name))")
	_, err := b.Migrate(t.Context(), false)
	require.NoError(t, err)
	good := "2026-01-31T12:00:00Z~7~a"
	b.flush(e, put(good, `"2026-01-31T12:00:00Z"`, "7", `"a"`, "1"))
	for _, values := range []string{"'2026-01-31 12:00', 7, 'a'", "'n/a', 7, 'a'", "1769853600, 7, 'a'",
		"'2026-01-31T12:00:00Z', 'x', 'a'", "NULL, 7, 'a'", "'2026-01-31T12:00:00Z', 7, NULL", "'', '', ''"} {
		b.exec(fmt.Sprintf("INSERT INTO visits VALUES (%s, 9)", values))
	}
	rows, err := b.List(t.Context(), e, store.Query{})
	require.NoError(t, err)
	foreign := 0
	for _, row := range rows {
		if row.Foreign != "" {
			foreign++
			require.ErrorContains(t, problem.ForeignRow(e, row), "column at, no, name: ")
		}
	}
	require.Len(t, rows, 6, "those with a part that is null are left out")
	require.Equal(t, 5, foreign)
	require.Len(t, listed(b, e), 6)
	require.Equal(t, map[string]schema.Values{good: {`"2026-01-31T12:00:00Z"`, "7", `"a"`, "1"}}, b.load(e, good))
	b.flush(e, put(good, `"2026-01-31T12:00:00Z"`, "7", `"a"`, "2"))
	require.Equal(t, "2", b.load(e, good)[good][3])
}

// A key of UUIDs in a column of texts that takes any case for the same finds the rows that other programs wrote in
// upper case, alone and as a part: they are the records of the ids, and keep their spelling. Where the column
// tells cases apart such a row is foreign.
func TestKeysOfUUIDsInAnyCase(t *testing.T) {
	const low, up = "aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee", "AAAAAAAA-BBBB-4CCC-8DDD-EEEEEEEEEEEE"
	for name, test := range map[string]struct{ url, column string }{
		"MariaDB char":    {testkit.MariaDB(t).Database(t), "char(36) COLLATE utf8mb4_general_ci"},
		"MariaDB varchar": {testkit.MariaDB(t).Database(t), "varchar(36) COLLATE utf8mb4_unicode_ci"},
		"MariaDB binary":  {testkit.MariaDB(t).Database(t), "varchar(36) COLLATE utf8mb4_nopad_bin"},
		"SQLite NOCASE":   {testkit.SQLite(t), "text COLLATE NOCASE"},
		"SQLite":          {testkit.SQLite(t), "text"},
	} {
		t.Run(name, func(t *testing.T) {
			finds := !strings.Contains(test.column, "bin") && test.column != "text"
			alone := entity(t, "thing", schema.UUID, schema.Field{Name: "n", Type: schema.Int})
			part := &schema.Entity{Name: "part", ID: schema.ID{Columns: []string{"no", "of"}}, Fields: []schema.Field{
				{Name: "no", Type: schema.Int}, {Name: "of", Type: schema.UUID}, {Name: "n", Type: schema.Int}}}
			require.NoError(t, part.Init())
			b := open(t, test.url, []*schema.Entity{alone, part})
			b.exec("CREATE TABLE things (id " + test.column + " NOT NULL PRIMARY KEY, n bigint)")
			b.exec("CREATE TABLE part (no bigint NOT NULL, of " + test.column + " NOT NULL, n bigint, PRIMARY KEY (no, of))")
			_, err := b.Migrate(t.Context(), false, watchAll)
			require.NoError(t, err)
			b.forget(alone)
			b.exec("INSERT INTO things VALUES ('" + up + "', 1)")
			b.exec("INSERT INTO part VALUES (7, '" + up + "', 1)")
			if !finds {
				require.Empty(t, b.load(alone, low))
				require.Equal(t, []string{up}, listed(b, alone))
				return
			}
			require.Equal(t, low, b.notes(alone)[0].Record)
			require.Equal(t, map[string]schema.Values{low: {"1"}}, b.load(alone, low))
			require.Equal(t, map[string]schema.Values{"7~" + low: {"7", `"` + low + `"`, "1"}}, b.load(part, "7~"+low))
			require.Equal(t, []string{low}, listed(b, alone))
			require.Equal(t, []string{"7~" + low}, listed(b, part))
			patch := put(low, "2")
			patch.Only = []int{0}
			require.Empty(t, b.flush(alone, patch).Refused)
			require.Equal(t, up, b.raw("SELECT id FROM things"))
			require.Equal(t, "2", b.raw("SELECT n FROM things"))
			require.Empty(t, b.flush(alone, put(low, "3")).Refused)
			require.Equal(t, up, b.raw("SELECT id FROM things"), "the key was not written")
			require.Equal(t, "3", b.raw("SELECT n FROM things"))
			require.Empty(t, b.flush(part, put("7~"+low, "7", `"`+low+`"`, "3")).Refused)
			require.Equal(t, up, b.raw("SELECT of FROM part"))
			require.Equal(t, "3", b.raw("SELECT n FROM part"))
			require.Empty(t, b.flush(alone, del(low)).Refused)
			require.Empty(t, listed(b, alone))
		})
	}
}

// raw is a query's one value, read past the store.
func (b *bench) raw(query string) (value string) {
	b.t.Helper()
	other := b.connect()
	defer other.Close()
	require.NoError(b.t, other.QueryRowContext(b.t.Context(), query).Scan(&value))
	return value
}
