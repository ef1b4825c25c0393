package pending

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/schema"
)

// TestBetween: the fields of the writes in a range of versions, at the newest of those, and of a put all that no later
// write has changed and that repeat no other field.
func TestBetween(t *testing.T) {
	e := &schema.Entity{Name: "note", Table: "notes", Fields: []schema.Field{
		{Name: "a", Type: schema.Text, Column: "a"}, {Name: "b", Type: schema.Text, Column: "b"},
		{Name: "c", Type: schema.Text, Column: "c"}}}
	require.NoError(t, e.Init())
	d := Due{Change: schema.Change{Version: 30}, Unread: map[string]string{"x": "1", "y": "1"}, changed: "10 *,!y;20 b,x;30 c"}
	for _, c := range []struct {
		after, upTo, version schema.Version
		only                 []int
		unknown              []string
	}{
		{0, 30, 30, []int{0, 1, 2}, []string{"x"}},
		{0, 10, 10, []int{0}, nil},
		{10, 30, 30, []int{1, 2}, []string{"x"}},
		{10, 20, 20, []int{1}, []string{"x"}},
		{20, 30, 30, []int{2}, nil},
	} {
		part, ok := d.Between(e, c.after, c.upTo)
		require.True(t, ok, c)
		require.Equal(t, c.version, part.Version, c)
		require.ElementsMatch(t, c.only, part.Only, c)
		require.ElementsMatch(t, c.unknown, part.Unknown, c)
	}
	_, ok := d.Between(e, 30, 40)
	require.False(t, ok, "no write is as new")
	d.Version = 31
	_, ok = d.Between(e, 0, 40)
	require.False(t, ok, "the list is of another version")
}
