package api_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/pb33f/libopenapi"
	validator "github.com/pb33f/libopenapi-validator"
	"github.com/stretchr/testify/require"
)

func describe(t *testing.T, b *bundle) validator.Validator {
	t.Helper()
	document, err := libopenapi.NewDocument([]byte(b.do("GET", "/openapi.json", "").want(t, 200).body))
	require.NoError(t, err)
	require.Equal(t, "3.1.0", document.GetVersion())
	v, errs := validator.NewValidator(document)
	require.Empty(t, errs)
	t.Cleanup(v.Release)
	return v
}

func TestOpenAPIDocumentIsValid(t *testing.T) {
	t.Parallel()
	b := setup(t)
	valid, errs := describe(t, b).ValidateDocument()
	for _, e := range errs {
		t.Errorf("%s: %s", e.Message, e.Reason)
	}
	require.True(t, valid)
	for name, e := range b.entities {
		body := b.do("GET", "/openapi.json", "").body
		require.Contains(t, body, `"/v1/`+name+`/{id}/increment"`)
		for _, f := range e.Fields {
			require.Contains(t, body, `"`+f.Name+`"`)
		}
	}
}

// docs/API.md names every path of the API, with its methods, under the name of its entity.
func TestAPIReferenceHasEveryRoute(t *testing.T) {
	t.Parallel()
	b := setup(t)
	text, err := os.ReadFile("../../docs/API.md")
	require.NoError(t, err)
	var document struct {
		Paths map[string]map[string]json.RawMessage `json:"paths"`
	}
	require.NoError(t, json.Unmarshal([]byte(b.do("GET", "/openapi.json", "").want(t, 200).body), &document))
	require.NotEmpty(t, document.Paths)
	for path, methods := range document.Paths {
		for name := range b.entities {
			if rest, ok := strings.CutPrefix(path, "/v1/"+name); ok && (rest == "" || rest[0] == '/') {
				path = "/v1/{entity}" + rest
			}
		}
		for method := range methods {
			if method == "parameters" {
				continue
			}
			route := strings.ToUpper(method) + " " + path
			require.Regexp(t, "(?m)`"+regexp.QuoteMeta(route)+"[`?]", string(text), "docs/API.md lacks %s", route)
		}
	}
}

// TestOpenAPIDescribesTheAnswers checks real requests and their answers against the
// document. Where the request is bad on purpose only its answer is checked.
func TestOpenAPIDescribesTheAnswers(t *testing.T) {
	t.Parallel()
	b := setup(t)
	v := describe(t, b)
	const full = `{"string":"s","text":"t","int":9223372036854775807,"float":0.5,"decimal":"1.5","bool":true,` +
		`"time":"2026-01-31T12:00:00Z","json":{"a":[1,null]},"bytes":"AAE=","uuid":"018f4e7a-3b5c-7d2e-9f10-1a2b3c4d5e6f"}`
	for _, c := range []struct {
		method, path, body, header string
		code                       int
	}{
		{"PUT", "/v1/everything/e", full, "", 202},
		{"GET", "/v1/everything/e", "", "", 200},
		{"PUT", "/v1/everything/nulls", "{}", "", 202},
		{"GET", "/v1/everything/nulls", "", "", 200},
		{"GET", "/v1/everything/e", "", "If-None-Match: *", 304},
		{"PUT", "/v1/user/u", `{"name":"A"}`, "Idempotency-Key: k", 202},
		{"PUT", "/v1/user/u", `{"name":"A"}`, "Idempotency-Key: k", 202},
		{"PUT", "/v1/user/u", `{"name":"A"}`, "If-None-Match: *", 412},
		{"PATCH", "/v1/user/u", `{"email":"a@x"}`, "Content-Type: application/merge-patch+json", 202},
		{"POST", "/v1/user/u/increment", `{"login_count":3}`, "", 202},
		{"GET", "/v1/user/u/status", "", "", 200},
		{"POST", "/v1/product", `{"id":1,"name":"N","price":"2"}`, "", 202},
		{"POST", "/v1/product", `{"id":1,"name":"N","price":"2"}`, "", 409},
		{"POST", "/v1/player", `{"name":"P"}`, "", 202},
		{"FLUSH", "", "", "", 0},
		{"PUT", "/v1/user/v", `{"name":"B","email":"a@x"}`, "", 202},
		{"FLUSH", "", "", "", 0},
		{"GET", "/v1/user/v/status", "", "", 200},
		{"PUT", "/v1/user/v", `{"name":"B","email":"a@x"}`, "Prefer: wait=0", 202},
		{"GET", "/v1/user?limit=1", "", "", 200},
		{"GET", "/v1/everything?int=9223372036854775807&bool=true", "", "", 200},
		{"GET", "/v1/product?ids=1,2", "", "", 200},
		{"POST", "/v1/batch",
			`[{"op":"put","entity":"user","id":"b","fields":{"name":"B"}},{"op":"delete","entity":"user","id":"no"}]`,
			"", 200},
		{"DELETE", "/v1/user/b", "", "", 202},
		{"DELETE", "/v1/user/b", "", "", 404},
		{"GET", "/v1/user/b", "", "", 404},
		{"PUT", "/v1/user/u", `{"age":"old"}`, "", 422},
		{"PUT", "/v1/user/u", `{"age":`, "", 400},
		{"PUT", "/v1/user/u", `{}`, "Content-Type: text/plain", 415},
		{"GET", "/healthz", "", "", 200},
		{"GET", "/readyz", "", "", 200},
		{"GET", "/openapi.json", "", "", 200},
	} {
		if c.method == "FLUSH" {
			b.flush()
			continue
		}
		t.Run(c.method+" "+c.path, func(t *testing.T) {
			headers := []string{}
			if c.header != "" {
				headers = append(headers, c.header)
			}
			a := b.do(c.method, c.path, c.body, headers...).want(t, c.code)
			request := a.Request.Clone(t.Context())
			request.Body = io.NopCloser(strings.NewReader(c.body))
			a.Body = io.NopCloser(bytes.NewReader([]byte(a.body)))
			_, errs := v.ValidateHttpResponse(request, a.Response)
			if c.code < 400 {
				request.Body = io.NopCloser(strings.NewReader(c.body))
				_, more := v.ValidateHttpRequest(request)
				errs = append(errs, more...)
			}
			for _, e := range errs {
				t.Errorf("%s: %s", e.Message, e.Reason)
				for _, s := range e.SchemaValidationErrors {
					t.Errorf("  %s at %s", s.Reason, s.KeywordLocation)
				}
			}
		})
	}
}

func TestOpenAPINamesEveryLimit(t *testing.T) {
	t.Parallel()
	var d struct {
		Components struct {
			Schemas map[string]struct {
				Required   []string
				Properties map[string]json.RawMessage
			}
		}
	}
	require.NoError(t, json.Unmarshal([]byte(setup(t).do("GET", "/openapi.json", "").want(t, http.StatusOK).body), &d))
	put := d.Components.Schemas["user_put"]
	require.Equal(t, []string{"name"}, put.Required)
	require.JSONEq(t, `{"type":"string","maxLength":200}`, string(put.Properties["name"]))
	require.JSONEq(t, `{"type":["integer","null"],"format":"int64","minimum":0,"maximum":150}`,
		string(put.Properties["age"]))
	require.JSONEq(t, `{"type":["integer","null"],"format":"int64","default":0}`,
		string(put.Properties["login_count"]))
	require.Empty(t, d.Components.Schemas["user_patch"].Required)
	require.Len(t, d.Components.Schemas["user_increment"].Properties, 2)
	require.Len(t, d.Components.Schemas["user"].Required, 6)
}
