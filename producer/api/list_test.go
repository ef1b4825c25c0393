package api_test

import (
	"encoding/json"
	"strconv"
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

// TestVersionsOfAList: with a preference a list has the versions of what it shows, which If-Match takes; a record that
// has a newer state than its row has none.
func TestVersionsOfAList(t *testing.T) {
	t.Parallel()
	b := setup(t, ownRedis)
	const prefer = "Prefer: versions"
	require.Equal(t, `{"records":[],"versions":[],"next":null}`+"\n",
		b.do("GET", "/v1/user", "", prefer).want(t, 200).body)
	for _, name := range []string{"ada", "grace", "linus"} {
		b.do("PUT", "/v1/user/"+name, `{"name":"`+name+`"}`).want(t, 202)
	}
	b.flush()
	b.do("PUT", "/v1/user/grace", `{"name":"newer"}`).want(t, 202)
	require.NoError(t, b.redis.Client(t).Del(t.Context(), string(b.cache.Prefix())+":{user/"+
		strconv.Itoa(b.entities["user"].Partition("linus"))+"}:r:linus").Err())
	a := b.do("GET", "/v1/user?limit=2", "", prefer, "Prefer: ints=string").want(t, 200)
	require.Equal(t, []string{"ints=string", "versions"}, a.Header.Values("Preference-Applied"))
	first := listedVersions(t, a.body)
	require.Len(t, first, 2)
	require.Nil(t, first[1], "grace is newer than her row")
	b.do("PATCH", "/v1/user/ada", `{"age":1}`, `If-Match: "`+*first[0]+`"`).want(t, 202)
	b.do("PATCH", "/v1/user/ada", `{"age":2}`, `If-Match: "`+*first[0]+`"`).want(t, 412)
	b.flush()
	all := listedVersions(t, b.do("GET", "/v1/user", "", prefer, "Prefer: ints=string").want(t, 200).body)
	require.Len(t, all, 3)
	require.NotEqual(t, *first[0], *all[0])
	b.do("PATCH", "/v1/user/grace", `{"age":1}`, `If-Match: "`+*all[1]+`"`).want(t, 202)
	b.do("DELETE", "/v1/user/linus", "", `If-Match: "`+*all[2]+`"`).want(t, 202)
	require.Nil(t, listedVersions(t, b.do("GET", "/v1/user", "", prefer,
		"Prefer: ints=string").want(t, 200).body)[2], "deleted")

	b.redis.Kill()
	for _, v := range listedVersions(t, b.do("GET", "/v1/user", "", prefer, "Prefer: ints=string").want(t, 200).body) {
		require.Nil(t, v)
	}
}

func listedVersions(t *testing.T, body string) []*string {
	t.Helper()
	var page struct{ Versions []*string }
	require.NoError(t, json.Unmarshal([]byte(body), &page), body)
	return page.Versions
}
