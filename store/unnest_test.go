package store_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/internal/testkit"
	"github.com/afterwrite/afterwrite/schema"
)

// A text that is too long for its column is refused, whatever the column's type makes of
// a cast: an explicit one to varchar(3), or to a domain over it, would cut.
func TestI8PostgresNeverCutsAText(t *testing.T) {
	t.Parallel()
	for name, column := range map[string]string{
		"varchar": "varchar(3)", "char": "char(3)", "domain": "short",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := entity(t, "word", schema.String, schema.Field{Name: "word", Type: schema.String})
			b := open(t, testkit.Postgres(t).Database(t), []*schema.Entity{e})
			b.exec("CREATE DOMAIN short AS varchar(3)")
			b.exec(`CREATE TABLE words (id text PRIMARY KEY, word ` + column + `)`)
			_, err := b.Migrate(t.Context(), false)
			require.NoError(t, err)
			flushed := b.flush(e, put("a", `"abc"`), put("b", `"abcd"`), put("c", "null"))
			require.Equal(t, []string{"a", "c"}, ids(flushed.Persisted))
			require.Equal(t, schema.KindRange, flushed.Refused[0].Refusal.Kind)
			require.Equal(t, map[string]schema.Values{"a": {`"abc"`}, "c": {"null"}}, b.load(e, "a", "b", "c"))
		})
	}
}

// A column that gets another type while the store runs costs one flush at most, which
// is tried again.
func TestPostgresColumnChangesItsType(t *testing.T) {
	t.Parallel()
	e := entity(t, "count", schema.String, schema.Field{Name: "n", Type: schema.Int})
	b := setup(t, testkit.Postgres(t).Database(t), []*schema.Entity{e})
	b.flush(e, put("a", "1"))
	for _, change := range []string{
		"ALTER COLUMN n TYPE text USING n::text",
		"ALTER COLUMN n TYPE json USING n::json",
		"ALTER COLUMN n TYPE numeric USING n::text::numeric",
		"ALTER COLUMN n TYPE smallint",
	} {
		b.exec("ALTER TABLE counts " + change)
		_, _ = b.Flush(t.Context(), e, 0, batch(put("b", "7"))) // may meet the old type
		b.flush(e, put("b", "12"), put("c", "null"))
		require.Equal(t, map[string]schema.Values{"a": {"1"}, "b": {"12"}, "c": {"null"}}, b.load(e, "a", "b", "c"),
			change)
	}
	flushed := b.flush(e, put("b", "40000"), put("c", "4"))
	require.Equal(t, []string{"c"}, ids(flushed.Persisted))
	require.Equal(t, schema.KindRange, flushed.Refused[0].Refusal.Kind)
}
