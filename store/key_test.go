package store_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

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
			require.ErrorContains(t, e.ForeignRow(row), "column at, no, name: ")
		}
	}
	require.Len(t, rows, 6, "those with a part that is null are left out")
	require.Equal(t, 5, foreign)
	require.Len(t, listed(b, e), 6)
	require.Equal(t, map[string]schema.Values{good: {`"2026-01-31T12:00:00Z"`, "7", `"a"`, "1"}}, b.load(e, good))
	b.flush(e, put(good, `"2026-01-31T12:00:00Z"`, "7", `"a"`, "2"))
	require.Equal(t, "2", b.load(e, good)[good][3])
}
