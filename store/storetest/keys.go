package storetest

import (
	"context"
	"crypto/rand"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/schema"
	"github.com/afterwrite/afterwrite/store"
	"github.com/afterwrite/afterwrite/store/fault"
	"github.com/afterwrite/afterwrite/store/ledger"
)

// keyed is an entity of a new table whose key has a part for each field but the last ones.
func (b *bench) keyed(parts int, fields ...schema.Field) *schema.Entity {
	b.t.Helper()
	name := "k" + strings.ToLower(rand.Text()[:10])
	e := &schema.Entity{Name: name, Table: name, Fields: fields}
	for _, f := range fields[:parts] {
		e.ID.Columns = append(e.ID.Columns, f.Name)
	}
	require.NoError(b.t, e.Init())
	return e
}

// row is a put of a record with these values, whose id is that of its key.
func row(e *schema.Entity, values ...string) schema.Change {
	key := make([]string, len(e.Key()))
	for n, i := range e.Key() {
		key[n] = values[i]
	}
	return put(e.KeyID(key), values...)
}

// compositeKeys writes records whose keys differ in one part, in the place where one part ends, or in nothing but case
// and composition.
func compositeKeys(t *testing.T, b *bench) {
	e := b.keyed(2, schema.Field{Name: "tenant", Type: schema.String, MaxLength: 100},
		schema.Field{Name: "no", Type: schema.Text}, schema.Field{Name: "n", Type: schema.Int},
		schema.Field{Name: "note", Type: schema.Text})
	l := b.migrated(e)
	parts := []string{"", "a", "A", "a ", "ab", "~", "=", "a~b", "%2F", "/", "..", "é", "e\u0301", "😀", `\`, `"`, "'", "_"}
	var changes []schema.Change
	for i, tenant := range parts {
		for j, no := range parts {
			changes = append(changes, row(e, quote(tenant), quote(no), strconv.Itoa(100*i+j), "null"))
		}
	}
	for range 2 { // new rows, and rows that exist
		require.Empty(t, b.flush(l, e, changes...).Refused)
		rows := b.load(l, e, idsOf(changes)...)
		require.Len(t, rows, len(changes))
		for _, c := range changes {
			require.Equal(t, c.Values, rows[c.ID], "%q", c.ID)
			c.Values[2] = strconv.Itoa(len(c.ID))
		}
	}
	a, other := row(e, `"a"`, `"a"`, "1", `"first"`), row(e, `"a"`, `"ab"`, "1", `"second"`)
	b.flush(l, e, a, other)
	some := patch(a.ID, []int{2}, `"a"`, `"a"`, "7", `"unseen"`)
	require.Empty(t, b.flush(l, e, some, del(other.ID)).Refused)
	require.Equal(t, map[string]schema.Values{a.ID: {`"a"`, `"a"`, "7", `"first"`}}, b.load(l, e, a.ID, other.ID))
	require.Equal(t, []string{other.ID}, refusedIDs(b.flush(l, e, patch(other.ID, []int{2}, `"a"`, `"ab"`, "7", "null"))))
	require.Len(t, b.load(l, e, idsOf(changes)...), len(changes)-1)
}

// compositeTypes has a part of each type, in another order than the fields are in.
func compositeTypes(t *testing.T, b *bench) {
	e := &schema.Entity{Name: "k" + strings.ToLower(rand.Text()[:10]), Fields: []schema.Field{
		{Name: "n", Type: schema.Int}, {Name: "at", Type: schema.Time}, {Name: "no", Type: schema.Int, Column: "Number"},
		{Name: "name", Type: schema.String, MaxLength: 20}, {Name: "uid", Type: schema.UUID}}}
	e.ID.Columns = []string{"uid", "at", "name", "Number"}
	require.NoError(t, e.Init())
	l := b.migrated(e)
	outstanding, err := l.Outstanding(t.Context())
	require.NoError(t, err)
	require.Empty(t, outstanding)
	at := []string{"1971-01-31T12:00:00Z", "2026-01-31T12:00:00.000001Z", "2026-01-31T12:00:00.1Z", "9999-12-31T23:59:59.999999Z"}
	var changes []schema.Change
	for i := range 64 {
		changes = append(changes, row(e, strconv.Itoa(i), quote(at[i%4]), strconv.Itoa(i/4%2), quote(strings.Repeat("é", i/8%2)),
			quote([]string{"018f4e7a-3b5c-7d2e-9f10-1a2b3c4d5e6f", "ffffffff-ffff-ffff-ffff-ffffffffffff",
				"00000000-0000-0000-0000-000000000000", "a18f4e7a-3b5c-7d2e-9f10-1a2b3c4d5e6f"}[i/16])))
	}
	for range 2 {
		require.Empty(t, b.flush(l, e, changes...).Refused)
		rows := b.load(l, e, idsOf(changes)...)
		require.Len(t, rows, len(changes))
		for i, c := range changes {
			require.Equal(t, c.Values, rows[c.ID], "%q", c.ID)
			changes[i].Only = []int{0}
		}
	}
	require.Len(t, b.pages(l, e, store.Query{Limit: 7}), len(changes))
	for _, c := range changes[1:] {
		b.flush(l, e, del(c.ID))
	}
	require.Equal(t, []string{changes[0].ID}, b.pages(l, e, store.Query{Limit: 7}))
}

// compositeJoin has a table with nothing but its key.
func compositeJoin(t *testing.T, b *bench) {
	e := b.keyed(2, schema.Field{Name: "a", Type: schema.Int}, schema.Field{Name: "b", Type: schema.Int})
	l := b.migrated(e)
	for range 2 {
		outcome := b.flush(l, e, row(e, "1", "2"), row(e, "2", "1"), row(e, "12", "-9223372036854775808"))
		require.Len(t, outcome.Persisted, 3)
	}
	b.flush(l, e, del("2~1"))
	require.Equal(t, map[string]schema.Values{"1~2": {"1", "2"}, "12~-9223372036854775808": {"12", "-9223372036854775808"}},
		b.load(l, e, "1~2", "2~1", "12~-9223372036854775808", "1~9"))
}

// compositeLists pages through records of many leading parts, and of one.
func compositeLists(t *testing.T, b *bench) {
	e := b.keyed(3, schema.Field{Name: "tenant", Type: schema.Int}, schema.Field{Name: "name", Type: schema.String, MaxLength: 50},
		schema.Field{Name: "at", Type: schema.Time}, schema.Field{Name: "n", Type: schema.Int})
	l := b.migrated(e)
	var want []string
	var changes []schema.Change
	for _, tenant := range []string{"-3", "2", "10"} { // in the order of a list
		for _, name := range []string{"", "10", "2", "B", "a", "é"} {
			for _, at := range []string{"0001-01-01T00:00:00Z", "2026-01-31T12:00:00.000001Z", "2026-01-31T12:00:00.1Z"} {
				if at == "0001-01-01T00:00:00Z" && l.Dialect() == "mysql" {
					at = "1001-01-01T00:00:00Z"
				}
				c := row(e, tenant, quote(name), quote(at), strconv.Itoa(len(want)%2))
				want, changes = append(want, c.ID), append(changes, c)
			}
		}
	}
	slices.Reverse(changes)
	require.Empty(t, b.flush(l, e, changes...).Refused)
	for _, size := range []int{1, 4, 100} {
		require.Equal(t, want, b.pages(l, e, store.Query{Limit: size}), size)
		require.Equal(t, want[18:36], b.pages(l, e, store.Query{Limit: size, Equal: map[int]string{0: "2"}}), size)
		require.Equal(t, want[21:24], b.pages(l, e,
			store.Query{Limit: size, Equal: map[int]string{0: "2", 1: `"10"`}}), size)
		require.Len(t, b.pages(l, e, store.Query{Limit: size, Equal: map[int]string{3: "1"}}), len(want)/2, size)
	}
}

// pages are the ids of a list, page by page.
func (b *bench) pages(l *ledger.Ledger, e *schema.Entity, q store.Query) []string {
	b.t.Helper()
	var ids []string
	for range 10_000 {
		page, err := l.List(b.t.Context(), e, q)
		require.NoError(b.t, err)
		for _, row := range page {
			require.Empty(b.t, row.Foreign)
			ids = append(ids, row.ID)
		}
		if len(page) < q.Limit {
			return ids
		}
		q.After = ids[len(ids)-1]
	}
	b.t.Fatal("the list has no end")
	return nil
}

// compositeBatch isolates the refused of a large batch, whose ids are of several columns.
func compositeBatch(t *testing.T, b *bench) {
	e := b.keyed(2, schema.Field{Name: "tenant", Type: schema.Int}, schema.Field{Name: "no", Type: schema.Int},
		schema.Field{Name: "code", Type: schema.String, MaxLength: 50, Unique: true, Required: true})
	l := b.migrated(e)
	changes := make([]schema.Change, 500)
	for i := range changes {
		code := strconv.Itoa(i)
		if i%50 == 49 {
			code = "0"
		}
		changes[i] = row(e, strconv.Itoa(i%7), strconv.Itoa(i), quote(code))
		changes[i].Version = schema.Version(i + 1)
	}
	outcome := b.flush(l, e, changes...)
	require.Len(t, outcome.Refused, 10)
	require.Equal(t, schema.KindUnique, outcome.Refused[0].Refusal.Kind)
	require.Equal(t, "code", outcome.Refused[0].Refusal.Column)
	// Two records swap a unique value.
	one, two := row(e, "1", "1", `"2"`), row(e, "2", "2", `"1"`)
	require.Empty(t, b.flush(l, e, one, two).Refused)
	require.Equal(t, map[string]schema.Values{one.ID: one.Values, two.ID: two.Values}, b.load(l, e, one.ID, two.ID))
}

// compositeForeign has a key that is unique in another way: it is refused with the way out.
func compositeForeign(t *testing.T, b *bench) {
	e := b.keyed(2, schema.Field{Name: "a", Type: schema.Int}, schema.Field{Name: "b", Type: schema.Int},
		schema.Field{Name: "n", Type: schema.Int})
	b.exec(fmt.Sprintf("CREATE TABLE %s (a bigint NOT NULL, b bigint NOT NULL, c bigint NOT NULL, n bigint, UNIQUE (a, b, c))",
		e.Table))
	l := b.open(e)
	_, err := l.Outstanding(t.Context())
	require.ErrorContains(t, err, "no primary key or unique index on a, b alone")
	require.ErrorContains(t, err, "{columns: [a, b, c]}")
	_, err = b.open().Migrate(t.Context(), false)
	require.NoError(t, err)
	_, err = try(t.Context(), l, e, []schema.Change{row(e, "1", "2", "5")})
	require.ErrorIs(t, err, fault.ErrUnfit)
	b.exec(fmt.Sprintf("CREATE UNIQUE INDEX %s_key ON %[1]s (b, a)", e.Table)) // by its meaning, in any order
	outstanding, err := l.Outstanding(t.Context())
	require.NoError(t, err)
	require.Empty(t, outstanding)
	b.exec(fmt.Sprintf("INSERT INTO %s VALUES (1, 2, 3, 4)", e.Table))
	require.Empty(t, b.flush(l, e, row(e, "1", "2", "5")).Refused)
	require.Equal(t, map[string]schema.Values{"1~2": {"1", "2", "5"}}, b.load(l, e, "1~2"))
}

// quote is the canonical text of a string or a time.
func quote(s string) string {
	text, err := (&schema.Field{Type: schema.Text}).Encode(s)
	if err != nil {
		panic(err)
	}
	return text
}

// compositeDays has a part of a key in a column of days, which spells a day in one way: what is spelled in another, or
// is no day, is refused, and touches no row.
func compositeDays(t *testing.T, b *bench) {
	e := b.keyed(2, schema.Field{Name: "sensor", Type: schema.Int}, schema.Field{Name: "day", Type: schema.String},
		schema.Field{Name: "n", Type: schema.Int})
	b.exec(fmt.Sprintf("CREATE TABLE %s (sensor bigint NOT NULL, day date NOT NULL, n bigint, PRIMARY KEY (sensor, day))",
		e.Table))
	l := b.migrated(e)
	for n := range 2 { // a new row, and one that exists
		require.Empty(t, b.flush(l, e, row(e, "1", `"2026-01-31"`, strconv.Itoa(n)), row(e, "1", `"0999-12-31"`, "7")).Refused)
	}
	require.Empty(t, b.flush(l, e, patch("1~0999-12-31", []int{2}, "1", `"0999-12-31"`, "8")).Refused)
	for _, other := range []string{"2026-1-31", "20260131", "2026-01-31T12:00:00", " 2026-01-31", "2026-02-30", "", "x"} {
		id := e.KeyID([]string{"1", quote(other)})
		for _, c := range []schema.Change{put(id, "1", quote(other), "9"), patch(id, []int{2}, "1", quote(other), "9")} {
			outcome := b.flush(l, e, c)
			require.Len(t, outcome.Refused, 1, other)
			require.Equal(t, schema.KindRange, outcome.Refused[0].Refusal.Kind)
		}
		require.Len(t, b.flush(l, e, del(id)).Persisted, 1, other)
		require.NotContains(t, b.load(l, e, id), id)
		_, err := l.Through(t.Context(), e, id, func(_ context.Context, row schema.Row,
			_, _ string) (schema.Change, error) {
			require.False(t, row.Exists, other)
			return del(id), nil
		}, nil)
		require.NoError(t, err)
	}
	require.Equal(t, map[string]schema.Values{"1~2026-01-31": {"1", `"2026-01-31"`, "1"},
		"1~0999-12-31": {"1", `"0999-12-31"`, "8"}}, b.load(l, e, "1~2026-01-31", "1~0999-12-31"))
	require.Equal(t, []string{"1~0999-12-31", "1~2026-01-31"}, b.pages(l, e, store.Query{Limit: 1}))
	b.flush(l, e, del("1~2026-01-31"))
	require.Len(t, b.pages(l, e, store.Query{Limit: 1}), 1)
}

// compositeBlanks has keys of text columns that are shorter than their fields, which drop blanks without a word.
func compositeBlanks(t *testing.T, b *bench) {
	composite := b.keyed(2, schema.Field{Name: "a", Type: schema.Text}, schema.Field{Name: "b", Type: schema.Int},
		schema.Field{Name: "n", Type: schema.Int})
	single := b.entity(schema.String, schema.Field{Name: "n", Type: schema.Int})
	exact := map[string]string{"mysql": " CHARACTER SET utf8mb4 COLLATE /*M!100600 utf8mb4_nopad_bin */ " +
		"/*!80017 utf8mb4_0900_bin */"}[b.open().Dialect()] // MariaDB and MySQL run one comment each
	b.exec(fmt.Sprintf("CREATE TABLE %s (a varchar(3)%s NOT NULL, b bigint NOT NULL, n bigint, PRIMARY KEY (a, b))",
		composite.Table, exact))
	b.exec(fmt.Sprintf("CREATE TABLE %s (id varchar(3)%s PRIMARY KEY, n bigint)", single.Table, exact))
	l := b.migrated(composite, single)
	b.flush(l, composite, row(composite, `"abc"`, "1", "1"))
	b.flush(l, single, put("abc", "1"))
	b.flush(l, composite, row(composite, `"abc "`, "1", "2"))
	b.flush(l, single, put("abc ", "2"))
	require.Equal(t, schema.Values{`"abc"`, "1", "1"}, b.load(l, composite, "abc~1")["abc~1"])
	require.Equal(t, schema.Values{"1"}, b.load(l, single, "abc")["abc"])
}
