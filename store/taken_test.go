package store_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/internal/testkit"
	"github.com/afterwrite/afterwrite/schema"
	"github.com/afterwrite/afterwrite/store"
	"github.com/afterwrite/afterwrite/store/catalog"
	"github.com/afterwrite/afterwrite/store/fault"
)

// A column of floats shows large whole numbers with an exponent.
func TestI8IntsInColumnsOfFloats(t *testing.T) {
	onEach(t, func(t *testing.T, url string) {
		e := entity(t, "thing", schema.String,
			schema.Field{Name: "n", Type: schema.Int, Min: "-9007199254740992", Max: "9007199254740992"})
		b := open(t, url, []*schema.Entity{e})
		b.exec("CREATE TABLE things (id " + keyTypeOf(url) + " PRIMARY KEY, n double precision)")
		_, err := b.Migrate(t.Context(), false)
		require.NoError(t, err)
		want := map[string]schema.Values{}
		var changes []schema.Change
		for _, n := range []string{"0", "7", "-1000000", "1000000000000000", "9007199254740991", "-9007199254740992"} {
			want["id"+n] = schema.Values{n}
			changes = append(changes, put("id"+n, n))
		}
		require.Empty(t, b.flush(e, changes...).Refused)
		require.Equal(t, want, b.load(e, ids(changes)...))
	})
}

func keyTypeOf(url string) string {
	if strings.HasPrefix(url, "mysql:") {
		return "varchar(100) COLLATE " + testkit.ExactCollation
	}
	return "text"
}

// MariaDB and MySQL show six digits of a float, though they keep more.
func TestIntsInFloatsOfMySQL(t *testing.T) {
	t.Parallel()
	onMySQLs(t, func(t *testing.T, url string) {
		e := entity(t, "thing", schema.Int, schema.Field{Name: "n", Type: schema.Int, Min: "0", Max: "1000000"})
		b := open(t, url, []*schema.Entity{e})
		b.exec("CREATE TABLE things (id bigint PRIMARY KEY, n float)")
		_, err := b.Migrate(t.Context(), false)
		require.ErrorIs(t, err, fault.ErrUnfit)
		require.ErrorContains(t, err, "rounds numbers beyond ±999999")
	})
}

// What MariaDB and MySQL would take and store as another value is refused, even where strict mode does not refuse it.
func TestI5ValuesThatMySQLTakesForOthers(t *testing.T) {
	t.Parallel()
	onMySQLs(t, func(t *testing.T, url string) {
		e := entity(t, "thing", schema.Int, schema.Field{Name: "state", Type: schema.Text},
			schema.Field{Name: "note", Type: schema.Text}, schema.Field{Name: "wide", Type: schema.Text})
		b := open(t, url, []*schema.Entity{e})
		b.exec("CREATE TABLE things (id int AUTO_INCREMENT PRIMARY KEY, state enum('on','off','1','it''s'), note tinytext, " +
			"wide tinytext CHARACTER SET utf16)")
		_, err := b.Migrate(t.Context(), false)
		require.NoError(t, err)
		long := strings.Repeat("x", 255)
		outcome := b.flush(e,
			put("0", `"off"`, `"`+long+`"`, `"`+long[:127]+`"`), // no request for the next number
			put("1", `"1"`, `"`+long[1:]+` "`, `"`+strings.Repeat("x", 126)+` "`),
			put("2", `"it's"`, `"a  "`, schema.Null),
			put("3", `"ON"`, schema.Null, schema.Null),
			put("4", `"2"`, schema.Null, schema.Null), // the number of a label
			put("5", `"on "`, schema.Null, schema.Null),
			put("6", schema.Null, `"`+long+` "`, schema.Null),
			put("7", schema.Null, schema.Null, `"`+long[:127]+` "`),
		)
		refused := map[string]schema.Kind{}
		for _, r := range outcome.Refused {
			refused[r.ID] = r.Refusal.Kind
		}
		require.Equal(t, map[string]schema.Kind{"3": schema.KindRange, "4": schema.KindRange, "5": schema.KindRange,
			"6": schema.KindRange, "7": schema.KindRange}, refused)
		require.Equal(t, map[string]schema.Values{
			"0": {`"off"`, `"` + long + `"`, `"` + long[:127] + `"`},
			"1": {`"1"`, `"` + long[1:] + ` "`, `"` + strings.Repeat("x", 126) + ` "`},
			"2": {`"it's"`, `"a  "`, schema.Null},
		}, b.load(e, "0", "1", "2", "3", "4", "5", "6", "7"))
	})
}

// What MariaDB and MySQL set when a row changes, and what they make of a null, is read back.
func TestI8WhatMySQLPutsIntoARow(t *testing.T) {
	t.Parallel()
	onMySQLs(t, func(t *testing.T, url string) {
		e := entity(t, "thing", schema.Int, schema.Field{Name: "n", Type: schema.Int},
			schema.Field{Name: "changed", Type: schema.Time}, schema.Field{Name: "made", Type: schema.Time},
			schema.Field{Name: "no", Type: schema.Int})
		b := open(t, url, []*schema.Entity{e})
		b.exec("CREATE TABLE things (id bigint PRIMARY KEY, n bigint, changed datetime(6) ON UPDATE CURRENT_TIMESTAMP(6), " +
			"made timestamp(6) NOT NULL DEFAULT '2001-01-01', no bigint AUTO_INCREMENT UNIQUE)")
		_, err := b.Migrate(t.Context(), false)
		require.NoError(t, err)
		for _, v := range verdicts(b)[2:] {
			if v.Column == "made" && testkit.OnMySQL(url) {
				require.NotEqual(t, catalog.Database, v.Hold, "MySQL refuses a null")
				continue
			}
			require.Equal(t, catalog.Database, v.Hold, v.Column)
		}
		reads := func(outcome store.Outcome) schema.Values {
			t.Helper()
			require.Empty(t, outcome.Refused)
			require.Len(t, outcome.Persisted, 1)
			row := outcome.Persisted[0].Row
			require.Equal(t, b.load(e, "1")["1"], row)
			return row
		}
		old := `"2001-02-03T04:05:06Z"`
		made := schema.Null
		if testkit.OnMySQL(url) {
			flushed := b.flush(e, put("1", "1", old, made, schema.Null))
			require.Equal(t, schema.KindNotNull, flushed.Refused[0].Refusal.Kind)
			made = old
		}
		first := reads(b.flush(e, put("1", "1", old, made, schema.Null)))
		require.Equal(t, old, first[1])
		require.NotEqual(t, schema.Null, first[2])
		require.Equal(t, "1", first[3])
		change := put("1", "2", first[1], first[2], first[3])
		change.Only = []int{0}
		second := reads(b.flush(e, change))
		require.NotEqual(t, old, second[1])
		require.Equal(t, first[2:], second[2:])
	})
}

// A table of PostgreSQL with rules takes no ON CONFLICT.
func TestTablesWithRules(t *testing.T) {
	t.Parallel()
	e := entity(t, "thing", schema.Int, schema.Field{Name: "n", Type: schema.Int})
	b := open(t, testkit.Postgres(t).Database(t), []*schema.Entity{e})
	b.exec("CREATE TABLE things (id bigint PRIMARY KEY, n bigint)")
	b.exec("CREATE TABLE seen (n bigint)")
	b.exec("CREATE RULE seen AS ON UPDATE TO things DO ALSO INSERT INTO seen VALUES (new.n)")
	b.exec("CREATE RULE no_nines AS ON INSERT TO things WHERE new.n = 9 DO INSTEAD NOTHING")
	_, err := b.Migrate(t.Context(), false)
	require.NoError(t, err)
	outcome := b.flush(e, put("1", "1"), put("2", "9"))
	require.Len(t, outcome.Refused, 1)
	require.Equal(t, "2", outcome.Refused[0].ID)
	require.Empty(t, b.flush(e, put("1", "2")).Refused)
	require.Equal(t, map[string]schema.Values{"1": {"2"}}, b.load(e, "1", "2"))
	require.Equal(t, "2", b.text("SELECT string_agg(n::text, ',') FROM seen"))
}

// A key that is a decimal number may be spelled 1.00 by those who wrote it.
func TestI8NumericKeys(t *testing.T) {
	t.Parallel()
	e := entity(t, "thing", schema.Int, schema.Field{Name: "n", Type: schema.Int})
	b := open(t, testkit.Postgres(t).Database(t), []*schema.Entity{e})
	b.exec("CREATE TABLE things (id numeric PRIMARY KEY, n bigint)")
	_, err := b.Migrate(t.Context(), false)
	require.NoError(t, err)
	b.exec("INSERT INTO things VALUES (1.00, 1), (2.5, 2), (30.0, 3)")
	change := put("1", "10")
	change.Only = []int{0}
	require.Empty(t, b.flush(e, change, del("30")).Refused)
	require.Equal(t, map[string]schema.Values{"1": {"10"}}, b.load(e, "1", "2", "30"))
	rows, err := b.List(t.Context(), e, listAll)
	require.NoError(t, err)
	require.Len(t, rows, 2)
	require.Equal(t, "1", rows[0].ID)
	require.Empty(t, rows[0].Foreign)
	require.NotEmpty(t, rows[1].Foreign)
	require.Equal(t, "1.00", b.text("SELECT id::text FROM things WHERE n = 10"))
}

// A database may have another encoding than UTF-8, and settings that no session of ours relies on. Of a text with
// characters that the encoding lacks only its own record is refused.
func TestI8DatabasesOfOtherEncodings(t *testing.T) {
	t.Parallel()
	e := entity(t, "thing", schema.String, schema.Field{Name: "a", Type: schema.Text})
	url := testkit.Postgres(t).Database(t)
	b := open(t, url, []*schema.Entity{e})
	name := b.text("SELECT current_database()")
	b.exec("CREATE DATABASE " + name + "_latin1 ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0")
	home := b
	t.Cleanup(func() { home.exec("DROP DATABASE " + name + "_latin1 WITH (FORCE)") })
	b.exec("ALTER DATABASE " + name + "_latin1 SET standard_conforming_strings = off")
	b = setup(t, strings.Replace(url, "/"+name, "/"+name+"_latin1", 1), []*schema.Entity{e})
	outcome := b.flush(e, put("é", `"ü\\'"`), put("x", `"€"`), put("漢", `"a"`), put("y", `"y"`))
	require.Len(t, outcome.Refused, 2)
	require.Equal(t, map[string]schema.Values{"é": {`"ü\\'"`}, "y": {`"y"`}}, b.load(e, "é", "x", "漢", "y"))
}
