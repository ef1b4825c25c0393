package api

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/schema"
)

func testEntity(t testing.TB) *schema.Entity {
	t.Helper()
	e := &schema.Entity{Name: "user", Fields: []schema.Field{
		{Name: "name", Type: schema.String}, {Name: "age", Type: schema.Int}, {Name: "profile", Type: schema.JSON},
	}}
	require.NoError(t, e.Init())
	return e
}

func FuzzCursor(f *testing.F) {
	e := testEntity(f)
	f.Add("a")
	f.Add("日本/\n")
	f.Fuzz(func(t *testing.T, id string) {
		if id == "" {
			return
		}
		got, err := readCursor(e, cursor(e, id))
		require.NoError(t, err)
		require.Equal(t, id, got)
		if got, err := readCursor(e, id); err == nil {
			require.Equal(t, id, cursor(e, got))
		}
	})
}
