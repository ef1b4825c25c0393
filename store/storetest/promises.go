package storetest

import (
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/schema"
)

var promises = []Promise{
	{Name: "migrate-twice", Text: "migrations leave nothing outstanding, and change nothing the second time",
		run: migrateTwice},
	{Name: "migrate-at-once", Text: "any number of processes migrate at once", run: migrateAtOnce},
	{Name: "add-a-column", Text: "a field that is new gets its column, and rows that exist keep theirs",
		run: addAColumn},
	{Name: "every-type", Text: "every value of every type comes back as it was given", run: everyType},
	{Name: "keys-apart", Text: "ids that differ in case, accents, blanks or composition are different records",
		run: keysApart},
	{Name: "texts-exact", Text: "quotes, backslashes, line breaks and any Unicode come back byte for byte",
		run: textsExact},
	{Name: "nulls", Text: "a null is a null in every type, inserted and updated", run: nulls},
	{Name: "put-and-delete", Text: "a put creates or replaces, a deletion removes, in one batch", run: putAndDelete},
	{Name: "named-fields", Text: "a patch writes the fields that it names and no other", run: namedFields},
	{Name: "patch-of-no-row", Text: "a patch of a row that is gone is refused as missing and makes none",
		run: patchOfNoRow},
	{Name: "foreign-columns", Text: "columns that are no field's are left alone", run: foreignColumns},
	{Name: "other-rows", Text: "a write never overwrites the row that owns another unique value", run: otherRows},
	{Name: "unique-swap", Text: "records swap unique values within one batch", run: uniqueSwap},
	{Name: "refused-unique", Text: "a unique value that is taken is refused as unique, by the name of its key",
		run: refusedUnique},
	{Name: "refused-range", Text: "a text that is too long is refused as range and not cut", run: refusedRange,
		Except: map[string]string{"sqlite": "it keeps a text of any length"}},
	{Name: "refused-not-null", Text: "a null that a column does not take is refused as not_null, by its column",
		run: refusedNotNull},
	{Name: "one-of-many", Text: "one refused record of 500 keeps no other from being written", run: oneOfMany},
	{Name: "ten-percent", Text: "of 500 records of which 50 are refused 450 are written", run: tenPercent},
	{Name: "rollback", Text: "what is not committed leaves no trace and frees the fence", run: rollback},
	{Name: "fence", Text: "flushers of a partition take turns: each sees what the one before it committed", run: fence},
	{Name: "frozen-holder", Text: "a process that is frozen inside a flush loses its fence and writes nothing",
		run:    frozenHolder,
		Except: map[string]string{"sqlite": "it cannot take a lock from a process that lives"}},
	{Name: "wide-batch", Text: "2,000 records of many columns are more than one statement and one flush",
		run: wideBatch},
	{Name: "ended-context", Text: "a context that ends is the database's trouble and refuses no record",
		run: endedContext},
	{Name: "missing-table", Text: "a missing table is the database's trouble and names the way out", run: missingTable},
	{Name: "list", Text: "lists come in the order of the key's index, page by page, filtered exactly", run: list},
	{Name: "composite-keys", Text: "records are told apart by every part of a key of several columns, and written by all of them",
		run: compositeKeys},
	{Name: "composite-types", Text: "a key has parts of every type that a key can have, in any order", run: compositeTypes},
	{Name: "composite-join", Text: "a table with nothing but its key of two columns is written", run: compositeJoin},
	{Name: "composite-lists", Text: "lists come in the order of the key's columns, page by page, filtered by the leading ones",
		run: compositeLists},
	{Name: "composite-batch", Text: "refused records of a batch are isolated, and swap unique values, by keys of several columns",
		run: compositeBatch},
	{Name: "composite-foreign", Text: "columns that are not unique together are refused as a key, with the way out",
		run: compositeForeign},
	{Name: "composite-days", Text: "a part of a key in a column of days takes days in their one spelling, and no other text",
		run: compositeDays},
	{Name: "key-blanks", Text: "an id that is too long for its column is no other id without its blanks", run: compositeBlanks},
	{Name: "watch", Text: "triggers note the rows that other programs insert, update and delete, and none of a flush's",
		run: watch},
	{Name: "partitions", Text: "the number of partitions is adopted once and changed on purpose only", run: partitions},
	{Name: "through", Text: "writes through the database count one after another", run: through},
	{Name: "letters", Text: "a dead letter is inserted once and never opened again", run: letters},
	{Name: "resolve-once", Text: "of all that resolve a letter one does, and it is audited once", run: resolveOnce},
	{Name: "letter-search", Text: "letters are found by a part of their message, in any case", run: letterSearch},
	{Name: "policies", Text: "a retry policy is set only over the version that was seen", run: policies},
	{Name: "tokens", Text: "a token's name is unique among the living", run: tokens},
}

func account(b *bench) *schema.Entity {
	return b.entity(schema.String,
		schema.Field{Name: "email", Type: schema.String, MaxLength: 100, Unique: true},
		schema.Field{Name: "age", Type: schema.Int})
}

func migrateTwice(t *testing.T, b *bench) {
	e := account(b)
	l := b.migrated(e)
	outstanding, err := l.Outstanding(t.Context())
	require.NoError(t, err)
	require.Empty(t, outstanding)
	again, err := l.Migrate(t.Context(), false)
	require.NoError(t, err)
	require.Empty(t, again)
}

func migrateAtOnce(t *testing.T, b *bench) {
	e := account(b)
	var wait sync.WaitGroup
	errs := make([]error, 4)
	for i := range errs {
		l := b.open(e)
		wait.Go(func() { _, errs[i] = l.Migrate(t.Context(), false) })
	}
	wait.Wait()
	for _, err := range errs {
		require.NoError(t, err)
	}
	b.flush(b.open(e), e, put("a", `"a"`, "1"))
}

func addAColumn(t *testing.T, b *bench) {
	e := account(b)
	l := b.migrated(e)
	b.flush(l, e, put("a", `"a"`, "1"))
	wider := *e
	wider.Fields = append(append([]schema.Field{}, e.Fields...), schema.Field{Name: "note", Type: schema.Text})
	require.NoError(t, wider.Init())
	l = b.migrated(&wider)
	require.Equal(t, schema.Values{`"a"`, "1", "null"}, b.load(l, &wider, "a")["a"])
	b.flush(l, &wider, put("a", `"a"`, "1", `"new"`))
	require.Equal(t, schema.Values{`"a"`, "1", `"new"`}, b.load(l, &wider, "a")["a"])
}

// every is a field of each type, and values at its bounds.
func every() ([]schema.Field, []schema.Values) {
	fields := []schema.Field{
		{Name: "f_string", Type: schema.String, MaxLength: 50}, {Name: "f_text", Type: schema.Text},
		{Name: "f_int", Type: schema.Int},
		{Name: "f_float", Type: schema.Float}, {Name: "f_decimal", Type: schema.Decimal, Precision: 38, Scale: 4},
		{Name: "f_bool", Type: schema.Bool},
		{Name: "f_time", Type: schema.Time}, {Name: "f_json", Type: schema.JSON}, {Name: "f_bytes", Type: schema.Bytes},
		{Name: "f_uuid", Type: schema.UUID},
	}
	return fields, []schema.Values{
		{`"x"`, `""`, "9223372036854775807", "0.1", `"9999999999999999999999999999999999.9999"`, "true",
			`"2026-01-31T12:34:56.123456Z"`, `{"b": [1, 2.50,  null], "a": "é"}`, `"AAECAwT/"`,
			`"018f4e7a-3b5c-7d2e-9f10-1a2b3c4d5e6f"`},
		{`" a "`, `"😀"`, "-9223372036854775808", "1.7976931348623157e+308", `"-0.0001"`, "false",
			`"1000-01-01T00:00:00Z"`, `[]`, `""`, `"00000000-0000-0000-0000-000000000000"`},
		{`""`, `"null"`, "0", "5e-324", `"0.0000"`, "true", `"9999-12-31T23:59:59.999999Z"`, `"text"`, `"JyIn"`,
			`"ffffffff-ffff-ffff-ffff-ffffffffffff"`},
	}
}

func everyType(t *testing.T, b *bench) {
	fields, rows := every()
	e := b.entity(schema.Int, fields...)
	l := b.migrated(e)
	want := map[string]schema.Values{}
	for turn := range 2 { // inserted, then updated
		var changes []schema.Change
		for i := range rows {
			id, values := strconv.Itoa(i-1), rows[(i+turn)%len(rows)]
			changes, want[id] = append(changes, put(id, values...)), values
		}
		require.Empty(t, b.flush(l, e, changes...).Refused)
		require.Equal(t, want, b.load(l, e, "-1", "0", "1"))
	}
}

func keysApart(t *testing.T, b *bench) {
	e := b.entity(schema.String, schema.Field{Name: "n", Type: schema.Int})
	l := b.migrated(e)
	ids := []string{"A", "a", "A ", "\u00e9", "e\u0301", "e", "ß", "ss", "😀", "😁", "%", "_", "'", `\`, `"`}
	var changes []schema.Change
	for i, id := range ids {
		changes = append(changes, put(id, strconv.Itoa(i)))
	}
	require.Empty(t, b.flush(l, e, changes...).Refused)
	rows := b.load(l, e, ids...)
	for i, id := range ids {
		require.Equal(t, schema.Values{strconv.Itoa(i)}, rows[id], "%q", id)
	}
	b.flush(l, e, del("A "))
	require.Len(t, b.load(l, e, ids...), len(ids)-1)
}

func textsExact(t *testing.T, b *bench) {
	f := schema.Field{Name: "text", Type: schema.Text}
	e := b.entity(schema.String, f)
	l := b.migrated(e)
	for _, text := range []string{"'", `\`, `\'`, `"`, "`", "%", "\r\n\t", `a\nb`, "$1 ? :x", "\u2028", "\U0010ffff",
		" x ", strings.Repeat("é", 100_000)} {
		value, err := f.Encode(text)
		require.NoError(t, err)
		for range 2 {
			b.flush(l, e, put("a", value))
			require.Equal(t, schema.Values{value}, b.load(l, e, "a")["a"])
		}
	}
}

func nulls(t *testing.T, b *bench) {
	fields, rows := every()
	e := b.entity(schema.String, fields...)
	l := b.migrated(e)
	none := make(schema.Values, len(fields))
	for i := range none {
		none[i] = schema.Null
	}
	for _, values := range []schema.Values{none, rows[0], none} {
		b.flush(l, e, put("a", values...))
		require.Equal(t, values, b.load(l, e, "a")["a"])
	}
}
