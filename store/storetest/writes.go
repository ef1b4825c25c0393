package storetest

import (
	"fmt"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/schema"
)

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
	require.Equal(t, e.UniqueKeys()[0].Index, r.Constraint)
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
