package api_test

import (
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/internal/testkit"
	"github.com/afterwrite/afterwrite/producer/api"
)

// documented returns the blocks of docs/PROXIES.md in a language, with the address of an API.
func documented(t testing.TB, language, address string) []string {
	t.Helper()
	text, err := os.ReadFile("../../docs/PROXIES.md")
	require.NoError(t, err)
	var blocks []string
	for _, m := range regexp.MustCompile("(?s)```"+language+"\n(.*?)```").FindAllStringSubmatch(string(text), -1) {
		block := strings.NewReplacer("127.0.0.1:8080", address, "listen 80;", "listen $LISTEN;", "bind :80",
			"bind $LISTEN").Replace(m[1])
		blocks = append(blocks, block)
	}
	require.NotEmpty(t, blocks)
	return blocks
}

// front is a proxy before an API.
type front struct {
	url, prefix string
	rewrites    bool // names another record, and gives the API no sign of it
}

// fronts starts the documented proxies, and those that recipes on the web have.
func fronts(t testing.TB, address string) map[string]front {
	t.Helper()
	nginx := documented(t, "nginx", address)
	recipe := func(location string) string {
		return "server { listen $LISTEN; " + strings.ReplaceAll(location, "API", address) + " }"
	}
	return map[string]front{
		"nginx":        {url: testkit.Nginx(t, nginx[0]).URL},
		"nginx prefix": {url: testkit.Nginx(t, nginx[1]).URL, prefix: "/api"},
		"haproxy":      {url: testkit.HAProxy(t, documented(t, "haproxy", address)[0]).URL},
		"nginx bare": {url: testkit.Nginx(t, recipe("location /api/ { proxy_pass http://API/; }")).URL,
			prefix: "/api", rewrites: true},
		"nginx rewrite": {url: testkit.Nginx(t,
			recipe("location /api/ { rewrite ^/api/(.*)$ /$1 break; proxy_pass http://API; }")).URL,
			prefix: "/api", rewrites: true},
		"nginx captured": {url: testkit.Nginx(t,
			recipe("location ~ ^/api/(.*)$ { proxy_pass http://API/$1$is_args$args; }")).URL,
			prefix: "/api", rewrites: true},
	}
}

// straight are ids that every proxy passes on in a path.
var straight = []string{"plain", "a b", "a,b&c=d", "é", "100%", `"'<>`, "a:b*c|{d}", "a..b", "-5", "a ", "日本"}

// bent are ids that mean something else in a path to some proxy.
var bent = []string{
	"../product/7", "a/../victim", "../victim", "..", ".", "-", "x/status", "x/increment", "a//b", "//victim",
	`..\victim`, `a\b`,
	"%2e%2e%2Fvictim", "..%2Fvictim", "..%252Fvictim", "victim;x", "..;/victim", "victim?", "victim?x=1", "victim#x",
	"victim\n", "/victim", "victim/",
	"./victim", "victim/.", "50%25", "é/ü",
}

// TestNoPathNamesAnotherRecord: an id in a path reaches its own record or none, directly
// and through every proxy; the parameter id reaches every record through all of them.
func TestNoPathNamesAnotherRecord(t *testing.T) {
	t.Parallel()
	b := setup(t)
	address := strings.TrimPrefix(b.url, "http://")
	all := fronts(t, address)
	all["direct"] = front{url: b.url}
	b.do("PUT", "/v1/user/victim", `{"name":"v"}`).want(t, 202)
	b.do("PUT", "/v1/user/x", `{"name":"v"}`).want(t, 202)
	b.do("PUT", "/v1/product/7", `{"name":"v","price":"1"}`).want(t, 202)
	victims := func() []string {
		var states []string
		for _, path := range []string{"/v1/user/victim", "/v1/user/x", "/v1/product/7"} {
			states = append(states, b.do("GET", path, "").want(t, 200).Header.Get("ETag"))
		}
		return states
	}
	before := victims()
	for _, name := range []string{"direct", "nginx", "nginx prefix", "nginx bare", "nginx rewrite", "nginx captured",
		"haproxy"} {
		f := all[name]
		through := *b
		through.url = f.url + f.prefix
		for i, id := range append(slices.Clone(straight), bent...) {
			t.Run(name+" "+id, func(t *testing.T) {
				query := "?id=" + url.QueryEscape(id)
				record := fmt.Sprintf(`{"name":"n%d"}`, i)
				put := through.do("PUT", "/v1/user/-"+query, record).want(t, 202)
				read := through.do("GET", "/v1/user"+query, "").want(t, 200)
				require.Equal(t, put.Header.Get("ETag"), read.Header.Get("ETag"))
				require.Contains(t, read.body, record[1:len(record)-1])
				through.do("PATCH", "/v1/user"+query, `{"age":3}`).want(t, 202)
				require.Contains(t, through.do("POST", "/v1/user/-/increment"+query, `{"login_count":2}`).want(t,
					202).body, `"login_count":2`)
				through.do("GET", "/v1/user/-/status"+query, "").want(t, 200)
				through.do("DELETE", "/v1/user/-"+query, "").want(t, 202)
				created := through.do("POST", "/v1/user", fmt.Sprintf(`{"id":%s,"name":"c"}`, mustJSON(t, id))).want(t,
					202)
				at := created.Header.Get("Location")
				if f.rewrites {
					at = "/v1/user" + query // such a proxy may spoil a space, too
				}
				require.Contains(t, through.do("GET", at, "").want(t, 200).body, `"name":"c"`)
				if f.rewrites {
					return // the documentation says so: the API cannot know
				}
				for _, try := range []struct{ method, under, body string }{
					{"PUT", "", `{"name":"bent"}`}, {"PATCH", "", `{"age":9}`},
					{"POST", "/increment", `{"login_count":5}`},
					{"GET", "", ""}, {"GET", "/status", ""}, {"DELETE", "", ""},
				} {
					answer := through.do(try.method, "/v1/user/"+segment(id)+try.under, try.body)
					if i >= len(straight) {
						require.Contains(t, []int{400, 404, 405}, answer.StatusCode, "%s: %s", try.method, answer.body)
						require.NotContains(t, answer.body, `"version"`)
						continue
					}
					require.Less(t, answer.StatusCode, 300, "%s: %s", try.method, answer.body)
				}
			})
			require.Equal(t, before, victims(), "%s: %q has changed another record", name, id)
		}
	}
}

func TestTheRejectionNamesTheWay(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for _, id := range bent {
		if id == "-" {
			continue // it stands for what the query names
		}
		p := b.do("PUT", "/v1/user/"+strings.ReplaceAll(segment(id), ".", "%2E"), `{"name":"n"}`).problem(t, 400,
			"id-not-in-path")
		way := "/v1/user/-?id=" + strings.ReplaceAll(url.QueryEscape(id), "+", "%20")
		require.Contains(t, p.Detail, way+",")
		b.do("PUT", way, `{"name":"n"}`).want(t, 202)
	}
	require.Equal(t, []string{"id"}, b.do("GET", "/v1/user/-", "").problem(t, 400, "bad-parameter").fields())
	b.do("GET", "/v1/user/-?id=a&id=b", "").problem(t, 400, "bad-parameter")
	b.do("GET", "/v1/user/-?id=a&x=b", "").problem(t, 400, "bad-parameter")
	b.do("GET", "/v1/user/a?id=b", "").problem(t, 400, "bad-parameter")
	b.do("POST", "/v1/user?id=b", `{"name":"n"}`).problem(t, 400, "bad-parameter")
	b.do("PUT", "/v1/user", `{"name":"n"}`).want(t, 405)
}

// TestARewrittenPathIsRejected: where a proxy says which path its client sent, one that may
// name another record is rejected.
func TestARewrittenPathIsRejected(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for _, header := range []string{"X-Original-URI", "X-Forwarded-Uri", "X-Envoy-Original-Path"} {
		for _, path := range []string{"/api/v1/item/..%2Fuser%2Fvictim", "/api/v1/item/../user/victim",
			"/v1//user/victim", "/v1/user/x%2f..%2fvictim?a=b",
			"/v1/user/%2e%2e/victim", "/v1/user/victim;x", "/v1/user/victim%3Fx", "/v1/user/%zz"} {
			b.do("PUT", "/v1/user/victim", `{"name":"n"}`, header+": "+path).problem(t, 400, "path-rewritten")
		}
		for _, path := range []string{"/api/v1/user/victim", "/api/v1/user/-?id=a%2Fb", "/v1/user/a%20b", "/"} {
			b.do("PUT", "/v1/user/victim", `{"name":"n"}`, header+": "+path).want(t, 202)
		}
	}
}

// TestNoIDsInPaths: for a proxy that rewrites paths unseen, no path names a record.
func TestNoIDsInPaths(t *testing.T) {
	t.Parallel()
	b := setup(t, configure(func(c *api.Config) { c.NoIDsInPath = true }))
	bare := "server { listen $LISTEN; location /api/ { proxy_pass " + b.url + "/; } }"
	through := *b
	through.url = testkit.Nginx(t, bare).URL + "/api"
	b.do("PUT", "/v1/user?id=victim", `{"name":"n"}`).want(t, 202)
	for _, id := range append([]string{"victim"}, bent...) {
		for _, on := range []*bundle{b, &through} {
			for _, method := range []string{"PUT", "DELETE", "GET"} {
				answer := on.do(method, "/v1/product/"+segment(id), map[string]string{"PUT": `{"name":"bent"}`}[method])
				require.GreaterOrEqual(t, answer.StatusCode, 400, answer.body)
			}
		}
	}
	require.Contains(t, b.do("GET", "/v1/user?id=victim", "").want(t, 200).body, `"name":"n"`)
	created := b.do("POST", "/v1/user", `{"id":"new","name":"n"}`).want(t, 202)
	require.Equal(t, "/v1/user/-?id=new", created.Header.Get("Location"))
}

func mustJSON(t testing.TB, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	require.NoError(t, err)
	return string(text)
}
