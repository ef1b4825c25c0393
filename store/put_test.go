package store_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/internal/testkit"
	"github.com/afterwrite/afterwrite/schema"
)

// patch is a change of the fields at those positions; values are those of the whole record.
func patch(id string, only []int, values ...string) schema.Change {
	return schema.Change{ID: id, Version: 3, Values: values, Only: only}
}

// foreign opens a store over tables that statements have made before; the ones after
// "postgres:" or "sqlite:" are run on that database alone.
func foreign(t *testing.T, url string, entities []*schema.Entity, statements ...string) *bench {
	t.Helper()
	b := open(t, url, nil)
	_, err := b.Migrate(t.Context(), false) // makes the file
	require.NoError(t, err)
	for _, s := range statements {
		if of, rest, ok := strings.Cut(s, ": "); ok && (of == "sqlite" || of == "postgres" || of == "mysql") {
			if of != b.Dialect() {
				continue
			}
			s = rest
		}
		b.exec(s)
	}
	b = open(t, url, entities)
	_, err = b.Migrate(t.Context(), false)
	require.NoError(t, err)
	return b
}

// user is an entity over some columns of a table that has others.
func user(t *testing.T) *schema.Entity {
	return entity(t, "user", schema.String,
		schema.Field{Name: "name", Type: schema.String},
		schema.Field{Name: "age", Type: schema.Int})
}

const (
	name = 0
	age  = 1
)

func TestAWriteTouchesWhatItNames(t *testing.T) {
	onEach(t, func(t *testing.T, url string) {
		e := user(t)
		b := foreign(t, url, []*schema.Entity{e},
			"CREATE TABLE users (id varchar(20) PRIMARY KEY, name text, age int, status text, seen timestamp)",
			"INSERT INTO users VALUES ('a', 'Ann', 1, 'new', NULL), ('b', 'Bob', 2, 'new', NULL), ('c', 'Cid', 3, 'new', NULL)",
			"sqlite: UPDATE users SET seen = 'n/a', age = CASE id WHEN 'a' THEN 'old' ELSE age END",
			"sqlite: UPDATE users SET seen = '2026-01-31 10:00:00+02' WHERE id = 'b'")
		// What the cache has of the others is old by now.
		b.exec("UPDATE users SET name = 'Other', status = 'paid' WHERE id IN ('b', 'c')")
		before := b.column("SELECT seen FROM users ORDER BY id")
		flushed := b.flush(e, patch("a", []int{name}, `"Ada"`, "1"), patch("b", []int{age}, `"Bob"`, "20"),
			patch("c", []int{age, name}, `"Cyd"`, "30"), patch("b2", []int{}, `"B"`, "9"), put("d", `"Dan"`, "4"))
		require.ElementsMatch(t, []string{"a", "b", "c", "d"}, ids(flushed.Persisted))
		require.Equal(t, []string{"b2"}, refusedIDs(flushed))
		require.Equal(t, []string{"Ada", "Other", "Cyd", "Dan"}, b.column("SELECT name FROM users ORDER BY id"))
		require.Equal(t, []string{"20", "30", "4"}, b.column("SELECT age FROM users WHERE id > 'a' ORDER BY id"))
		require.Equal(t, []string{"new", "paid", "paid", ""}, b.column("SELECT status FROM users ORDER BY id"))
		require.Equal(t, before, b.column("SELECT seen FROM users WHERE id < 'd' ORDER BY id"))
		if b.Dialect() == "sqlite" {
			require.Equal(t, []string{"old"}, b.column("SELECT age FROM users WHERE id = 'a'"),
				"what cannot be read is not written back")
		}
	})
}

// A row that exists is updated where an INSERT would be refused, draw a number or run a
// trigger.
func TestARowThatExistsIsNotInserted(t *testing.T) {
	tables := map[string][]string{
		"a column that must be given": {
			"CREATE TABLE users (id varchar(20) PRIMARY KEY, name text, age int, email varchar(20) NOT NULL)",
			"INSERT INTO users VALUES ('a', 'A', 1, 'a@x'), ('b', 'B', 1, 'b@x')",
		},
		"a check of another column": {
			"CREATE TABLE users (id varchar(20) PRIMARY KEY, name text, age int, email varchar(20), CHECK (email IS NOT NULL))",
			"INSERT INTO users VALUES ('a', 'A', 1, 'a@x'), ('b', 'B', 1, 'b@x')",
		},
		"a unique index with another column": {
			"CREATE TABLE users (id varchar(20) PRIMARY KEY, name text, age int, email varchar(20) DEFAULT 'a@x' UNIQUE)",
			"INSERT INTO users VALUES ('a', 'A', 1, 'a@x'), ('b', 'B', 1, 'b@x')",
		},
		"a unique index of rows that are not deleted": {
			"CREATE TABLE users (id varchar(20) PRIMARY KEY, name text, age int, email varchar(20))",
			"sqlite: CREATE UNIQUE INDEX alive ON users (name) WHERE email IS NULL",
			"postgres: CREATE UNIQUE INDEX alive ON users (name) WHERE email IS NULL",
			"INSERT INTO users VALUES ('a', 'A', 1, 'a@x'), ('b', 'B', 1, 'b@x'), ('z', 'Z', 1, NULL)",
		},
		"a trigger of inserts": {
			"CREATE TABLE users (id varchar(20) PRIMARY KEY, name text, age int, email varchar(20))",
			"INSERT INTO users VALUES ('a', 'A', 1, 'a@x'), ('b', 'B', 1, 'b@x')",
			"sqlite: CREATE TRIGGER i BEFORE INSERT ON users BEGIN SELECT RAISE(FAIL, 'inserted'); END",
			`postgres: CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'inserted'; END $$`,
			"postgres: CREATE TRIGGER i BEFORE INSERT ON users FOR EACH ROW EXECUTE FUNCTION refuse()",
		},
		"a trigger that leaves out what changes nothing": {
			"CREATE TABLE users (id varchar(20) PRIMARY KEY, name text, age int, email varchar(20) NOT NULL)",
			"INSERT INTO users VALUES ('a', 'Z', 2, 'a@x'), ('b', 'B', 1, 'b@x')",
			"sqlite: CREATE TRIGGER u BEFORE UPDATE ON users WHEN old.name = new.name AND old.age = new.age BEGIN SELECT RAISE(IGNORE); END",
			`postgres: CREATE TRIGGER u BEFORE UPDATE ON users FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()`,
		},
	}
	for title, statements := range tables {
		t.Run(title, func(t *testing.T) {
			onEach(t, func(t *testing.T, url string) {
				e := user(t)
				b := foreign(t, url, []*schema.Entity{e}, statements...)
				for _, changes := range [][]schema.Change{
					{put("a", `"Z"`, "2"), patch("b", []int{age}, `"cached"`, "3")},
					{put("a", `"Z"`, "2"), put("b", `"B"`, "3")},
				} {
					flushed := b.flush(e, changes...)
					require.Empty(t, flushed.Refused)
					require.Equal(t, []string{"Z", "B"}, b.column("SELECT name FROM users WHERE id < 'z' ORDER BY id"))
					require.Equal(t, []string{"2", "3"}, b.column("SELECT age FROM users WHERE id < 'z' ORDER BY id"))
					require.Equal(t, []string{"a@x", "b@x"},
						b.column("SELECT email FROM users WHERE id < 'z' ORDER BY id"))
				}
			})
		})
	}
}

// A row that cannot be made is refused, and those beside it that exist are not.
func TestOnlyNewRowsLackAColumn(t *testing.T) {
	onEach(t, func(t *testing.T, url string) {
		e := user(t)
		b := foreign(t, url, []*schema.Entity{e},
			"CREATE TABLE users (id varchar(20) PRIMARY KEY, name text, age int, email varchar(20) NOT NULL)",
			"INSERT INTO users VALUES ('a', 'A', 1, 'a@x'), ('b', 'B', 1, 'b@x')")
		flushed := b.flush(e, put("new", `"N"`, "1"), put("a", `"A"`, "2"), put("newer", `"N"`, "1"),
			put("b", `"B"`, "2"))
		require.ElementsMatch(t, []string{"new", "newer"}, refusedIDs(flushed))
		require.Equal(t, schema.KindNotNull, flushed.Refused[0].Refusal.Kind)
		require.Equal(t, []string{"2", "2"}, b.column("SELECT age FROM users ORDER BY id"))
	})
}

// An update draws no number of a sequence, and sets no column again that an insert sets.
func TestAnUpdateMakesNothing(t *testing.T) {
	onEach(t, func(t *testing.T, url string) {
		e := user(t)
		b := foreign(t, url, []*schema.Entity{e},
			"sqlite: CREATE TABLE users (id text PRIMARY KEY, name text, age int, made text)",
			"sqlite: CREATE TABLE log (id integer PRIMARY KEY AUTOINCREMENT, row text)",
			"sqlite: CREATE TRIGGER i AFTER INSERT ON users BEGIN INSERT INTO log (row) VALUES (new.id); UPDATE users SET made = 'once' WHERE id = new.id; END",
			"mysql: CREATE TABLE users (id text PRIMARY KEY, name text, age int, made text, no bigint AUTO_INCREMENT UNIQUE)",
			"mysql: CREATE TRIGGER i BEFORE INSERT ON users FOR EACH ROW SET new.made = 'once'",
			"postgres: CREATE TABLE users (id text PRIMARY KEY, name text, age int, made text, no serial, other int GENERATED ALWAYS AS IDENTITY)",
			`postgres: CREATE FUNCTION make() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN new.made = 'once'; RETURN new; END $$`,
			"postgres: CREATE TRIGGER i BEFORE INSERT ON users FOR EACH ROW EXECUTE FUNCTION make()")
		b.flush(e, put("a", `"A"`, "0"))
		b.exec("UPDATE users SET made = 'then'")
		for i := range 20 {
			b.flush(e, patch("a", []int{age}, `"A"`, fmt.Sprint(i)), put("b", `"B"`, fmt.Sprint(i)))
		}
		require.Equal(t, []string{"then", "once"}, b.column("SELECT made FROM users ORDER BY id"))
		if b.Dialect() == "sqlite" {
			require.Equal(t, []string{"a", "b"}, b.column("SELECT row FROM log ORDER BY id"))
		} else if b.Dialect() == "mysql" {
			require.Equal(t, []string{"1", "2"}, b.column("SELECT no FROM users ORDER BY id"))
			b.flush(e, put("c", `"C"`, "1"))
			require.Equal(t, []string{"3"}, b.column("SELECT no FROM users WHERE id = 'c'"))
		} else {
			require.Equal(t, []string{"2"}, b.column("SELECT last_value FROM users_no_seq"))
			require.Equal(t, []string{"2"}, b.column("SELECT last_value FROM users_other_seq"))
		}
	})
}

// A table that gets a trigger while it is written to is no plain one from then on.
func TestATriggerIsNoticed(t *testing.T) {
	onEach(t, func(t *testing.T, url string) {
		e := user(t)
		b := setup(t, url, []*schema.Entity{e})
		b.flush(e, put("a", `"A"`, "1"))
		if b.Dialect() == "sqlite" {
			b.exec("CREATE TRIGGER i BEFORE INSERT ON users BEGIN SELECT RAISE(FAIL, 'inserted'); END")
		} else if b.Dialect() == "mysql" {
			b.exec("CREATE TRIGGER i BEFORE INSERT ON users FOR EACH ROW SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'inserted'")
		} else {
			b.exec(`CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'inserted'; END $$`)
			b.exec("CREATE TRIGGER i BEFORE INSERT ON users FOR EACH ROW EXECUTE FUNCTION refuse()")
		}
		testkit.Eventually(t, "it is noticed", func() bool { return len(b.flush(e, put("a", `"A"`, "2")).Persisted) == 1 })
	})
}

// The row of a patch that another program has deleted is not made again, and the patch is
// not lost.
func TestAPatchOfADeletedRowIsRefused(t *testing.T) {
	onEach(t, func(t *testing.T, url string) {
		e := user(t)
		b := setup(t, url, []*schema.Entity{e})
		b.flush(e, put("a", `"A"`, "1"), put("b", `"B"`, "1"), put("c", `"C"`, "1"))
		b.exec("DELETE FROM users WHERE id IN ('a', 'b')")
		flushed := b.flush(e, patch("a", []int{age}, `"A"`, "2"), patch("b", []int{name}, `"B"`, "1"),
			patch("c", []int{age}, `"C"`, "2"), put("d", `"D"`, "1"))
		require.ElementsMatch(t, []string{"a", "b"}, refusedIDs(flushed))
		require.Equal(t, schema.KindMissing, flushed.Refused[0].Refusal.Kind)
		require.Equal(t, []string{"c", "d"}, b.column("SELECT id FROM users ORDER BY id"))
		require.Empty(t, b.flush(e, put("a", `"A"`, "3")).Refused, "a put writes it again")
		require.Empty(t, b.flush(e, del("b")).Refused)
	})
}

// Types that a text is not cast to exactly are updated, too.
func TestUpdatesOfOddTypes(t *testing.T) {
	onEach(t, func(t *testing.T, url string) {
		e := entity(t, "user", schema.Int, schema.Field{Name: "name", Type: schema.String},
			schema.Field{Name: "code", Type: schema.String}, schema.Field{Name: "raw", Type: schema.Bytes})
		b := foreign(t, url, []*schema.Entity{e},
			"sqlite: CREATE TABLE users (id integer PRIMARY KEY, name varchar(3), code text, raw blob, other text)",
			"mysql: CREATE TABLE users (id int PRIMARY KEY, name varchar(3), code ENUM ('x', 'y'), raw varbinary(9), other text)",
			"postgres: CREATE DOMAIN short AS varchar(3)",
			"postgres: CREATE TYPE code AS ENUM ('x', 'y')",
			"postgres: CREATE TABLE users (id int PRIMARY KEY, name short, code code, raw bytea, other text)",
			"INSERT INTO users VALUES (1, 'a', 'x', NULL, 'o'), (2, 'b', 'x', NULL, 'o'), (3, 'c', 'x', NULL, 'o')")
		flushed := b.flush(e, patch("1", []int{0, 1}, `"A"`, `"y"`, "null"),
			patch("2", []int{0}, `"B"`, "null", "null"),
			patch("3", []int{1, 2}, `"C"`, `"y"`, `"AAE="`))
		require.Empty(t, flushed.Refused)
		require.Equal(t, map[string]schema.Values{
			"1": {`"A"`, `"y"`, "null"}, "2": {`"B"`, `"x"`, "null"}, "3": {`"c"`, `"y"`, `"AAE="`},
		}, b.load(e, "1", "2", "3"))
		if b.Dialect() != "sqlite" {
			flushed = b.flush(e, patch("1", []int{0}, `"long"`, `"y"`, "null"),
				patch("2", []int{1}, `"B"`, `"z"`, "null"),
				patch("3", []int{0}, `"abc"`, `"y"`, "null"))
			require.ElementsMatch(t, []string{"1", "2"}, refusedIDs(flushed))
		}
	})
}

// Two patches that swap a unique value go through, and take no value off a row that they
// do not write.
func TestPatchesSwapAUniqueValue(t *testing.T) {
	onEach(t, func(t *testing.T, url string) {
		e := account(t)
		b := setup(t, url, []*schema.Entity{e})
		b.flush(e, put("a", email(1), "1"), put("b", email(2), "2"), put("c", email(3), "3"))
		flushed := b.flush(e, patch("a", []int{0}, email(2), "9"), patch("b", []int{0}, email(1), "9"),
			patch("c", []int{1}, email(1), "30"))
		require.Empty(t, flushed.Refused)
		require.Equal(t, map[string]schema.Values{"a": {email(2), "1"}, "b": {email(1), "2"}, "c": {email(3), "30"}},
			b.load(e, "a", "b", "c"))
		flushed = b.flush(e, patch("a", []int{0}, email(3), "1"), patch("c", []int{1}, email(2), "31"))
		require.Equal(t, []string{"a"}, refusedIDs(flushed))
	})
}

// column are the texts of a query of one column; "" is NULL.
func (b *bench) column(query string) []string {
	b.t.Helper()
	db := b.connect()
	defer db.Close()
	what, rest, _ := strings.Cut(strings.TrimPrefix(query, "SELECT "), " FROM ")
	text := "text"
	if b.Dialect() == "mysql" {
		text = "char"
	}
	rows, err := db.Query("SELECT coalesce(CAST(" + what + " AS " + text + "), '') FROM " + rest)
	require.NoError(b.t, err)
	defer rows.Close()
	texts := []string{}
	for rows.Next() {
		var text string
		require.NoError(b.t, rows.Scan(&text))
		texts = append(texts, text)
	}
	require.NoError(b.t, rows.Err())
	return texts
}
