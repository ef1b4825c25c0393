package main

import (
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/internal/testkit"
	"github.com/afterwrite/afterwrite/internal/token"
)

// exposed is a deployment whose API listens on every address.
func exposed(t *testing.T, url string) *deployment {
	t.Helper()
	d := deploy(t, url)
	_, port, err := net.SplitHostPort(d.api)
	require.NoError(t, err)
	d.env = append(d.env, "AFTERWRITE_API_ADDR=0.0.0.0:"+port, "AFTERWRITE_API_PPROF=true")
	d.ok("migrate")
	return d
}

// as makes a request with a token, "" for none.
func (d *deployment) as(text, method, path, body string) (int, string) {
	d.t.Helper()
	r, err := http.NewRequestWithContext(d.t.Context(), method, "http://"+d.api+path, strings.NewReader(body))
	require.NoError(d.t, err)
	r.Header.Set("Content-Type", "application/json")
	if text != "" {
		r.Header.Set("Authorization", "Bearer "+text)
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0, err.Error()
	}
	defer answer.Body.Close()
	answered, err := io.ReadAll(answer.Body)
	require.NoError(d.t, err)
	return answer.StatusCode, string(answered)
}

// becomes waits until a request is answered with a code.
func (d *deployment) becomes(code int, text, method, path, body string) {
	d.t.Helper()
	testkit.Eventually(d.t, method+" "+path+" is answered as it should be", func() bool {
		got, _ := d.as(text, method, path, body)
		return got == code
	})
}

// TestTokenWalk makes a token, uses it on an API that other machines reach, and revokes
// it, on both databases.
func TestTokenWalk(t *testing.T) {
	t.Parallel()
	testkit.Databases(t, func(t *testing.T, url string) {
		t.Parallel()
		d := exposed(t, url)
		s := d.start("api")
		s.says("every request needs a token")
		s.says("afterwrite token new")
		d.becomes(200, "", "GET", "/readyz", "")
		for _, path := range []string{"/v1/user/ada", "/metrics", "/v1/admin/dead", "/debug/pprof/"} {
			code, body := d.as("", "GET", path, "")
			require.Equal(t, 401, code, "%s: %s", path, body)
		}
		for _, path := range []string{"/healthz", "/readyz", "/openapi.json"} {
			code, _ := d.as("", "GET", path, "")
			require.Equal(t, 200, code, path)
		}

		made := d.run("", "token", "new", "shop", "--scope", "user:read,write", "--expires", "90d")
		require.Equal(t, 0, made.code, made.err)
		text := strings.TrimSpace(made.out)
		_, err := token.Parse(text)
		require.NoError(t, err, "the token is alone on standard output: %q", made.out)
		require.Contains(t, made.err, "user:read,write")
		ops := d.json(d.ok("token", "new", "ops", "--admin", "--json"))
		require.Equal(t, []any{"*:admin"}, ops["scopes"])
		admin := ops["token"].(string)

		d.becomes(202, text, "PUT", "/v1/user/ada", `{"name":"Ada"}`)
		code, body := d.as(text, "GET", "/v1/item/1", "")
		require.Equal(t, 403, code)
		require.Contains(t, body, "item:read")
		d.becomes(200, admin, "GET", "/v1/admin/dead", "")
		d.becomes(200, admin, "GET", "/debug/pprof/", "")
		code, _ = d.as(text, "GET", "/debug/pprof/", "")
		require.Equal(t, 403, code)
		code, _ = d.as(text, "GET", "/metrics", "")
		require.Equal(t, 200, code)

		taken := d.run("", "token", "new", "shop")
		require.Equal(t, exitFailure, taken.code)
		require.Contains(t, taken.err, "afterwrite token revoke shop")
		listed := d.ok("token", "list")
		require.Contains(t, listed, "shop")
		require.NotContains(t, listed+s.text(), text[len(token.Prefix):])

		require.Contains(t, d.ok("token", "revoke", "shop"), "revoked shop")
		began := time.Now()
		d.becomes(401, text, "GET", "/v1/user/ada", "")
		require.Less(t, time.Since(began), token.RevokedWithin)
		require.NotContains(t, d.ok("token", "list"), "shop")
		require.Contains(t, d.ok("token", "list", "--all"), "revoked")
		require.Equal(t, exitFailure, d.run("", "token", "revoke", "shop").code)
		require.Equal(t, 0, s.stop())
	})
}

// TestTokensOnLoopback: nobody needs one there, even if there are some, unless the
// configuration says so.
func TestTokensOnLoopback(t *testing.T) {
	t.Parallel()
	d := deploy(t, testkit.SQLite(t))
	d.ok("migrate")
	text := strings.TrimSpace(d.ok("token", "new", "reader", "--scope", "*:read"))
	open := d.start("api")
	d.becomes(202, "", "PUT", "/v1/user/ada", `{"name":"Ada"}`)
	d.becomes(403, text, "PUT", "/v1/user/ada", `{"name":"Ada"}`)
	require.NotContains(t, open.text(), "needs a token")
	require.Equal(t, 0, open.stop())

	d.env = append(d.env, "AFTERWRITE_API_REQUIRE_TOKENS=true")
	d.start("api")
	d.becomes(200, text, "GET", "/v1/user/ada", "")
	code, _ := d.as("", "GET", "/v1/user/ada", "")
	require.Equal(t, 401, code)
}

// TestInsecureAPI: something in front asks, so its credentials are left alone.
func TestInsecureAPI(t *testing.T) {
	t.Parallel()
	d := exposed(t, testkit.SQLite(t))
	d.env = append(d.env, "AFTERWRITE_API_INSECURE=true")
	d.start("api")
	d.becomes(202, "", "PUT", "/v1/user/ada", `{"name":"Ada"}`)
	code, _ := d.as("eyJhbGciOi", "GET", "/v1/user/ada", "")
	require.Equal(t, 200, code)

	d.env = append(d.env, "AFTERWRITE_API_REQUIRE_TOKENS=true")
	r := d.run("", "api")
	require.Equal(t, exitUsage, r.code)
	require.Contains(t, r.err, "contradicts api.insecure")
}

// TestTokensOutliveTheDatabase: an API that knows its tokens goes on without the database.
func TestTokensOutliveTheDatabase(t *testing.T) {
	t.Parallel()
	server := testkit.DedicatedPostgres(t, false)
	d := exposed(t, server.Database(t))
	text := strings.TrimSpace(d.ok("token", "new", "shop", "--scope", "user:read,write"))
	s := d.start("api")
	d.becomes(202, text, "PUT", "/v1/user/ada", `{"name":"Ada"}`)
	server.Stop()
	s.says("tokens not read")
	d.becomes(202, text, "PUT", "/v1/user/ada", `{"name":"Ada Lovelace"}`)
	code, _ := d.as("", "GET", "/v1/user/ada", "")
	require.Equal(t, 401, code)
	server.Start()
	s.says("tokens are read again")
}
