package api_test

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestPutThenGet(t *testing.T) {
	t.Parallel()
	b := setup(t)
	put := b.do("PUT", "/v1/user/u1", `{"name":"Ann","age":30}`).want(t, 202)
	v := put.version(t)
	require.JSONEq(t, `{"entity":"user","id":"u1","version":`+v+`,"status":"pending"}`, put.body)
	require.Equal(t, "nosniff", put.Header.Get("X-Content-Type-Options"))
	require.NotEmpty(t, put.Header.Get("X-Request-Id"))

	got := b.do("GET", "/v1/user/u1", "").want(t, 200)
	require.Equal(t, `{"id":"u1","name":"Ann","email":null,"age":30,"login_count":0,"profile":null}`+"\n", got.body)
	require.Equal(t, `"`+v+`"`, got.Header.Get("ETag"))
	require.Equal(t, "pending", got.Header.Get("Afterwrite-Status"))
	require.Equal(t, "afterwrite; hit", got.Header.Get("Cache-Status"))

	head := b.do("HEAD", "/v1/user/u1", "").want(t, 200)
	require.Empty(t, head.body)
	require.Equal(t, int64(len(got.body)), head.ContentLength)
	b.do("GET", "/v1/user/u1", "", `If-None-Match: "1", W/"`+v+`"`).want(t, 304)
	b.do("GET", "/v1/user/u1", "", "If-None-Match: *").want(t, 304)
	b.do("GET", "/v1/user/u1", "", `If-None-Match: "1"`).want(t, 200)

	b.flush()
	hit := b.do("GET", "/v1/user/u1", "").want(t, 200)
	require.Equal(t, "persisted", hit.Header.Get("Afterwrite-Status"))
	require.Regexp(t, `^afterwrite; hit; ttl=\d+$`, hit.Header.Get("Cache-Status"))
	b.forget("user", "u1")
	filled := b.do("GET", "/v1/user/u1", "").want(t, 200)
	require.Equal(t, "afterwrite; fwd=miss; stored", filled.Header.Get("Cache-Status"))
	require.Equal(t, got.body, filled.body)
}

func TestEachWrite(t *testing.T) {
	t.Parallel()
	b := setup(t)
	created := b.do("POST", "/v1/product", `{"id":7,"name":"Nail","price":"1.5"}`).want(t, 202)
	require.Equal(t, "/v1/product/7", created.Header.Get("Location"))
	require.Contains(t, created.body, `"id":7,`)
	b.do("POST", "/v1/product", `{"id":7,"name":"Nail"}`).problem(t, 409, "exists")

	b.do("PATCH", "/v1/product/007", `{"name":"Screw"}`, "Content-Type: application/merge-patch+json").want(t, 202)
	added := b.do("POST", "/v1/product/7/increment", `{"stock":5}`).want(t, 202)
	require.Contains(t, added.body, `"fields":{"stock":5}`)
	b.do("POST", "/v1/product/7/increment", `{"stock":-6}`).problem(t, 422, "invalid")
	require.Equal(t, `{"id":7,"name":"Screw","price":"1.50","stock":5}`+"\n",
		b.do("GET", "/v1/product/7", "").want(t, 200).body)

	b.do("DELETE", "/v1/product/7", "").want(t, 202)
	b.do("GET", "/v1/product/7", "").problem(t, 404, "not-found")
	require.Contains(t, b.do("GET", "/v1/product/7/status", "").want(t, 200).body, `"deleted":true`)
	for _, again := range []answer{
		b.do("DELETE", "/v1/product/7", ""),
		b.do("PATCH", "/v1/product/7", `{"name":"x"}`),
		b.do("POST", "/v1/product/7/increment", `{"stock":1}`),
	} {
		again.problem(t, 404, "not-found")
	}
	b.flush()
	b.do("GET", "/v1/product/7/status", "").problem(t, 404, "not-found")
}

func TestCreateMakesAnID(t *testing.T) {
	t.Parallel()
	b := setup(t)
	created := b.do("POST", "/v1/player", `{"name":"Bo"}`, "Idempotency-Key: one").want(t, 202)
	require.Regexp(t, `^/v1/player/[0-9a-f-]{36}$`, created.Header.Get("Location"))
	again := b.do("POST", "/v1/player", `{"name":"Bo"}`, `Idempotency-Key: "one"`).want(t, 202)
	require.Equal(t, created.body, again.body)
	require.Equal(t, "true", again.Header.Get("Idempotency-Replayed"))
	b.do("POST", "/v1/player", `{"name":"Cy"}`, "Idempotency-Key: one").problem(t, 422, "key-reused")
	require.Equal(t, []string{"id"}, b.do("POST", "/v1/product", `{"name":"Nut"}`).problem(t, 422, "invalid").fields())
}

func TestIdempotentIncrement(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.do("PUT", "/v1/user/u", `{"name":"A"}`).want(t, 202)
	for range 3 {
		b.do("POST", "/v1/user/u/increment", `{"login_count":1}`, "Idempotency-Key: k").want(t, 202)
	}
	require.Contains(t, b.do("GET", "/v1/user/u", "").body, `"login_count":1,`)
}

func TestConditions(t *testing.T) {
	t.Parallel()
	b := setup(t)
	const path, body = "/v1/user/c", `{"name":"A"}`
	b.do("PUT", path, body, "If-Match: *").problem(t, 412, "precondition-failed")
	first := b.do("PUT", path, body, "If-None-Match: *").want(t, 202).version(t)
	b.do("PUT", path, body, "If-None-Match: *").problem(t, 412, "precondition-failed")
	second := b.do("PUT", path, body, `If-Match: "`+first+`"`).want(t, 202).version(t)
	for _, stale := range []string{`"` + first + `"`, `W/"` + first + `"`, `"abc"`, `"1", "2"`} {
		b.do("PUT", path, body, "If-Match: "+stale).problem(t, 412, "precondition-failed")
		b.do("PATCH", path, body, "If-Match: "+stale).problem(t, 412, "precondition-failed")
		b.do("DELETE", path, "", "If-Match: "+stale).problem(t, 412, "precondition-failed")
	}
	b.do("PATCH", path, body, `If-Match: "1", "`+second+`"`).want(t, 202)
	b.do("PATCH", path, body, "If-Match: *").want(t, 202)
	b.do("PATCH", path, body, "If-None-Match: *").problem(t, 412, "precondition-failed")
	b.do("DELETE", path, "", "If-Match: *").want(t, 202)
	b.do("DELETE", path, "", "If-Match: *").problem(t, 412, "precondition-failed")
	b.do("PATCH", path, body, `If-Match: "`+second+`"`).problem(t, 412, "precondition-failed")
	b.do("POST", "/v1/user", `{"id":"c2","name":"A"}`, "If-None-Match: *").want(t, 202)
	b.do("POST", "/v1/user", `{"id":"c2","name":"A"}`, "If-None-Match: *").problem(t, 412, "precondition-failed")
}

// TestI8Exact sends values that a lossy number or encoder would change through the
// API, Redis, the database and back.
func TestI8Exact(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for i, fields := range []string{
		`"int":9223372036854775807,"decimal":"999999999999999999999999999999999999.99"`,
		`"int":-9223372036854775808,"decimal":"-0.10"`,
		`"int":9007199254740993,"float":0.1,"text":"\u0000x"`,
		`"text":"<&> 日本 é 😀","string":"","json":{"b":1.0,"a":[9007199254740993,1e400]}`,
		`"time":"2026-01-31T12:00:00.123456Z","bytes":"AAEC/w==","uuid":"018f4e7a-3b5c-7d2e-9f10-1a2b3c4d5e6f","bool":false`,
	} {
		path := fmt.Sprintf("/v1/everything/e%d", i)
		put := b.do("PUT", path, "{"+fields+"}")
		if strings.Contains(fields, `\u0000`) {
			require.Equal(t, []string{"text"}, put.problem(t, 422, "invalid").fields())
			continue
		}
		put.want(t, 202)
		cached := b.do("GET", path, "").want(t, 200).body
		b.flush()
		b.forget("everything", fmt.Sprintf("e%d", i))
		require.Equal(t, cached, b.do("GET", path, "").want(t, 200).body)
		for _, text := range splitFields(t, fields) {
			require.Contains(t, cached, text)
		}
	}
	for _, id := range []string{"9223372036854775807", "-9223372036854775808"} {
		b.do("PUT", "/v1/product/"+id, `{"id":`+id+`,"name":"n"}`).want(t, 202)
		require.Contains(t, b.do("GET", "/v1/product/"+id, "").want(t, 200).body, `{"id":`+id+`,`)
	}
	b.do("PUT", "/v1/product/9223372036854775808", `{"name":"n"}`).problem(t, 422, "invalid")
}

// splitFields returns the members of an object as their own texts.
func splitFields(t *testing.T, fields string) (texts []string) {
	t.Helper()
	var members map[string]json.RawMessage
	require.NoError(t, json.Unmarshal([]byte("{"+fields+"}"), &members))
	for name, value := range members {
		texts = append(texts, fmt.Sprintf("%q:%s", name, value))
	}
	return texts
}

func TestOddIDs(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ids := []string{
		"/", ":", "{", "}", "{user/3}", "*", "?", "[", "]", "%", "%2F", "%00", " ", "\n", "é", "日本", "a/b", "a,b",
		"a+b", "a&b=c", "#", "\\", `"`, "'", ";", "...", " . ", "increment", "status", "batch", "~", "\x01",
		strings.Repeat("é", 32), // exactly max bytes
	}
	var missing, list []string
	for i, id := range ids {
		b.do("PUT", byID("", id), fmt.Sprintf(`{"name":"n%d"}`, i)).want(t, 202)
		b.do("PATCH", byID("", id), fmt.Sprintf(`{"age":%d}`, i)).want(t, 202)
		require.Contains(t, b.do("POST", byID("/increment", id), `{"login_count":2}`).want(t, 202).body,
			`"login_count":2`)
		list = append(list, strings.ReplaceAll(segment(id), ",", "%2C"))
		missing = append(missing, id)
	}
	check := func() {
		for i, id := range ids {
			got := b.do("GET", byID("", id), "").want(t, 200)
			var r struct {
				ID, Name string
				Age      int
			}
			require.NoError(t, json.Unmarshal([]byte(got.body), &r))
			require.Equal(t, id, r.ID)
			require.Equal(t, fmt.Sprintf("n%d", i), r.Name)
			require.Equal(t, i, r.Age)
			require.Contains(t, b.do("GET", byID("/status", id), "").want(t, 200).body, `"attempts":0`)
		}
		many := b.do("GET", "/v1/user?ids="+strings.ReplaceAll(strings.Join(list, ","), "&", "%26"), "").want(t, 200)
		var r struct {
			Records []struct{ ID string }
			Missing []string
		}
		require.NoError(t, json.Unmarshal([]byte(many.body), &r))
		require.Len(t, r.Records, len(missing))
		require.Empty(t, r.Missing)
	}
	check()
	b.flush()
	check()
	for _, id := range ids {
		b.forget("user", id)
	}
	check()
	created := b.do("POST", "/v1/user", `{"id":"x/ y\n%","name":"n"}`).want(t, 202)
	b.do("GET", created.Header.Get("Location"), "").want(t, 200)
}

// byID is the path of a user that its query names.
func byID(under, id string) string { return "/v1/user/-" + under + "?id=" + url.QueryEscape(id) }
