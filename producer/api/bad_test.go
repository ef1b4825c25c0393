package api_test

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/producer/api"
)

// TestBadInput: each is refused with the name of what is wrong, and nothing is
// written.
func TestBadInput(t *testing.T) {
	t.Parallel()
	b := setup(t, configure(func(c *api.Config) { c.MaxBody = 4096; c.MaxBatchBody = 8192 }))
	const user = "/v1/user/bad"
	long := strings.Repeat("x", 201)
	for _, c := range []struct {
		what, method, path, body string
		headers                  []string
		code                     int
		name                     string
		fields                   []string
	}{
		{"unknown entity", "PUT", "/v1/nope/1", `{}`, nil, 404, "unknown-entity", nil},
		{"unknown entity, list", "GET", "/v1/nope", "", nil, 404, "unknown-entity", nil},
		{"unknown route", "GET", "/nope", "", nil, 404, "unknown-route", nil},
		{"unknown route under a record", "GET", user + "/nope", "", nil, 404, "unknown-route", nil},
		{"trailing slash", "GET", user + "/", "", nil, 404, "unknown-route", nil},
		{"method", "POST", user, `{}`, nil, 405, "method-not-allowed", nil},
		{"method of batch", "GET", "/v1/batch", "", nil, 405, "method-not-allowed", nil},
		{"unknown field", "PUT", user, `{"name":"a","nope":1}`, nil, 422, "invalid", []string{"nope"}},
		{"wrong type", "PUT", user, `{"name":5}`, nil, 422, "invalid", []string{"name"}},
		{"out of range", "PUT", user, `{"name":"a","age":151}`, nil, 422, "invalid", []string{"age"}},
		{"too long", "PUT", user, `{"name":"` + long + `"}`, nil, 422, "invalid", []string{"name"}},
		{"missing required", "PUT", user, `{}`, nil, 422, "invalid", []string{"name"}},
		{"required null", "PATCH", user, `{"name":null}`, nil, 422, "invalid", []string{"name"}},
		{"two faults", "PUT", user, `{"name":5,"age":"x"}`, nil, 422, "invalid", []string{"age", "name"}},
		{"bad JSON", "PUT", user, `{"name":`, nil, 400, "malformed", []string{"name"}},
		{"empty body", "PUT", user, "", []string{"Content-Type: application/json"}, 400, "malformed", nil},
		{"not an object", "PUT", user, `["a"]`, nil, 400, "malformed", nil},
		{"two values", "PUT", user, `{"name":"a"}{}`, nil, 400, "malformed", nil},
		{"duplicate keys", "PUT", user, `{"name":"a","name":"b"}`, nil, 400, "malformed", []string{"name"}},
		{"duplicate keys, escaped", "PUT", user, `{"name":"a","\u006eame":"b"}`, nil, 400, "malformed",
			[]string{"name"}},
		{"duplicate keys, deep", "PUT", user, `{"name":"a","profile":{"x":[{"y":1,"y":2}]}}`, nil, 400, "malformed",
			[]string{"profile"}},
		{"leading zeros", "PUT", user, `{"name":"a","age":007}`, nil, 400, "malformed", []string{"age"}},
		{"hexadecimal", "PUT", user, `{"name":"a","age":0x7,"login_count":1}`, nil, 400, "malformed", []string{"age"}},
		{"NaN", "PUT", user, `{"name":"a","age":NaN}`, nil, 400, "malformed", []string{"age"}},
		{"int beyond 64 bits", "PUT", user, `{"name":"a","login_count":9223372036854775808}`, nil, 422, "invalid",
			[]string{"login_count"}},
		{"int with a fraction", "PUT", user, `{"name":"a","login_count":1.5}`, nil, 422, "invalid",
			[]string{"login_count"}},
		{"invalid UTF-8", "PUT", user, "{\"name\":\"a\xff\"}", nil, 400, "malformed", []string{"name"}},
		{"lone surrogate", "PUT", user, `{"name":"\ud800"}`, nil, 400, "malformed", []string{"name"}},
		{"lone surrogate, deep", "PUT", user, `{"name":"a","profile":["\udc00x"]}`, nil, 400, "malformed",
			[]string{"profile"}},
		{"NUL", "PUT", user, `{"name":"\u0000"}`, nil, 422, "invalid", []string{"name"}},
		{"empty id", "PUT", "/v1/user/", `{"name":"a"}`, nil, 422, "invalid", []string{"id"}},
		{"id too long", "PUT", "/v1/user/" + strings.Repeat("i", 65), `{"name":"a"}`, nil, 422, "invalid",
			[]string{"id"}},
		{"id too long, read", "GET", "/v1/user/" + strings.Repeat("i", 65), "", nil, 422, "invalid", []string{"id"}},
		{"id with NUL", "PUT", "/v1/user/a%00", `{"name":"a"}`, nil, 422, "invalid", []string{"id"}},
		{"id not UTF-8", "PUT", "/v1/user/a%FF", `{"name":"a"}`, nil, 422, "invalid", []string{"id"}},
		{"id not a number", "PUT", "/v1/product/x", `{"name":"a"}`, nil, 422, "invalid", []string{"id"}},
		{"id not a uuid", "PUT", "/v1/player/x", `{"name":"a"}`, nil, 422, "invalid", []string{"id"}},
		{"another id in the body", "PUT", user, `{"id":"other","name":"a"}`, nil, 422, "invalid", []string{"id"}},
		{"id of another type", "PUT", user, `{"id":5,"name":"a"}`, nil, 422, "invalid", []string{"id"}},
		{"id null in a create", "POST", "/v1/user", `{"id":null,"name":"a"}`, nil, 422, "invalid", []string{"id"}},
		{"id empty in a create", "POST", "/v1/user", `{"id":"","name":"a"}`, nil, 422, "invalid", []string{"id"}},
		{"increment of a string", "POST", user + "/increment", `{"name":1}`, nil, 422, "invalid", []string{"name"}},
		{"increment of nothing", "POST", user + "/increment", `{}`, nil, 422, "invalid", []string{"fields"}},
		{"no content type", "PUT", user, `{"name":"a"}`, []string{"Content-Type: "}, 415, "unsupported-media-type",
			nil},
		{"form", "PUT", user, `{"name":"a"}`, []string{"Content-Type: application/x-www-form-urlencoded"}, 415,
			"unsupported-media-type", nil},
		{"merge patch to a put", "PUT", user, `{"name":"a"}`, []string{"Content-Type: application/merge-patch+json"},
			415, "unsupported-media-type", nil},
		{"other charset", "PUT", user, `{"name":"a"}`, []string{"Content-Type: application/json; charset=latin1"}, 415,
			"unsupported-media-type", nil},
		{"compressed", "PUT", user, `{"name":"a"}`, []string{"Content-Encoding: gzip"}, 415, "unsupported-media-type",
			nil},
		{"compressed batch", "POST", "/v1/batch", `[]`, []string{"Content-Encoding: gzip"}, 415,
			"unsupported-media-type", nil},
		{"body too large", "PUT", user, `{"name":"` + strings.Repeat("x", 4096) + `"}`, nil, 413, "body-too-large",
			nil},
		{"batch too large", "POST", "/v1/batch", strings.Repeat(" ", 8193), nil, 413, "body-too-large", nil},
		{"batch not an array", "POST", "/v1/batch", `[{"op":"put"}`, nil, 400, "malformed", nil},
		{"conditions of a batch", "POST", "/v1/batch", `[]`, []string{`If-Match: "1"`}, 400, "bad-header",
			[]string{"If-Match"}},
		{"parameter of a write", "PUT", user + "?force=1", `{"name":"a"}`, nil, 400, "bad-parameter",
			[]string{"force"}},
		{"parameter of a read", "GET", user + "?fields=a", "", nil, 400, "bad-parameter", []string{"fields"}},
		{"parameter of a list", "GET", "/v1/user?top=10", "", nil, 400, "bad-parameter", []string{"top"}},
		{"parameter beside ids", "GET", "/v1/user?ids=a&limit=1", "", nil, 400, "bad-parameter", []string{"limit"}},
		{"too many ids", "GET", "/v1/product?ids=" + numbers(1001), "", nil, 400, "bad-parameter", []string{"ids"}},
		{"bad id among ids", "GET", "/v1/product?ids=1,x", "", nil, 422, "invalid", []string{"id"}},
		{"limit 0", "GET", "/v1/user?limit=0", "", nil, 400, "bad-parameter", []string{"limit"}},
		{"limit too large", "GET", "/v1/user?limit=1001", "", nil, 400, "bad-parameter", []string{"limit"}},
		{"made up cursor", "GET", "/v1/user?after=AAAAAGFi", "", nil, 400, "bad-parameter", []string{"after"}},
		{"filter of a wrong type", "GET", "/v1/user?age=old", "", nil, 422, "invalid", []string{"age"}},
		{"filter by json", "GET", "/v1/user?profile=%7B%7D", "", nil, 400, "bad-parameter", []string{"profile"}},
		{"filter twice", "GET", "/v1/user?age=1&age=2", "", nil, 400, "bad-parameter", []string{"age"}},
		{"If-Match without quotes", "PUT", user, `{"name":"a"}`, []string{"If-Match: 5"}, 400, "bad-header",
			[]string{"If-Match"}},
		{"If-None-Match of a write", "PUT", user, `{"name":"a"}`, []string{`If-None-Match: "5"`}, 400, "bad-header",
			[]string{"If-None-Match"}},
		{"contradiction", "PUT", user, `{"name":"a"}`, []string{`If-None-Match: *`, "If-Match: *"}, 400, "bad-header",
			[]string{"If-None-Match"}},
		{"If-Match of a create", "POST", "/v1/user", `{"name":"a"}`, []string{"If-Match: *"}, 400, "bad-header",
			[]string{"If-Match"}},
		{"key too long", "PUT", user, `{"name":"a"}`, []string{"Idempotency-Key: " + strings.Repeat("k", 256)}, 400,
			"bad-header", []string{"Idempotency-Key"}},
		{"key unquoted", "PUT", user, `{"name":"a"}`, []string{`Idempotency-Key: "k`}, 400, "bad-header",
			[]string{"Idempotency-Key"}},
		{"key empty", "PUT", user, `{"name":"a"}`, []string{`Idempotency-Key: ""`}, 400, "bad-header",
			[]string{"Idempotency-Key"}},
	} {
		t.Run(c.what, func(t *testing.T) {
			p := b.do(c.method, c.path, c.body, c.headers...).problem(t, c.code, c.name)
			require.Equal(t, c.fields, p.fields())
		})
	}
	b.do("GET", user, "").problem(t, 404, "not-found")
	require.Contains(t, b.do("GET", "/v1/user", "").want(t, 200).body, `"records":[]`)
	require.NotContains(t, b.log.String(), "xxxx", "a payload was logged")
}

func TestAllow(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for path, allow := range map[string]string{
		"/v1/user":             "GET, HEAD, POST, OPTIONS",
		"/v1/user/1":           "GET, HEAD, PUT, PATCH, DELETE, OPTIONS",
		"/v1/user/1/increment": "POST, OPTIONS",
		"/v1/user/1/status":    "GET, HEAD, OPTIONS",
		"/healthz":             "GET, HEAD, OPTIONS",
	} {
		refused := b.do("TRACE", path, "")
		refused.problem(t, 405, "method-not-allowed")
		require.Equal(t, allow, refused.Header.Get("Allow"), path)
		require.Equal(t, allow, b.do("OPTIONS", path, "").want(t, 204).Header.Get("Allow"))
	}
}

func TestManyFaultsAreCut(t *testing.T) {
	t.Parallel()
	b := setup(t)
	var body strings.Builder
	for i := range 2000 {
		fmt.Fprintf(&body, `"%0400d":1,`, i)
	}
	p := b.do("PUT", "/v1/user/u", "{"+body.String()+`"name":"a"}`).problem(t, 422, "invalid")
	require.Len(t, p.Errors, 100)
}

func TestChunkedBodyIsBounded(t *testing.T) {
	t.Parallel()
	b := setup(t, configure(func(c *api.Config) { c.MaxBody = 4096 }))
	r, err := http.NewRequest("PUT", b.url+"/v1/user/u", struct{ *strings.Reader }{strings.NewReader(strings.Repeat("x",
		10_000))})
	require.NoError(t, err)
	r.ContentLength = -1
	r.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(r)
	require.NoError(t, err)
	defer response.Body.Close()
	require.Equal(t, 413, response.StatusCode)
}

// numbers returns the ids 0 to n-1 as a parameter.
func numbers(n int) string {
	ids := make([]string, n)
	for i := range ids {
		ids[i] = strconv.Itoa(i)
	}
	return strings.Join(ids, ",")
}
