package storetest

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/internal/token"
	"github.com/afterwrite/afterwrite/schema"
	"github.com/afterwrite/afterwrite/store"
	"github.com/afterwrite/afterwrite/store/ledger"
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
	{Name: "list", Text: "lists come in the order of the ids' bytes, page by page, filtered exactly", run: list},
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

func putAndDelete(t *testing.T, b *bench) {
	e := account(b)
	l := b.migrated(e)
	b.flush(l, e, put("old", `"old"`, "1"), put("gone", `"gone"`, "1"))
	b.flush(l, e, put("new", `"gone"`, "2"), put("old", `"old"`, "3"), del("gone"), del("never"))
	require.Equal(t, map[string]schema.Values{"old": {`"old"`, "3"}, "new": {`"gone"`, "2"}},
		b.load(l, e, "old", "new", "gone", "never"))
}

func namedFields(t *testing.T, b *bench) {
	e := account(b)
	l := b.migrated(e)
	b.flush(l, e, put("a", `"a"`, "1"), put("b", `"b"`, "1"))
	b.flush(l, e, patch("a", []int{1}, `"stale"`, "2"), patch("b", []int{0}, `"new"`, "9"))
	require.Equal(t, map[string]schema.Values{"a": {`"a"`, "2"}, "b": {`"new"`, "1"}}, b.load(l, e, "a", "b"))
}

func patchOfNoRow(t *testing.T, b *bench) {
	e := account(b)
	l := b.migrated(e)
	outcome := b.flush(l, e, patch("a", []int{1}, `"a"`, "2"), put("b", `"b"`, "1"))
	require.Equal(t, []string{"a"}, refusedIDs(outcome))
	require.Equal(t, schema.KindMissing, outcome.Refused[0].Refusal.Kind)
	require.Len(t, b.load(l, e, "a", "b"), 1)
}

func foreignColumns(t *testing.T, b *bench) {
	e := account(b)
	l := b.migrated(e)
	b.exec("ALTER TABLE " + e.Table + " ADD COLUMN theirs varchar(20)")
	b.flush(l, e, put("a", `"a"`, "1"))
	b.exec("UPDATE " + e.Table + " SET theirs = 'theirs'")
	b.flush(l, e, put("a", `"a"`, "2"))
	wider := *e
	wider.Fields = append(append([]schema.Field{}, e.Fields...), schema.Field{Name: "theirs", Type: schema.String})
	require.NoError(t, wider.Init())
	require.Equal(t, schema.Values{`"a"`, "2", `"theirs"`}, b.load(b.open(&wider), &wider, "a")["a"])
}

func otherRows(t *testing.T, b *bench) {
	e := account(b)
	l := b.migrated(e)
	b.flush(l, e, put("owner", `"taken"`, "1"), put("b", `"b"`, "1"))
	for _, changes := range [][]schema.Change{
		{put("new", `"taken"`, "2")}, {put("b", `"taken"`, "2")},
		{put("new", `"taken"`, "2"), put("b", `"taken"`, "2")},
	} {
		require.ElementsMatch(t, idsOf(changes), refusedIDs(b.flush(l, e, changes...)))
		require.Equal(t, schema.Values{`"taken"`, "1"}, b.load(l, e, "owner")["owner"])
	}
	require.Equal(t, map[string]schema.Values{"owner": {`"taken"`, "1"}, "b": {`"b"`, "1"}},
		b.load(l, e, "owner", "b", "new"))
}

func uniqueSwap(t *testing.T, b *bench) {
	e := account(b)
	l := b.migrated(e)
	b.flush(l, e, put("a", `"1"`, "1"), put("b", `"2"`, "1"), put("c", `"3"`, "1"))
	require.Empty(t, b.flush(l, e, put("a", `"2"`, "2"), put("b", `"3"`, "2"), put("c", `"1"`, "2")).Refused)
	require.Equal(t, map[string]schema.Values{"a": {`"2"`, "2"}, "b": {`"3"`, "2"}, "c": {`"1"`, "2"}},
		b.load(l, e, "a", "b", "c"))
}

func refusedUnique(t *testing.T, b *bench) {
	e := account(b)
	l := b.migrated(e)
	b.flush(l, e, put("a", `"taken"`, "1"))
	outcome := b.flush(l, e, put("b", `"taken"`, "1"), put("c", `"free"`, "1"))
	require.Equal(t, []string{"b"}, refusedIDs(outcome))
	r := outcome.Refused[0].Refusal
	require.Equal(t, schema.KindUnique, r.Kind)
	require.Equal(t, e.UniqueIndex(&e.Fields[0]), r.Constraint)
	require.Equal(t, "email", r.Column)
}

func refusedRange(t *testing.T, b *bench) {
	e := b.entity(schema.String, schema.Field{Name: "word", Type: schema.String, MaxLength: 3})
	l := b.migrated(e)
	outcome := b.flush(l, e, put("a", `"abc"`), put("b", `"abcd"`), put("c", "null"))
	require.Equal(t, []string{"b"}, refusedIDs(outcome))
	require.Equal(t, schema.KindRange, outcome.Refused[0].Refusal.Kind)
	require.Len(t, b.load(l, e, "a", "b", "c"), 2)
}

func refusedNotNull(t *testing.T, b *bench) {
	e := b.entity(schema.String, schema.Field{Name: "name", Type: schema.Text, Required: true})
	l := b.migrated(e)
	outcome := b.flush(l, e, put("a", `"a"`), put("b", "null"))
	require.Equal(t, []string{"b"}, refusedIDs(outcome))
	require.Equal(t, schema.KindNotNull, outcome.Refused[0].Refusal.Kind)
	require.Equal(t, "name", outcome.Refused[0].Refusal.Column)
}

// many are records of which each nth wants a value that is taken.
func many(n, each int) []schema.Change {
	changes := make([]schema.Change, n)
	for i := range changes {
		email := fmt.Sprintf(`"%d@x"`, i)
		if i%each == each/2 {
			email = `"taken"`
		}
		changes[i] = put(fmt.Sprintf("r%04d", i), email, strconv.Itoa(i))
	}
	return changes
}

func oneOfMany(t *testing.T, b *bench) { refusedOf(t, b, 500, 500) }

func tenPercent(t *testing.T, b *bench) { refusedOf(t, b, 500, 10) }

func refusedOf(t *testing.T, b *bench, n, each int) {
	e := account(b)
	l := b.migrated(e)
	b.flush(l, e, put("owner", `"taken"`, "1"))
	changes := many(n, each)
	outcome := b.flush(l, e, changes...)
	require.Len(t, outcome.Refused, n/each)
	require.Len(t, b.load(l, e, idsOf(changes)...), n-n/each)
}

func rollback(t *testing.T, b *bench) {
	e := account(b)
	l := b.migrated(e)
	f, err := l.Begin(t.Context(), e, 0)
	require.NoError(t, err)
	_, err = f.Write(t.Context(), []schema.Change{put("a", `"a"`, "1")})
	require.NoError(t, err)
	f.Rollback()
	require.Empty(t, b.load(l, e, "a"))
	b.flush(l, e, put("a", `"a"`, "2"))
}

func fence(t *testing.T, b *bench) {
	e := account(b)
	stores := []*ledger.Ledger{b.migrated(e), b.open(e)}
	const flushers, times = 4, 8
	var wait sync.WaitGroup
	var state atomic.Int64 // read and then stored: only the fence keeps it whole
	for n := range flushers {
		wait.Go(func() {
			for done := 0; done < times; {
				f, err := stores[n%2].Begin(t.Context(), e, 0)
				if err != nil {
					continue // a wait that took too long
				}
				next := state.Load() + 1
				if n == 0 {
					time.Sleep(time.Millisecond) // others would pass a lock that does not hold
				}
				if _, err = f.Write(t.Context(), []schema.Change{put("a", "null",
					strconv.FormatInt(next, 10))}); err == nil {
					state.Store(next)
					err = f.Commit(t.Context())
				}
				f.Rollback()
				if err != nil {
					t.Error(err)
				}
				done++
			}
		})
	}
	wait.Wait()
	require.EqualValues(t, flushers*times, state.Load(), "an addition was lost")
	require.Equal(t, schema.Values{"null", strconv.Itoa(flushers * times)}, b.load(stores[0], e, "a")["a"])
}

func frozenHolder(t *testing.T, b *bench) {
	e := account(b)
	short := func(c *store.Config) {
		c.LockTimeout, c.IdleInTransaction = 2*time.Second, time.Second
	}
	frozen := b.openWith(short, e)
	_, err := frozen.Migrate(t.Context(), false)
	require.NoError(t, err)
	f, err := frozen.Begin(t.Context(), e, 0)
	require.NoError(t, err)
	defer f.Rollback()
	other := b.openWith(short, e)
	b.eventually("the fence is free", func() bool {
		_, err := try(t.Context(), other, e, []schema.Change{put("a", `"a"`, "2")})
		return err == nil
	})
	_, err = f.Write(t.Context(), []schema.Change{put("a", `"a"`, "1")})
	require.True(t, store.Unavailable(err), "%v", err)
	require.Equal(t, schema.Values{`"a"`, "2"}, b.load(other, e, "a")["a"])
}

func wideBatch(t *testing.T, b *bench) {
	var fields []schema.Field
	for i := range 60 {
		fields = append(fields, schema.Field{Name: fmt.Sprintf("f%d", i), Type: schema.Int})
	}
	e := b.entity(schema.Int, fields...)
	l := b.migrated(e)
	for turn := range 2 {
		var changes []schema.Change
		for i := range 2000 {
			values := make(schema.Values, len(fields))
			for j := range values {
				values[j] = strconv.Itoa(i*j + turn)
			}
			changes = append(changes, put(strconv.Itoa(i), values...))
		}
		require.Empty(t, b.flush(l, e, changes...).Refused)
		require.Equal(t, changes[1234].Values, b.load(l, e, "1234")["1234"])
	}
}

func endedContext(t *testing.T, b *bench) {
	e := account(b)
	l := b.migrated(e)
	ctx, cancel := context.WithCancel(t.Context())
	f, err := l.Begin(ctx, e, 0)
	require.NoError(t, err)
	defer f.Rollback()
	cancel()
	_, err = f.Write(ctx, []schema.Change{put("a", `"a"`, "1")})
	if err == nil {
		err = f.Commit(ctx)
	}
	require.True(t, store.Unavailable(err), "%v", err)
	require.Empty(t, b.load(l, e, "a"))
	b.flush(l, e, put("a", `"a"`, "1"))
}

func missingTable(t *testing.T, b *bench) {
	b.migrated(account(b))
	e := account(b) // its table is not made
	_, err := try(t.Context(), b.open(e), e, []schema.Change{put("a", `"a"`, "1")})
	require.True(t, store.Unavailable(err), "%v", err)
	require.ErrorIs(t, err, store.ErrNotMigrated)
}

func list(t *testing.T, b *bench) {
	e := account(b)
	l := b.migrated(e)
	ids := []string{"10", "2", "A", "B", "a", "b", "é", "😀"} // in the order of their bytes
	var changes []schema.Change
	for i, id := range ids {
		changes = append(changes, put(id, "null", strconv.Itoa(i%2)))
	}
	b.flush(l, e, changes...)
	var got []string
	for after := ""; ; after = got[len(got)-1] {
		page, err := l.List(t.Context(), e, store.Query{After: after, Limit: 3})
		require.NoError(t, err)
		if len(page) == 0 {
			break
		}
		for _, row := range page {
			got = append(got, row.ID)
		}
	}
	require.Equal(t, ids, got)
	odd, err := l.List(t.Context(), e, store.Query{Equal: map[int]string{1: "1", 0: "null"}})
	require.NoError(t, err)
	require.Len(t, odd, 4)
}

func partitions(t *testing.T, b *bench) {
	e := account(b)
	l := b.migrated(e)
	for range 2 {
		stored, err := l.Adopt(t.Context(), e)
		require.NoError(t, err)
		require.Equal(t, e.Partitions, stored)
	}
	more := *e
	more.Partitions = 32
	stored, err := l.Adopt(t.Context(), &more)
	require.NoError(t, err)
	require.Equal(t, e.Partitions, stored)
	require.NoError(t, l.SetPartitions(t.Context(), &more))
	stored, err = l.Adopt(t.Context(), e)
	require.NoError(t, err)
	require.Equal(t, 32, stored)
}

func through(t *testing.T, b *bench) {
	e := account(b)
	l := b.migrated(e)
	b.flush(l, e, put("a", "null", "0"))
	var wait sync.WaitGroup
	for range 4 {
		wait.Go(func() {
			for range 5 {
				_, err := l.Through(t.Context(), e, "a", func(_ context.Context, row schema.Row,
					_, _ string) (schema.Change, error) {
					n, err := strconv.Atoi(row.Values[1])
					return put("a", "null", strconv.Itoa(n+1)), err
				}, nil)
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	wait.Wait()
	require.Equal(t, "20", b.load(l, e, "a")["a"][1])
}

var somebody = ledger.Actor{Name: "storetest", Origin: "storetest"}

// dead inserts a letter and returns it as it is kept.
func dead(t *testing.T, l *ledger.Ledger, e *schema.Entity, id, message string) ledger.Letter {
	at := time.Date(2026, 1, 31, 12, 0, 0, 123456000, time.UTC)
	letter := ledger.Letter{
		Entity: e.Name, ID: id, Version: 7, Payload: `{"email":"é'\\"}`, Attempts: 1, AcceptedAt: at,
		DiedAt:  at.Add(time.Second),
		Refusal: schema.Refusal{Kind: schema.KindUnique, Constraint: "c", Column: "email", Message: message},
		History: []schema.Attempt{{Number: 1, At: at, Kind: schema.KindUnique, Message: message, Worker: "w"}},
	}
	require.NoError(t, l.InsertDead(t.Context(), []ledger.Letter{letter}))
	got, err := l.LetterOf(t.Context(), e.Name, id, 7)
	require.NoError(t, err)
	letter.Number = got.Number
	if got.Resolution == "" {
		require.Equal(t, letter, got)
	}
	return got
}

func letters(t *testing.T, b *bench) {
	e := account(b)
	l := b.migrated(e)
	first := dead(t, l, e, "a/é'", "taken")
	require.Equal(t, first.Number, dead(t, l, e, "a/é'", "taken").Number)
	n, err := l.Resolve(t.Context(), []int64{first.Number}, ledger.Discarded, somebody)
	require.NoError(t, err)
	require.Equal(t, 1, n)
	require.Equal(t, ledger.Discarded, dead(t, l, e, "a/é'", "taken again").Resolution)
}

func resolveOnce(t *testing.T, b *bench) {
	e := account(b)
	l := b.migrated(e)
	letter := dead(t, l, e, "a", "taken")
	var wait sync.WaitGroup
	var won atomic.Int64
	for range 6 {
		wait.Go(func() {
			n, err := l.Resolve(t.Context(), []int64{letter.Number}, ledger.Discarded, somebody)
			if err != nil && !store.Unavailable(err) {
				t.Error(err)
			}
			won.Add(int64(n))
		})
	}
	wait.Wait()
	require.EqualValues(t, 1, won.Load())
	log, err := l.AuditLog(t.Context(), ledger.AuditQuery{Entity: e.Name, ID: "a"})
	require.NoError(t, err)
	require.Len(t, log, 1)
}

func letterSearch(t *testing.T, b *bench) {
	e := account(b)
	l := b.migrated(e)
	dead(t, l, e, "a", `Duplicate 100%_\ KEY `+e.Name)
	dead(t, l, e, "b", "other "+e.Name)
	for text, want := range map[string]int{`duplicate 100%_\ key`: 1, "100x": 0, "OTHER": 1, e.Name: 2} {
		n, err := l.CountLetters(t.Context(), ledger.LetterFilter{Entity: e.Name, Text: text})
		require.NoError(t, err)
		require.Equal(t, want, n, text)
	}
}

func policies(t *testing.T, b *bench) {
	e := account(b)
	l := b.migrated(e)
	p := schema.DefaultRetryPolicy()
	set, err := l.SetPolicy(t.Context(), e.Name, 0, p, somebody, "first")
	require.NoError(t, err)
	require.EqualValues(t, 1, set.Version)
	_, err = l.SetPolicy(t.Context(), e.Name, 0, p, somebody, "late")
	require.ErrorIs(t, err, ledger.ErrPolicyChanged)
	current, err := l.CurrentPolicies(t.Context())
	require.NoError(t, err)
	require.Equal(t, set, current[e.Name])
}

func tokens(t *testing.T, b *bench) {
	l := b.migrated()
	_, hash := token.New()
	_, other := token.New()
	name := account(b).Name
	require.NoError(t, l.NewToken(t.Context(), token.Token{Name: name, Hash: hash}, somebody))
	require.ErrorIs(t, l.NewToken(t.Context(), token.Token{Name: name, Hash: other}, somebody), token.ErrNameTaken)
	require.NoError(t, l.RevokeToken(t.Context(), name, somebody))
	require.NoError(t, l.NewToken(t.Context(), token.Token{Name: name, Hash: other}, somebody))
	require.NoError(t, l.RevokeToken(t.Context(), name, somebody))
}
