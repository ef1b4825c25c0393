package api_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/internal/testkit"
)

// A page after a change has the change, and its errors are the caller's own.
func TestAPageIsNeverOlderThanTheDatabase(t *testing.T) {
	t.Parallel()
	b := setup(t)
	empty := b.do("GET", "/v1/user?limit=2", "").want(t, 200)
	require.Equal(t, `{"records":[],"next":null}`+"\n", empty.body)
	require.Equal(t, "private, no-cache", empty.Header.Get("Cache-Control"))
	require.NotEmpty(t, empty.Header.Get("Afterwrite-Lag"))
	for _, name := range []string{"ada", "grace", "linus"} {
		b.do("PUT", "/v1/user/"+name, `{"name":"`+name+`"}`).want(t, 202)
		b.flush()
		require.Contains(t, b.do("GET", "/v1/user", "").want(t, 200).body, name)
	}
	b.do("GET", "/v1/user?age=old", "").want(t, 422)
	b.sql.Inject(testkit.Refuse, testkit.AnyStatement, testkit.Always())
	failed := b.do("GET", "/v1/user?limit=1", "", "X-Request-Id: mine").want(t, 503)
	require.Contains(t, failed.body, `"request_id":"mine"`)
	require.Equal(t, "mine", failed.Header.Get("X-Request-Id"))
	require.Equal(t, "no-store", failed.Header.Get("Cache-Control"))
}
