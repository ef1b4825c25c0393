package storetest

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/schema"
	"github.com/afterwrite/afterwrite/store"
	"github.com/afterwrite/afterwrite/store/ledger"
)

// noted are the ids of an entity's notes, sorted, which are then forgotten.
func (b *bench) noted(l *ledger.Ledger, e *schema.Entity) []string {
	b.t.Helper()
	all, err := l.Notes(b.t.Context(), store.Note{}, 1000)
	require.NoError(b.t, err)
	own := slices.DeleteFunc(all, func(n store.Note) bool { return n.Entity != e.Name })
	ids := make([]string, len(own))
	for i, n := range own {
		ids[i] = n.ID
	}
	slices.Sort(ids)
	require.NoError(b.t, l.ForgetNotes(b.t.Context(), e, own))
	return ids
}

// watch does through Exec what another program would.
func watch(t *testing.T, b *bench) {
	e := account(b)
	l := b.open(e)
	_, err := l.Migrate(t.Context(), false, store.Watching{Watch: []string{e.Name}})
	require.NoError(t, err)
	require.Equal(t, []string{""}, b.noted(l, e), "what was cached before may be old")
	b.flush(l, e, put("a", `"a@x"`, "1"), put("b", `"b@x"`, "1"), put("c", `"c@x"`, "1"))
	b.flush(l, e, patch("a", []int{1}, `"a@x"`, "2"), del("b"))
	require.Empty(t, b.noted(l, e), "a flush's own")

	b.exec("INSERT INTO " + e.Table + " (id, email, age) VALUES ('x', 'x@x', 1), ('y', 'y@x', 1)")
	require.Equal(t, []string{"x", "y"}, b.noted(l, e), "inserted")
	b.exec("UPDATE " + e.Table + " SET age = age + 1 WHERE id IN ('a', 'x')")
	b.exec("UPDATE " + e.Table + " SET age = age + 1 WHERE id = 'a'")
	require.Equal(t, []string{"a", "x"}, b.noted(l, e), "updated, noted once each")
	b.exec("UPDATE " + e.Table + " SET id = 'z' WHERE id = 'y'")
	require.Equal(t, []string{"y", "z"}, b.noted(l, e), "the old id and the new")
	b.exec("DELETE FROM " + e.Table + " WHERE id = 'c'")
	require.Equal(t, []string{"c"}, b.noted(l, e), "deleted")
	b.flush(l, e, put("a", `"a@x"`, "9"))
	b.exec("UPDATE " + e.Table + " SET age = 1 WHERE id = 'x'")
	require.Equal(t, []string{"x"}, b.noted(l, e), "no flush before it hides it")

	_, err = l.Migrate(t.Context(), false, store.Watching{Unwatch: []string{e.Name}})
	require.NoError(t, err)
	b.exec("UPDATE " + e.Table + " SET age = 2 WHERE id = 'x'")
	require.Empty(t, b.noted(l, e), "no longer watched")
}
