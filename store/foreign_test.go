package store_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/internal/problem"
	"github.com/afterwrite/afterwrite/internal/testkit"
	"github.com/afterwrite/afterwrite/schema"
	"github.com/afterwrite/afterwrite/store"
)

// visit is an entity over a table that another program writes, too.
func visit(t *testing.T) *schema.Entity {
	return entity(t, "visit", schema.Int,
		schema.Field{Name: "name", Type: schema.String}, schema.Field{Name: "at", Type: schema.Time},
		schema.Field{Name: "ratio", Type: schema.Float}, schema.Field{Name: "price", Type: schema.Decimal},
		schema.Field{Name: "data", Type: schema.JSON}, schema.Field{Name: "n", Type: schema.Int},
		schema.Field{Name: "done", Type: schema.Bool}, schema.Field{Name: "ref", Type: schema.UUID})
}

// foreignValues are what other programs write into columns, by dialect: field → SQL.
var foreignValues = map[string]map[string][]string{
	"postgres": {
		"at":    {"'infinity'", "'-infinity'", "'20000-01-01'", "'0044-03-15 BC'"},
		"ratio": {"'NaN'", "'Infinity'"},
		"price": {"'NaN'"},
	},
	"sqlite": {
		"at":    {"'n/a'", "''", "'31.01.2026'", "2461071.5", "x'00ff'", "'0000-00-00 00:00:00'"},
		"ratio": {"'n/a'", "9e999", "''"},
		"price": {"'n/a'", "''", "9e999"},
		"data":  {"'not json'", "''", "x'00'", `'{"a":}'`},
		"n":     {"'many'", "1.5", "''", "9e99"},
		"done":  {"'maybe'", "2"},
		"ref":   {"'nobody'", "x'0123'"},
	},
}

// A foreign value harms its own column only: its neighbours are listed, loaded and filtered,
// it is named, and it stays as it is when another field of its row is written.
func TestForeignValueHarmsItselfOnly(t *testing.T) {
	onPartial(t, func(t *testing.T, url string) {
		e := visit(t)
		b := setup(t, url, []*schema.Entity{e})
		id := 10
		for field, literals := range foreignValues[b.Dialect()] {
			for _, literal := range literals {
				id++
				b.exec(fmt.Sprintf("INSERT INTO visits (id, name, %s) VALUES (%d, 'x', %s)", field, id, literal))
				row := b.load(e, "1", fmt.Sprint(id))[fmt.Sprint(id)]
				foreign := problem.Foreign(e, fmt.Sprint(id), row)
				require.NotNil(t, foreign, "%s %s", field, literal)
				require.Equal(t, field, foreign.Column)
				require.Equal(t, `"x"`, row[0])

				before := b.text("SELECT "+field+" FROM visits WHERE id = ?", id)
				patch := put(fmt.Sprint(id), append(schema.Values{`"y"`}, row[1:]...)...)
				patch.Only = []int{0}
				require.Empty(t, b.flush(e, patch).Refused)
				whole := patch
				whole.Only = nil // as a discard that puts the row's state back
				require.Empty(t, b.flush(e, whole).Refused)
				require.Equal(t, before, b.text("SELECT "+field+" FROM visits WHERE id = ?", id), "%s %s", field,
					literal)
				require.Equal(t, `"y"`, b.load(e, fmt.Sprint(id))[fmt.Sprint(id)][0])
			}
		}
		b.exec("INSERT INTO visits (id, name) VALUES (1, 'mine')")
		rows, err := b.List(t.Context(), e, store.Query{Limit: 2})
		require.NoError(t, err)
		require.Equal(t, "1", rows[0].ID)
		require.Nil(t, problem.ForeignRow(e, rows[0]))
		require.NotNil(t, problem.ForeignRow(e, rows[1]))
		rows, err = b.List(t.Context(), e, store.Query{Equal: map[int]string{0: `"mine"`}})
		require.NoError(t, err)
		require.Len(t, rows, 1)
		require.Empty(t, b.flush(e, del("11"), put("12", `"new"`, `"2026-01-31T00:00:00Z"`, "1", `"1.00"`, "{}", "1",
			"true", "null")).Refused)
		require.Nil(t, problem.Foreign(e, "12", b.load(e, "11", "12")["12"]))
		require.NotContains(t, b.load(e, "11"), "11")
	})
}

// SQLite's texts and numbers in columns of dates are read as they are.
func TestSQLiteTimesAreReadAsTheyAre(t *testing.T) {
	t.Parallel()
	e := visit(t)
	b := setup(t, testkit.SQLite(t), []*schema.Entity{e})
	id := 0
	for literal, want := range map[string]string{
		"'2026-01-31 10:00:00+02'": "2026-01-31T08:00:00Z", "1769853600": "2026-01-31T10:00:00Z",
		"1769853600000":                "2026-01-31T10:00:00Z",
		"'2026-01-31 10:00:00.123456'": "2026-01-31T10:00:00.123456Z", "'2026-01-31'": "2026-01-31T00:00:00Z",
		"'2026-01-31T10:00'":     "2026-01-31T10:00:00Z",
		"'2026-01-31T10:00:00Z'": "2026-01-31T10:00:00Z", "'2026-01-31 10:00:00 +0200'": "2026-01-31T08:00:00Z",
	} {
		id++
		b.exec(fmt.Sprintf("INSERT INTO visits (id, at) VALUES (%d, %s)", id, literal))
		require.Equal(t, `"`+want+`"`, b.load(e, fmt.Sprint(id))[fmt.Sprint(id)][1], literal)
	}
}

// Ids that no request can name are named in lists, and found under no other id.
func TestForeignIDs(t *testing.T) {
	t.Parallel()
	e := entity(t, "seat", schema.UUID, schema.Field{Name: "label", Type: schema.String})
	b := open(t, testkit.SQLite(t), []*schema.Entity{e})
	b.exec("CREATE TABLE seats (id text PRIMARY KEY, label text)") // SQLite takes NULL in such a key
	_, err := b.Migrate(t.Context(), false)
	require.NoError(t, err)
	const canonical = "018f4e7a-3b5c-7d2e-9f10-1a2b3c4d5e6f"
	b.exec(`INSERT INTO seats VALUES (?, 'mine'), (upper(?), 'theirs'), ('1","name":"x', 'bad'), (NULL, 'null'), ('', 'empty')`, canonical, canonical)
	rows, err := b.List(t.Context(), e, listAll)
	require.NoError(t, err)
	named := map[string]bool{}
	for _, row := range rows {
		named[row.ID] = problem.ForeignRow(e, row) != nil
	}
	require.Equal(t, map[string]bool{canonical: false, "018F4E7A-3B5C-7D2E-9F10-1A2B3C4D5E6F": true,
		`1","name":"x`: true}, named)
	var after string
	seen := 0
	for {
		rows, err := b.List(t.Context(), e, store.Query{After: after, Limit: 1})
		require.NoError(t, err)
		if len(rows) == 0 {
			break
		}
		seen, after = seen+1, rows[0].ID
		require.LessOrEqual(t, seen, 3)
	}
	require.Equal(t, schema.Values{`"mine"`}, b.load(e, canonical)[canonical])
}

// A filter compares texts by bytes, whatever the column takes for equal, and still finds them by the column's index.
func TestFiltersTellCasesApart(t *testing.T) {
	for name, test := range map[string]struct{ url, column string }{
		"citext":           {testkit.Postgres(t).Database(t), "citext"},
		"nondeterministic": {testkit.Postgres(t).Database(t), "text COLLATE fold"},
		"MariaDB":          {testkit.MariaDB(t).Database(t), "varchar(100) COLLATE utf8mb4_general_ci"},
		"NOCASE":           {testkit.SQLite(t), "text COLLATE NOCASE"},
		"RTRIM":            {testkit.SQLite(t), "text COLLATE RTRIM"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := entity(t, "person", schema.String, schema.Field{Name: "name", Type: schema.String})
			b := open(t, test.url, []*schema.Entity{e})
			switch name {
			case "citext":
				b.exec("CREATE EXTENSION IF NOT EXISTS citext")
			case "nondeterministic":
				b.exec("CREATE COLLATION fold (provider = icu, locale = 'und-u-ks-level2', deterministic = false)")
			}
			b.exec("CREATE TABLE persons (id varchar(20) NOT NULL PRIMARY KEY, name " + test.column + ")")
			b.exec("CREATE INDEX by_name ON persons (name)")
			_, err := b.Migrate(t.Context(), false)
			require.NoError(t, err)
			b.flush(e, put("1", `"anna"`), put("2", `"Anna"`), put("3", `"anna "`), put("4", "null"))
			for value, id := range map[string]string{`"anna"`: "1", `"Anna"`: "2", `"anna "`: "3", "null": "4"} {
				rows, err := b.List(t.Context(), e, store.Query{Equal: map[int]string{0: value}})
				require.NoError(t, err)
				require.Len(t, rows, 1, value)
				require.Equal(t, id, rows[0].ID)
			}
			if b.Dialect() == "sqlite" {
				plan := "EXPLAIN QUERY PLAN SELECT id FROM persons WHERE name = 'a' AND name COLLATE BINARY = 'a'"
				require.Contains(t, b.explain(plan), "by_name")
			}
		})
	}
}

// explain returns a query's plan.
func (b *bench) explain(query string) string {
	db := b.connect()
	defer db.Close()
	var id, parent, unused int
	var plan string
	require.NoError(b.t, db.QueryRow(query).Scan(&id, &parent, &unused, &plan))
	return plan
}

// A value that its column would alter is another program's where the change does not name its field: it stays, and
// refuses no change of other fields.
func TestAPatchIsNotRefusedForAnotherProgramsValue(t *testing.T) {
	t.Parallel()
	for name, table := range map[string]struct{ url, columns, insert, value string }{
		"decimal of SQLite": {testkit.SQLite(t), "(id text PRIMARY KEY, amount decimal(10,2), n bigint)",
			"('a', 9007199254740993, 1)", `"9007199254740993.00"`},
		"no decimal of SQLite": {testkit.SQLite(t), "(id text PRIMARY KEY, amount decimal(10,2), n bigint)",
			"('a', 'n/a', 1)", schema.ForeignValue("n/a is no decimal")},
	} {
		t.Run(name, func(t *testing.T) {
			e := entity(t, "price", schema.String, schema.Field{Name: "amount", Type: schema.Decimal, Precision: 20, Scale: 2},
				schema.Field{Name: "n", Type: schema.Int})
			b := open(t, table.url, []*schema.Entity{e})
			b.exec("CREATE TABLE prices " + table.columns)
			b.exec("INSERT INTO prices VALUES " + table.insert)
			_, err := b.Migrate(t.Context(), false)
			require.NoError(t, err)
			before := b.text("SELECT amount FROM prices")
			patch := put("a", table.value, "2")
			patch.Only = []int{1}
			flushed := b.flush(e, patch)
			require.Empty(t, flushed.Refused)
			require.Equal(t, before, b.text("SELECT amount FROM prices"))
			require.Equal(t, "2", b.text("SELECT n FROM prices"))
			require.Len(t, b.flush(e, put("a", `"9007199254740993.00"`, "3")).Refused, 1, "what is written is guarded")
		})
	}
}
