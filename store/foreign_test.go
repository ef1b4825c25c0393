package store_test

import (
	"crypto/rand"
	"fmt"
	"regexp"
	"strings"
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

// A row that the database itself cannot read, as where a generated column fails on what a program
// wrote beside it, harms its own column only, and no flush of its neighbours.
func TestRowThatCannotBeReadHarmsItselfOnly(t *testing.T) {
	onEach(t, func(t *testing.T, url string) {
		e := entity(t, "doc", schema.Int, schema.Field{Name: "body", Type: schema.Text},
			schema.Field{Name: "title", Type: schema.Text, FromDatabase: true})
		title := "" // is added behind the rows
		b := open(t, url, []*schema.Entity{e})
		switch {
		case b.Dialect() == "sqlite":
			b.exec("CREATE TABLE docs (id integer PRIMARY KEY, body text)")
			title = "ALTER TABLE docs ADD title text AS (json_extract(body, '$.title')) VIRTUAL"
		case testkit.OnMySQL(url):
			b.exec("CREATE TABLE docs (id bigint PRIMARY KEY, body longtext)")
			title = "ALTER TABLE docs ADD title longtext AS (json_unquote(json_extract(body, '$.title'))) VIRTUAL"
		case b.Dialect() == "mysql":
			t.Skip("a function of MariaDB fails on no row that it reads")
		default: // a byte without a character in the database's encoding
			name := strings.ToLower("w" + rand.Text())
			b.exec("CREATE DATABASE " + name + " TEMPLATE template0 ENCODING 'WIN1252' LC_COLLATE 'C' LC_CTYPE 'C'")
			whole := b
			t.Cleanup(func() { whole.exec("DROP DATABASE " + name + " WITH (FORCE)") })
			b = open(t, regexp.MustCompile(`/t_\w+`).ReplaceAllString(url, "/"+name), []*schema.Entity{e})
			b.exec(`CREATE TABLE docs (id bigint PRIMARY KEY, body text, title text)`)
			b.exec(`CREATE FUNCTION title() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
				NEW.title := CASE WHEN NEW.body LIKE '{%' THEN NEW.body::json ->> 'title' ELSE chr(129) END; RETURN NEW; END $$`)
			b.exec("CREATE TRIGGER title BEFORE INSERT OR UPDATE ON docs FOR EACH ROW EXECUTE FUNCTION title()")
		}
		for id, body := range []string{"bad", `{"title": "one"}`, "bad", `{"title": "three"}`} {
			b.exec(fmt.Sprintf("INSERT INTO docs (id, body) VALUES (%d, '%s')", id, body))
		}
		if title != "" {
			b.exec(title)
		}
		_, err := b.Migrate(t.Context(), false)
		require.NoError(t, err)
		named := func(rows map[string]schema.Values) map[string]string {
			found := map[string]string{}
			for id, row := range rows {
				found[id] = row[1]
				if foreign := problem.Foreign(e, id, row); foreign != nil {
					found[id] = foreign.Column
				}
			}
			return found
		}
		want := map[string]string{"0": "title", "1": `"one"`, "2": "title", "3": `"three"`}
		require.Equal(t, want, named(b.load(e, "0", "1", "2", "3", "4")))
		page := func(q store.Query) map[string]schema.Values {
			rows, err := b.List(t.Context(), e, q)
			require.NoError(t, err)
			values := map[string]schema.Values{}
			for _, row := range rows {
				values[row.ID] = row.Values
			}
			return values
		}
		require.Equal(t, want, named(page(listAll)))
		require.Len(t, page(store.Query{Limit: 2, After: "0"}), 2)

		body := func(id, text string) schema.Change {
			c := put(id, `"`+text+`"`, schema.Undecided)
			c.Only = []int{0}
			return c
		}
		require.Empty(t, b.flush(e, body("3", "{}"), put("5", `"{\"title\": \"five\"}"`, schema.Undecided)).Refused)
		want["3"], want["5"] = "null", `"five"`
		if !testkit.OnMySQL(url) { // it refuses every UPDATE of such a row
			require.Empty(t, b.flush(e, body("2", `{\"title\": \"mended\"}`)).Refused)
			want["2"] = `"mended"`
		}
		isolated, err := b.Isolate(t.Context(), e, 0, batch(body("1", "{}")))
		require.NoError(t, err)
		require.Empty(t, isolated.Refused)
		want["1"] = "null"
		require.Equal(t, want, named(b.load(e, "0", "1", "2", "3", "5")))
		require.Empty(t, b.flush(e, del("0")).Refused)
		require.NotContains(t, b.load(e, "0"), "0")
	})
}

// A filter on a column whose type has no equality, as json, xml and point, compares its texts.
func TestFiltersOfTypesWithoutEquality(t *testing.T) {
	t.Parallel()
	texts := map[string]string{"data": `{"a": 1}`, "page": "<a/>", "place": "(1,2)", "pair": "(1,x)"}
	e := entity(t, "thing", schema.Int, schema.Field{Name: "data", Type: schema.Text},
		schema.Field{Name: "page", Type: schema.Text}, schema.Field{Name: "place", Type: schema.Text},
		schema.Field{Name: "pair", Type: schema.String}, schema.Field{Name: "at", Type: schema.Time})
	b := open(t, testkit.Postgres(t).Database(t), []*schema.Entity{e})
	b.exec("CREATE TYPE pair AS (n int, page xml)")
	b.exec("CREATE TABLE things (id bigint PRIMARY KEY, data json, page xml, place point, pair pair, at timestamptz)")
	b.exec(`INSERT INTO things VALUES (1, '{"a": 1}', '<a/>', '(1,2)', '(1,x)', '2026-01-31T00:00:00Z'), (2, '{}', '<b/>', '(1,1)', NULL, now())`)
	_, err := b.Migrate(t.Context(), false)
	require.NoError(t, err)
	for i, f := range e.Fields[:4] {
		for _, at := range []string{"2026-01-31T00:00:00Z", "2026-01-30T00:00:00Z"} {
			equal := map[int]string{i: quoted(texts[f.Name]), 4: quoted(at)}
			rows, err := b.List(t.Context(), e, store.Query{Equal: equal})
			require.NoError(t, err, f.Name)
			require.Len(t, rows, map[bool]int{true: 1}[strings.HasPrefix(at, "2026-01-31")], f.Name)
		}
	}
}

// An id, a part of a list or a filter with a character that the column's character set lacks is in no row, and harms
// no other id.
func TestIDsThatACharacterSetLacks(t *testing.T) {
	t.Parallel()
	for set, lacks := range map[string]string{"utf8mb3": "😀", "latin1": "日"} {
		e := entity(t, "word", schema.String, schema.Field{Name: "n", Type: schema.Int},
			schema.Field{Name: "label", Type: schema.Text})
		b := open(t, testkit.MariaDB(t).Database(t), []*schema.Entity{e})
		b.exec(fmt.Sprintf(`CREATE TABLE words (id varchar(20) COLLATE %s_nopad_bin PRIMARY KEY, n bigint, label text) CHARACTER SET %[1]s`, set))
		b.exec("INSERT INTO words VALUES ('a', 1, '?'), ('?', 2, 'b'), ('é', 3, 'c')")
		_, err := b.Migrate(t.Context(), false)
		require.NoError(t, err)
		require.Len(t, b.load(e, "a", lacks, "?", "a"+lacks, "é"), 3, set)
		require.Empty(t, b.load(e, lacks), set)
		for label, n := range map[string]int{lacks: 0, "?": 1} {
			rows, err := b.List(t.Context(), e, store.Query{Equal: map[int]string{1: quoted(label)}})
			require.NoError(t, err)
			require.Len(t, rows, n, set)
		}
		flushed := b.flush(e, del(lacks), del("a"), put("b", "4", `"x"`), put(lacks+"b", "5", `"x"`))
		require.Equal(t, []string{lacks + "b"}, refusedIDs(flushed), set)
		require.Equal(t, schema.KindType, flushed.Refused[0].Refusal.Kind)
		require.Len(t, b.load(e, "a", "b", "?", "é"), 3, set)
	}
}
