package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/internal/testkit"
	"github.com/afterwrite/afterwrite/internal/token"
)

// route is a row of the table in docs/SECURITY.md, as the API's own description has it.
type route struct {
	method, path string
	needs        string // a scope; "" any token, "-" none
}

// perItem are the routes that ask for the scope of each entity that a request is about.
var perItem = map[string]string{"/v1/batch": "{entity}:write", "/v1/events": "{entity}:read",
	"/v1/events/ticket": "{entity}:read"}

// routes reads the routes of one entity and those of no entity.
func (d *deployment) routes() []route {
	d.t.Helper()
	code, body := d.call("GET", d.api, "/openapi.json", "")
	require.Equal(d.t, 200, code)
	var document struct {
		Paths map[string]map[string]json.RawMessage
	}
	require.NoError(d.t, json.Unmarshal([]byte(body), &document))
	var all []route
	for path, item := range document.Paths {
		if strings.HasPrefix(path, "/v1/item") {
			continue // as those of user
		}
		for method, text := range item {
			if !slices.Contains([]string{"get", "put", "post", "patch", "delete"}, method) {
				continue
			}
			var operation struct{ Security []map[string][]string }
			require.NoError(d.t, json.Unmarshal(text, &operation))
			r := route{strings.ToUpper(method), strings.Replace(path, "/v1/user", "/v1/{entity}", 1), "-"}
			if len(operation.Security) > 0 {
				r.needs = strings.Replace(strings.Join(operation.Security[0]["token"], ","), "user:", "{entity}:", 1)
			}
			if needs, ok := perItem[path]; ok {
				r.needs = needs
			}
			all = append(all, r)
		}
	}
	slices.SortFunc(all, func(a, b route) int { return strings.Compare(a.path+" "+a.method, b.path+" "+b.method) })
	return all
}

func (r route) row() string {
	needs := "`" + r.needs + "`"
	switch r.needs {
	case "-":
		needs = "anyone"
	case "":
		needs = "any token"
	}
	return fmt.Sprintf("| `%s %s` | %s |", r.method, r.path, needs)
}

// TestEveryRouteAsksForItsScope: each route of the API, by each method and each caller, and
// the table that documents them.
func TestEveryRouteAsksForItsScope(t *testing.T) {
	t.Parallel()
	d := exposed(t, testkit.SQLite(t))
	tokens := map[string]string{"none": "", "mistyped": token.Prefix + strings.Repeat("a", 56), "foreign": ""}
	foreign, _ := token.New()
	tokens["foreign"] = foreign
	for name, scope := range map[string]string{"reader": "user:read", "writer": "user:write", "admin": "*:admin",
		"other": "item:read,write,admin"} {
		tokens[name] = d.json(d.ok("token", "new", name, "--scope", scope, "--json"))["token"].(string)
	}
	d.start("api")
	d.becomes(404, tokens["reader"], "GET", "/v1/user/none", "")
	d.becomes(404, tokens["other"], "GET", "/v1/item/1", "")
	routes := d.routes()
	text, err := os.ReadFile("../../docs/SECURITY.md")
	require.NoError(t, err)
	var rows []string
	for _, r := range routes {
		rows = append(rows, r.row())
	}
	require.Contains(t, string(text), strings.Join(rows, "\n"), "docs/SECURITY.md lacks the routes as they are")

	holds := map[string]string{"reader": "{entity}:read", "writer": "{entity}:write", "admin": "*:admin"}
	client := http.Client{Timeout: 30 * time.Second}
	ask := func(method, path, text string) int {
		r, err := http.NewRequestWithContext(t.Context(), method, "http://"+d.api+path, strings.NewReader(`{}`))
		require.NoError(t, err)
		r.Header.Set("Content-Type", "application/json")
		if text != "" {
			r.Header.Set("Authorization", "Bearer "+text)
		}
		answer, err := client.Do(r)
		require.NoError(t, err)
		_ = answer.Body.Close()
		return answer.StatusCode
	}
	for _, r := range routes {
		path := strings.NewReplacer("{entity}/-", "user/-", "/v1/{entity}", "/v1/user", "{entity}", "user", "{id}", "1",
			"{number}", "1").Replace(r.path)
		switch {
		case strings.Contains(path, "/-"):
			path += "?id=1"
		case strings.HasPrefix(path, "/v1/events"):
			path += "?entity=user"
		}
		for name, text := range tokens {
			code := ask(r.method, path, text)
			known := !slices.Contains([]string{"none", "mistyped", "foreign"}, name)
			switch {
			case r.needs == "-":
				require.NotContains(t, []int{401, 403}, code, "%s %s by %s", r.method, path, name)
			case !known:
				require.Equal(t, 401, code, "%s %s by %s", r.method, path, name)
			case r.needs == "" || holds[name] == r.needs || path == "/v1/batch" && name == "other":
				require.NotContains(t, []int{401, 403}, code, "%s %s by %s", r.method, path, name)
			default:
				require.Equal(t, 403, code, "%s %s by %s", r.method, path, name)
			}
		}
		for _, method := range []string{"GET", "PUT", "POST", "PATCH", "DELETE", "TRACE", "BREW"} {
			documented := slices.ContainsFunc(routes, func(o route) bool {
				return o.path == r.path &&
					o.method == method
			})
			if !documented && r.needs != "-" {
				require.Equal(t, 401, ask(method, path, ""), "%s %s without a token", method, path)
			}
		}
	}
}
