package api_test

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/producer/api"
	"github.com/afterwrite/afterwrite/schema"
)

func TestGetManyKeepsTheOrder(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for _, id := range []string{"1", "2", "3"} {
		b.do("PUT", "/v1/product/"+id, `{"name":"n"}`).want(t, 202)
	}
	b.flush()
	b.forget("product", "2")
	many := b.do("GET", "/v1/product?ids=3,9,02,2,1", "").want(t, 200)
	require.Regexp(t, `^\{"records":\[\{"id":3,"name":"n","price":null,"stock":0\},\{"id":2,"name":"n","price":null,"stock":0\},`+
		`\{"id":1,"name":"n","price":null,"stock":0\}\],"missing":\[9\],"versions":\[[0-9]{16},[0-9]{16},[0-9]{16}\]\}`+
		"\n$", many.body)
	require.Equal(t, "afterwrite; fwd=miss; stored", many.Header.Get("Cache-Status"))
	require.Equal(t, "afterwrite; hit", b.do("GET", "/v1/product?ids=3&ids=2,9", "").want(t,
		200).Header.Get("Cache-Status"))
}

func TestListPagesThroughAll(t *testing.T) {
	t.Parallel()
	b := setup(t)
	var lines []string
	for i := range 25 {
		lines = append(lines,
			fmt.Sprintf(`{"op":"put","entity":"user","id":"u%02d","fields":{"name":"n","age":%d,"email":"%d@x"}}`, i,
				i%3, i))
	}
	b.batch(strings.Join(lines, "\n"))
	empty := b.do("GET", "/v1/user", "").want(t, 200)
	require.Equal(t, `{"records":[],"next":null}`+"\n", empty.body, "pending rows are not persisted yet")
	require.NotEqual(t, "0.000", empty.Header.Get("Afterwrite-Lag"))
	b.flush()

	var ids []string
	for after := ""; ; {
		page := b.do("GET", "/v1/user?limit=10"+after, "").want(t, 200)
		require.Equal(t, "0.000", page.Header.Get("Afterwrite-Lag"))
		var r struct {
			Records []struct{ ID string }
			Next    *string
		}
		require.NoError(t, json.Unmarshal([]byte(page.body), &r))
		for _, record := range r.Records {
			ids = append(ids, record.ID)
		}
		if r.Next == nil {
			break
		}
		b.do("GET", "/v1/player?after="+*r.Next, "").problem(t, 400, "bad-parameter")
		after = "&after=" + url.QueryEscape(*r.Next)
	}
	require.Len(t, ids, 25)
	require.IsIncreasing(t, ids)
	require.Equal(t, 8, strings.Count(b.do("GET", "/v1/user?age=1", "").want(t, 200).body, `"age":1`))
	require.Contains(t, b.do("GET", "/v1/user?email=7%40x", "").want(t, 200).body, `[{"id":"u07"`)
	require.Contains(t, b.do("GET", "/v1/user?age=null", "").want(t, 200).body, `"records":[]`)
}

func TestFiltersAreCanonical(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.do("PUT", "/v1/everything/e", `{"string":"null","int":5,"float":0.5,"decimal":"1.5","bool":true,`+
		`"time":"2026-01-31T12:00:00Z","bytes":"AAE=","uuid":"018f4e7a-3b5c-7d2e-9f10-1a2b3c4d5e6f"}`).want(t, 202)
	b.flush()
	for filter, found := range map[string]int{
		"string=null": 1, "text=null": 0, "int=5": 1, "float=5e-1": 1, "decimal=001.5": 1, "bool=true": 1,
		"time=2026-01-31T13:00:00%2B01:00": 1, "bytes=AAE%3D": 1, "uuid=018F4E7A-3B5C-7D2E-9F10-1A2B3C4D5E6F": 1,
		"decimal=null": 0, "int=5&bool=true&order=7": 1, "int=5&bool=false": 0, "string=": 0, "secret=": 0,
	} {
		got := b.do("GET", "/v1/everything?"+filter, "").want(t, 200)
		require.Equal(t, found, strings.Count(got.body, `"id":"e"`), filter)
	}
}

func TestStatusOfARefusedRecord(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.do("PUT", "/v1/user/a", `{"name":"A","email":"same@x"}`).want(t, 202)
	b.flush()
	v := b.do("PUT", "/v1/user/b", `{"name":"B","email":"same@x"}`).want(t, 202).version(t)
	require.Contains(t, b.do("GET", "/v1/user/b/status", "").want(t, 200).body, `"status":"pending","version":`+v)
	b.flush()
	got := b.do("GET", "/v1/user/b/status", "").want(t, 200)
	var s struct {
		Status       string
		Attempts     int
		PendingSince *string `json:"pending_since"`
		NextAttempt  *string `json:"next_attempt"`
		Error        struct{ Kind, Column string }
	}
	require.NoError(t, json.Unmarshal([]byte(got.body), &s))
	require.Equal(t, "held", s.Status)
	require.Equal(t, 1, s.Attempts)
	require.Nil(t, s.PendingSince)
	require.NotNil(t, s.NextAttempt)
	require.Equal(t, string(schema.KindUnique), s.Error.Kind)
	require.Equal(t, "held", b.do("GET", "/v1/user/b", "").want(t, 200).Header.Get("Afterwrite-Status"))
	b.forget("user", "a")
	require.Contains(t, b.do("GET", "/v1/user/a/status", "").want(t, 200).body, `"status":"persisted","version":`)
	b.do("GET", "/v1/user/none/status", "").problem(t, 404, "not-found")
}

func TestCursorCannotBeMadeUp(t *testing.T) {
	t.Parallel()
	b := setup(t, configure(func(c *api.Config) { c.CORS = []string{"*"} }))
	for _, after := range []string{"", "!", "AAAA", "AAAAAA", "AAAAAGE", "%00"} {
		require.Equal(t, []string{"after"}, b.do("GET", "/v1/user?after="+after, "").problem(t, 400,
			"bad-parameter").fields())
	}
}
