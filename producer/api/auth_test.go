package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/internal/testkit"
	"github.com/afterwrite/afterwrite/internal/token"
	"github.com/afterwrite/afterwrite/producer/api"
	"github.com/afterwrite/afterwrite/store/ledger"
)

// shelf keeps the tokens in the bundle's store, which is opened after the guard is made.
type shelf struct{ *bundle }

func (s shelf) LivingTokens(ctx context.Context) ([]token.Token, error) {
	return s.store.LivingTokens(ctx)
}

func (s shelf) TokensUsed(ctx context.Context, numbers []int64, at time.Time) error {
	return s.store.TokensUsed(ctx, numbers, at)
}

// guarded is a bundle whose API knows tokens. It sees changes at once.
type guarded struct {
	*bundle
	guard *token.Guard
	admin *surface
}

// surface stands for the admin API: it answers who calls.
type surface struct{}

func (*surface) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	who, _ := token.FromContext(r.Context())
	_, _ = io.WriteString(w, "admin for "+who.Name)
}

func (*surface) OpenAPI() (paths, schemas map[string]any) { return nil, nil }

func setupTokens(t *testing.T, required bool, options ...option) *guarded {
	t.Helper()
	g := &guarded{admin: &surface{}}
	b := setup(t, append(options, func(b *bundle, cfg *api.Config) {
		var err error
		g.guard, err = token.NewGuard(token.Config{
			Book: shelf{b}, Required: required, Log: cfg.Log, RefreshInterval: 5 * time.Millisecond,
			UsedInterval: 10 * time.Millisecond})
		require.NoError(t, err)
		cfg.Tokens, cfg.Admin = g.guard, g.admin
		b.streams = true
	})...)
	g.bundle = b
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); _ = g.guard.Run(ctx) }() // returns nil
	t.Cleanup(func() { cancel(); <-done })
	return g
}

var keeper = ledger.Actor{Name: "test", Origin: "test"}

// token makes a token, waits until it is known, and returns its header.
func (g *guarded) token(name string, scopes ...string) string {
	g.t.Helper()
	text, hash := token.New()
	parsed, err := token.ParseScopes(scopes...)
	require.NoError(g.t, err)
	require.NoError(g.t, g.store.NewToken(context.Background(), token.Token{Name: name, Hash: hash, Scopes: parsed},
		keeper))
	header := "Authorization: Bearer " + text
	testkit.Eventually(g.t, "the token is known", func() bool { return g.knows(text) })
	return header
}

func (g *guarded) knows(text string) bool {
	_, err := g.guard.Identify(http.Header{"Authorization": {"Bearer " + text}})
	return err == nil
}

// TestScopesByRoute calls every route with every kind of token.
func TestScopesByRoute(t *testing.T) {
	t.Parallel()
	g := setupTokens(t, true)
	g.token("seed", "*:write")
	tokens := map[string]string{
		"none": "", "empty": g.token("empty"),
		"user:read": g.token("ur", "user:read"), "user:write": g.token("uw", "user:write"),
		"user:admin":               g.token("ua", "user:admin"),
		"product:read,write,admin": g.token("p", "product:read,write,admin"),
		"*:read":                   g.token("r", "*:read"), "*:write": g.token("w", "*:write"),
		"*:admin": g.token("a", "*:admin"),
	}
	reads := []string{"user:read", "*:read"}
	writes := []string{"user:write", "*:write"}
	everybody := []string{"none", "empty", "user:read", "user:write", "user:admin", "product:read,write,admin",
		"*:read", "*:write", "*:admin"}
	known := everybody[1:]
	for _, c := range []struct {
		method, path, body string
		may                []string
		needs              string
	}{
		{"GET", "/healthz", "", everybody, ""},
		{"GET", "/readyz", "", everybody, ""},
		{"GET", "/openapi.json", "", everybody, ""},
		{"GET", "/metrics", "", known, ""},
		{"GET", "/v1/user/1", "", reads, "user:read"},
		{"HEAD", "/v1/user/1", "", reads, "user:read"},
		{"GET", "/v1/user/1/status", "", reads, "user:read"},
		{"GET", "/v1/user", "", reads, "user:read"},
		{"GET", "/v1/user?ids=1,2", "", reads, "user:read"},
		{"HEAD", "/v1/events?entity=user", "", reads, "user:read"},
		{"HEAD", "/v1/events", "", []string{"*:read"}, ""},
		{"POST", "/v1/events/ticket?entity=user", "", reads, "user:read"},
		{"POST", "/v1/events/ticket", "", []string{"*:read"}, ""},
		{"HEAD", "/v1/events?entity=user&entity=product", "", []string{"*:read"}, ""},
		{"PUT", "/v1/user/1", `{"name":"a"}`, writes, "user:write"},
		{"PATCH", "/v1/user/1", `{"age":1}`, writes, "user:write"},
		{"POST", "/v1/user/1/increment", `{"login_count":1}`, writes, "user:write"},
		{"POST", "/v1/user", `{"name":"a"}`, writes, "user:write"},
		{"DELETE", "/v1/user/nobody", "", writes, "user:write"},
		{"POST", "/v1/batch", `[]`, []string{"user:write", "product:read,write,admin", "*:write"}, "*:write"},
		{"GET", "/v1/admin/dead", "", []string{"*:admin"}, "*:admin"},
		{"GET", "/v1/admin/dead?entity=user", "", []string{"user:admin", "*:admin"}, "user:admin"},
		{"GET", "/v1/admin/dead?entity=user&entity=product", "", []string{"*:admin"}, "*:admin"},
		{"GET", "/v1/admin/dead?entity=nope", "", []string{"*:admin"}, "*:admin"},
		{"POST", "/v1/admin/dead/discard?entity=user", "{}", []string{"*:admin"}, "*:admin"},
		{"POST", "/v1/admin/invalidate", "{}", []string{"*:admin"}, "*:admin"},
		{"PATCH", "/v1/admin/retry-policies/user", "{}", []string{"user:admin", "*:admin"}, "user:admin"},
		{"PATCH", "/v1/admin/retry-policies/user%2F..%2Fproduct", "{}", []string{"*:admin"}, "*:admin"},
		{"GET", "/v1/admin/nope", "", []string{"*:admin"}, "*:admin"},
		{"GET", "/v1/nope/1", "", known, ""},
		{"GET", "/nope", "", known, ""},
	} {
		for name, header := range tokens {
			t.Run(c.method+" "+c.path+" "+name, func(t *testing.T) {
				headers := []string{}
				if header != "" {
					headers = append(headers, header)
				}
				a := g.do(c.method, c.path, c.body, headers...)
				switch {
				case contains(c.may, name):
					require.NotContains(t, []int{401, 403, 500, 503}, a.StatusCode, a.body)
				case name == "none":
					a.want(t, 401)
					require.Equal(t, `Bearer realm="afterwrite"`, a.Header.Get("WWW-Authenticate"))
				default:
					a.want(t, 403)
					require.Contains(t, a.Header.Get("WWW-Authenticate"), `error="insufficient_scope"`)
					if c.method != "HEAD" && c.needs != "" {
						require.Contains(t, a.problem(t, 403, "scope-missing").Detail, "the scope "+c.needs)
						require.Contains(t, a.Header.Get("WWW-Authenticate"), `scope="`+c.needs+`"`)
					}
				}
			})
		}
	}
}

func contains(list []string, s string) bool {
	for _, one := range list {
		if one == s {
			return true
		}
	}
	return false
}

// TestNothingIsWrittenWithoutScope: a batch answers each item for itself.
func TestNothingIsWrittenWithoutScope(t *testing.T) {
	t.Parallel()
	g := setupTokens(t, true)
	writer, reader := g.token("writer", "user:write"), g.token("reader", "*:read")
	a := g.do("POST", "/v1/batch", `[{"op":"put","entity":"user","id":"1","fields":{"name":"a"}},
		{"op":"put","entity":"product","id":1,"fields":{"name":"b","price":"1"}},{"op":"delete","entity":"nope","id":"1"}]`, writer).want(t, 200)
	var answer struct {
		Results []struct {
			Status int
			Error  struct{ Type, Detail string }
		}
	}
	require.NoError(t, json.Unmarshal([]byte(a.body), &answer))
	require.Equal(t, 202, answer.Results[0].Status)
	require.Equal(t, 403, answer.Results[1].Status, a.body)
	require.Equal(t, api.ProblemPrefix+"scope-missing", answer.Results[1].Error.Type)
	require.Contains(t, answer.Results[1].Error.Detail, "product:write")
	require.Equal(t, 404, answer.Results[2].Status)
	g.do("GET", "/v1/user/1", "", reader).want(t, 200)
	g.do("GET", "/v1/product/1", "", reader).want(t, 404)
	g.do("PUT", "/v1/user/2", `{"name":"a"}`, reader).want(t, 403)
	g.do("GET", "/v1/user/2", "", reader).want(t, 404)
}

func TestBadTokens(t *testing.T) {
	t.Parallel()
	g := setupTokens(t, true)
	good := g.token("good", "*:read")
	stranger, _ := token.New()
	gone, hash := token.New()
	require.NoError(t, g.store.NewToken(t.Context(), token.Token{Name: "late", Hash: hash,
		ExpiresAt: time.Now().Add(-time.Hour)}, keeper))
	testkit.Eventually(t, "the expired token is known", func() bool {
		_, err := g.guard.Identify(http.Header{"Authorization": {"Bearer " + gone}})
		return err == token.ErrExpired //nolint:errorlint // it is returned as it is
	})
	for _, c := range []struct {
		what      string
		headers   []string
		code      int
		name      string
		challenge string
	}{
		{"none", nil, 401, "token-missing", `Bearer realm="afterwrite"`},
		{"basic", []string{"Authorization: Basic dXNlcjpwYXNz"}, 401, "token-missing", `Bearer realm="afterwrite"`},
		{"another's", []string{"Authorization: Bearer eyJhbGciOiJIUzI1NiJ9.e30.x"}, 401, "token-missing",
			`Bearer realm="afterwrite"`},
		{"mistyped", []string{good + "x"}, 401, "token-mistyped", `error="invalid_token"`},
		{"unknown", []string{"Authorization: Bearer " + stranger}, 401, "token-unknown", `error="invalid_token"`},
		{"expired", []string{"Authorization: Bearer " + gone}, 401, "token-expired", `error="invalid_token"`},
		{"twice", []string{good, good}, 400, "bad-header", ""},
		{"in the query", nil, 401, "token-missing", `Bearer realm="afterwrite"`},
	} {
		t.Run(c.what, func(t *testing.T) {
			path := "/v1/user/1"
			if c.what == "in the query" {
				path += "?access_token=" + strings.TrimPrefix(good, "Authorization: Bearer ")
			}
			a := g.do("GET", path, "", c.headers...)
			p := a.problem(t, c.code, c.name)
			require.Contains(t, a.Header.Get("WWW-Authenticate"), c.challenge)
			for _, h := range c.headers {
				_, text, _ := strings.Cut(h, "Bearer ")
				require.NotContains(t, p.Detail+a.Header.Get("WWW-Authenticate"), text+"\x00")
			}
		})
	}
}

// TestTokensInTheLog: the log has a token's name, and the token nowhere.
func TestTokensInTheLog(t *testing.T) {
	t.Parallel()
	g := setupTokens(t, true)
	header := g.token("ci", "user:read")
	g.do("GET", "/v1/user/1", "", header).want(t, 404)
	g.do("PUT", "/v1/user/1", `{"name":"a"}`, header).want(t, 403)
	g.do("GET", "/v1/user/1", "", header+"x").want(t, 401)
	testkit.Eventually(t, "three lines", func() bool { return strings.Count(g.log.String(), `"msg":"request"`) == 3 })
	require.Equal(t, 2, strings.Count(g.log.String(), `"token":"ci"`), g.log.String())
	_, text, _ := strings.Cut(header, token.Prefix)
	require.NotContains(t, g.log.String(), text)
	require.NotContains(t, g.do("GET", "/metrics", "", header).want(t, 200).body, text)
}

// TestTokensWithTheDatabaseDown: known tokens go on working, and nobody else gets in.
func TestTokensWithTheDatabaseDown(t *testing.T) {
	t.Parallel()
	g := setupTokens(t, true)
	header := g.token("ci", "user:read,write")
	g.sql.Inject(testkit.Refuse, testkit.AnyStatement, testkit.Always())
	g.do("PUT", "/v1/user/1", `{"name":"a"}`, header).want(t, 202)
	g.do("GET", "/v1/user/1", "", header).want(t, 200)
	g.do("GET", "/v1/user/1", "").want(t, 401)
	g.do("GET", "/v1/product/1", "", header).want(t, 403)
}

// TestTokensBeforeTheDatabaseAnswers: a process that never read the tokens accepts none.
func TestTokensBeforeTheDatabaseAnswers(t *testing.T) {
	t.Parallel()
	idle, err := token.NewGuard(token.Config{Required: true})
	require.NoError(t, err)
	b := setup(t, configure(func(c *api.Config) { c.Tokens = idle }))
	text, _ := token.New()
	a := b.do("GET", "/v1/user/1", "", "Authorization: Bearer "+text)
	a.problem(t, 503, "tokens-unread")
	require.NotEmpty(t, a.Header.Get("Retry-After"))
	b.do("GET", "/v1/user/1", "").want(t, 401)
	b.do("GET", "/healthz", "").want(t, 200)
}

// TestTokensOfAnOpenAPI: without a token everything is allowed, with one what it allows.
func TestTokensOfAnOpenAPI(t *testing.T) {
	t.Parallel()
	g := setupTokens(t, false)
	header := g.token("ci", "user:read")
	g.do("PUT", "/v1/user/1", `{"name":"a"}`).want(t, 202)
	g.do("PUT", "/v1/user/1", `{"name":"a"}`, "Authorization: Basic dXNlcjpwYXNz").want(t, 202)
	g.do("GET", "/v1/user/1", "", header).want(t, 200)
	g.do("PUT", "/v1/user/1", `{"name":"a"}`, header).want(t, 403)
	g.do("GET", "/v1/user/1", "", header+"x").want(t, 401)
	require.Equal(t, "admin for ", g.do("GET", "/v1/admin/dead", "").want(t, 200).body)
}

// TestIdentityReachesTheAdminSurface: for the audit.
func TestIdentityReachesTheAdminSurface(t *testing.T) {
	t.Parallel()
	g := setupTokens(t, true)
	require.Equal(t, "admin for ops", g.do("GET", "/v1/admin/dead", "", g.token("ops", "*:admin")).want(t, 200).body)
}

// TestStreamEndsWithItsToken: who no longer gets in is no longer told.
func TestStreamEndsWithItsToken(t *testing.T) {
	t.Parallel()
	g := setupTokens(t, true)
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, g.url+"/v1/events?entity=user", nil)
	require.NoError(t, err)
	name, value, _ := strings.Cut(g.token("ci", "user:read"), ": ")
	r.Header.Set(name, value)
	answer, err := http.DefaultClient.Do(r)
	require.NoError(t, err)
	defer answer.Body.Close()
	require.Equal(t, 200, answer.StatusCode)
	began := time.Now()
	require.NoError(t, g.store.RevokeToken(t.Context(), "ci", keeper))
	_, err = io.ReadAll(answer.Body)
	require.NoError(t, err)
	require.Less(t, time.Since(began), token.RevokedWithin)
}

// TestPreflightNeedsNoToken: browsers send none.
func TestPreflightNeedsNoToken(t *testing.T) {
	t.Parallel()
	g := setupTokens(t, true, configure(func(c *api.Config) { c.CORS = []string{"https://app.example.com"} }))
	a := g.do("OPTIONS", "/v1/user/1", "", "Origin: https://app.example.com",
		"Access-Control-Request-Method: PUT").want(t, 204)
	require.Contains(t, a.Header.Get("Access-Control-Allow-Headers"), "Authorization")
	refused := g.do("PUT", "/v1/user/1", `{}`, "Origin: https://app.example.com").want(t, 401)
	require.Equal(t, "https://app.example.com", refused.Header.Get("Access-Control-Allow-Origin"),
		"a browser may read why")
}

// TestUseOfATokenIsNoted: when, not for what.
func TestUseOfATokenIsNoted(t *testing.T) {
	t.Parallel()
	g := setupTokens(t, true)
	g.do("GET", "/v1/user/1", "", g.token("ci", "user:read")).want(t, 404)
	testkit.Eventually(t, "the use is noted", func() bool {
		living, err := g.store.LivingTokens(t.Context())
		require.NoError(t, err)
		return !living[0].UsedAt.IsZero()
	})
}

// TestOpenAPINamesTheScopes: the document says what each operation needs, and the answers
// to those who lack it are as it says.
func TestOpenAPINamesTheScopes(t *testing.T) {
	t.Parallel()
	for _, required := range []bool{true, false} {
		g := setupTokens(t, required)
		header := g.token("ci", "user:read")
		v := describe(t, g.bundle)
		valid, errs := v.ValidateDocument()
		require.True(t, valid, "%v", errs)
		var d struct {
			Paths map[string]map[string]json.RawMessage
		}
		require.NoError(t, json.Unmarshal([]byte(g.do("GET", "/openapi.json", "").body), &d))
		security := func(path, method string) (list []map[string][]string) {
			var operation struct{ Security *[]map[string][]string }
			require.NoError(t, json.Unmarshal(d.Paths[path][method], &operation))
			return *operation.Security
		}
		need := func(scopes ...string) []map[string][]string {
			if scopes == nil {
				scopes = []string{}
			}
			if !required {
				return []map[string][]string{{}, {"token": scopes}}
			}
			return []map[string][]string{{"token": scopes}}
		}
		require.Equal(t, need("user:read"), security("/v1/user/{id}", "get"))
		require.Equal(t, need("user:write"), security("/v1/user/{id}", "put"))
		require.Equal(t, need("user:write"), security("/v1/user/{id}/increment", "post"))
		require.Equal(t, need(), security("/v1/batch", "post"))
		require.Empty(t, security("/healthz", "get"))
		for _, c := range []struct{ header, body string }{{"", `{"name":"a"}`}, {header, `{"name":"a"}`},
			{header + "x", `{"name":"a"}`}} {
			headers := []string{}
			if c.header != "" {
				headers = append(headers, c.header)
			}
			a := g.do("PUT", "/v1/user/1", c.body, headers...)
			request := a.Request.Clone(t.Context())
			request.Body = io.NopCloser(strings.NewReader(c.body))
			a.Body = io.NopCloser(bytes.NewReader([]byte(a.body)))
			_, errs := v.ValidateHttpResponse(request, a.Response)
			require.Empty(t, errs, "%d", a.StatusCode)
		}
	}
}

// A token that may only write reads nothing by its writes: an increment by 0 tells no value.
func TestAWriterReadsNothing(t *testing.T) {
	t.Parallel()
	g := setupTokens(t, true)
	writer, both := g.token("writer", "user:write"), g.token("both", "user:read,write")
	g.do("PUT", "/v1/user/1", `{"name":"a","login_count":41}`, writer).want(t, 202)
	const batch = `[{"op":"increment","entity":"user","id":"1","fields":{"login_count":0}}]`
	for header, reads := range map[string]bool{writer: false, both: true} {
		a := g.do("POST", "/v1/user/1/increment", `{"login_count":0}`, header).want(t, 202)
		require.Equal(t, reads, strings.Contains(a.body, `"login_count":41`), a.body)
		a = g.do("POST", "/v1/batch", batch, header).want(t, 200)
		require.Equal(t, reads, strings.Contains(a.body, `"login_count":41`), a.body)
	}
}

// TestATokenLeavesRoomForTheKeysOfOthers: one token may use half of the Idempotency-Keys that a partition keeps, by
// whatever route.
func TestATokenLeavesRoomForTheKeysOfOthers(t *testing.T) {
	t.Parallel()
	g := setupTokens(t, true, func(b *bundle, _ *api.Config) { b.keys = 4 })
	greedy, other := g.token("greedy", "user:write"), g.token("other", "user:write")
	const body = `{"name":"a","email":"a@b.c"}`
	put := func(who, key string) answer {
		return g.do("PUT", "/v1/user/a", body, who, "Idempotency-Key: "+key)
	}
	put(greedy, "1").want(t, 202)
	put(greedy, "2").want(t, 202)
	put(greedy, "3").problem(t, 503, "idempotency-keys-full")
	inBatch := g.do("POST", "/v1/batch", `{"op":"put","entity":"user","id":"a","fields":`+body+
		`,"idempotency_key":"4"}`, greedy)
	require.Contains(t, inBatch.body, "idempotency-keys-full")
	put(other, "3").want(t, 202)
	require.Equal(t, "true", put(greedy, "2").want(t, 202).Header.Get("Idempotency-Replayed"), "what is kept is honoured")
}
