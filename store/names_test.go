package store_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/schema"
	"github.com/afterwrite/afterwrite/store"
)

// Tables and columns with odd names are migrated, watched, written, read and filtered as others are. Names that no
// database is given are refused by their name before anything is opened.
func TestOddNames(t *testing.T) {
	names := []string{
		"Mixed", "select", "ORDER", "100%", "%s%d", "a$b", "$1", "@p", "a-b", "a/b", "a,b", "(a)", "[a]", "größe", "日本",
		"a=b", "a#b", "a|b", "{a}", "__", "9lives", strings.Repeat("n", schema.MaxNameBytes),
	}
	onEach(t, func(t *testing.T, url string) {
		var all []*schema.Entity
		for i, name := range names {
			e := &schema.Entity{Name: "e" + strings.Repeat("x", i), Table: name, ID: schema.ID{Column: name + "i"},
				Fields: []schema.Field{
					{Name: "text", Type: schema.String, Column: name},
					{Name: "n", Type: schema.Int, Column: "n" + name},
				}}
			if len(name) == schema.MaxNameBytes {
				e.ID.Column, e.Fields[1].Column = "i"+name[1:], "m"+name[1:]
			}
			require.NoError(t, e.Init())
			all = append(all, e)
		}
		b := watched(t, url, all)
		steps, err := b.Migrate(t.Context(), true, watchAll)
		require.NoError(t, err)
		require.Empty(t, steps)
		for _, e := range all {
			flushed := b.flush(e, put("a", `"x"`, "1"), put("b", `"y"`, "2"))
			require.Empty(t, flushed.Refused, e.Table)
			patch := put("a", `"x"`, "5")
			patch.Only = []int{1}
			require.Empty(t, b.flush(e, patch, del("b")).Refused, e.Table)
			require.Equal(t, map[string]schema.Values{"a": {`"x"`, "5"}}, b.load(e, "a", "b"), e.Table)
			rows, err := b.List(t.Context(), e, store.Query{Equal: map[int]string{0: `"x"`, 1: "5"}})
			require.NoError(t, err, e.Table)
			require.Len(t, rows, 1, e.Table)
			require.Empty(t, b.noted(e), e.Table)
			quote := `"`
			if b.Dialect() == "mysql" {
				quote = "`"
			}
			b.exec("DELETE FROM " + quote + e.Table + quote)
			require.Equal(t, []string{"a"}, b.noted(e), e.Table)
		}
	})
	for _, name := range []string{"a b", `a"b`, "a'b", "a`b", "a?b", "a;b", `a\b`, "a:b"} {
		e := &schema.Entity{Name: "e", Table: name, Fields: []schema.Field{{Name: "n", Type: schema.Int}}}
		require.NoError(t, e.Init())
		_, err := store.Open(store.Config{URL: "sqlite://" + t.TempDir() + "/x.db"}, []*schema.Entity{e})
		require.ErrorContains(t, err, "cannot be the name of a table or column", name)
	}
}
