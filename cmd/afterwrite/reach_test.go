package main

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/internal/testkit"
)

// reach makes a request under a Host, with headers "Name: value".
func (d *deployment) reach(method, addr, path, host string, headers ...string) (int, string) {
	d.t.Helper()
	r, err := http.NewRequestWithContext(d.t.Context(), method, "http://"+addr+path, strings.NewReader(`{"name":"x"}`))
	require.NoError(d.t, err)
	r.Header.Set("Content-Type", "application/json")
	r.Host = host
	for _, line := range headers {
		name, value, _ := strings.Cut(line, ": ")
		r.Header.Set(name, value)
	}
	client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	answer, err := client.Do(r)
	require.NoError(d.t, err)
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	require.NoError(d.t, err)
	return answer.StatusCode, string(body)
}

// TestRebinding: what listens on loopback and asks for no credentials answers under this
// machine's names and the configured ones alone, whatever the route; a request that a proxy
// has passed on is not this machine's.
func TestRebinding(t *testing.T) {
	t.Parallel()
	d := deploy(t, testkit.SQLite(t))
	dashboard := testkit.FreeAddr(t)
	d.env = append(d.env, "AFTERWRITE_DASHBOARD_ADDR="+dashboard, "AFTERWRITE_API_PPROF=true",
		"AFTERWRITE_WORKER_PPROF=true",
		"AFTERWRITE_API_HOSTS=api.internal",
		"AFTERWRITE_WORKER_HOSTS=worker.internal", "AFTERWRITE_DASHBOARD_HOSTS=dash.internal")
	d.ok("migrate")
	d.serve()
	d.start("dashboard")
	testkit.Eventually(t, "the dashboard answers", func() bool {
		code, _ := d.call("GET", dashboard, "/", "")
		return code == 200
	})
	code, _ := d.reach("PUT", d.api, "/v1/user/ada", "localhost")
	require.Equal(t, 202, code)
	for _, s := range []struct {
		addr, own string
		paths     []string
		open      []string // health, which any name may read
		local     []string // which a proxy may not pass on
	}{
		{d.api, "api.internal", []string{"GET /v1/user/ada", "GET /v1/user", "PUT /v1/user/ada", "DELETE /v1/user/ada",
			"POST /v1/batch", "GET /v1/events",
			"GET /metrics", "GET /openapi.json", "GET /v1/admin/dead", "POST /v1/admin/flush", "GET /debug/pprof/",
			"GET /none"},
			[]string{"/healthz", "/readyz"}, []string{"GET /v1/admin/dead", "GET /v1/admin/stats",
				"POST /v1/admin/invalidate", "GET /debug/pprof/"}},
		{d.worker, "worker.internal", []string{"GET /metrics", "GET /debug/pprof/", "GET /debug/pprof/heap",
			"GET /none"},
			[]string{"/healthz", "/readyz"}, []string{"GET /debug/pprof/"}},
		{dashboard, "dash.internal", []string{"GET /", "GET /refused", "POST /refused/act", "GET /record",
			"GET /export/entities"},
			[]string{"/healthz"}, []string{"GET /", "GET /refused", "POST /refused/act"}},
	} {
		for _, route := range s.paths {
			method, path, _ := strings.Cut(route, " ")
			for _, host := range []string{"evil.example", "evil.example:8080", "127.0.0.1.evil.example", "0.0.0.0",
				"localhost.evil.example", "wiki:8080"} {
				code, body := d.reach(method, s.addr, path, host)
				require.Equal(t, 403, code, "%s under %s: %s", route, host, body)
			}
		}
		for _, path := range s.open {
			code, _ := d.reach("GET", s.addr, path, "evil.example")
			require.Equal(t, 200, code, path)
		}
		for _, route := range s.local {
			method, path, _ := strings.Cut(route, " ")
			for _, header := range []string{"X-Forwarded-For: 203.0.113.7", "Forwarded: for=203.0.113.7",
				"Via: 1.1 proxy", "X-Real-IP: 203.0.113.7"} {
				code, body := d.reach(method, s.addr, path, "127.0.0.1", header)
				require.Equal(t, 403, code, "%s with %s: %s", route, header, body)
			}
		}
		for _, host := range []string{s.own, s.own + ":80", "localhost", "127.0.0.1", "[::1]:1"} {
			method, path, _ := strings.Cut(s.local[0], " ")
			code, body := d.reach(method, s.addr, path, host)
			require.Equal(t, 200, code, "%s under %s: %s", path, host, body)
		}
	}
	code, body := d.reach("GET", d.api, "/v1/user/ada", "localhost")
	require.Equal(t, 200, code, body)
	code, body = d.reach("GET", d.api, "/v1/user/ada", "upstream_of_nginx")
	require.Equal(t, 200, code, body)
	code, _ = d.reach("GET", d.api, "/v1/admin/dead", "upstream_of_nginx")
	require.Equal(t, 403, code)
}

// TestWorkerProfilesAskForAToken: beyond loopback they show memory, and with it records.
func TestWorkerProfilesAskForAToken(t *testing.T) {
	t.Parallel()
	d := deploy(t, testkit.SQLite(t))
	_, port, _ := strings.Cut(d.worker, ":")
	d.env = append(d.env, "AFTERWRITE_WORKER_PPROF=true", "AFTERWRITE_WORKER_ADDR=0.0.0.0:"+port)
	d.ok("migrate")
	admin := d.json(d.ok("token", "new", "ops", "--admin", "--json"))["token"].(string)
	reader := d.json(d.ok("token", "new", "reader", "--scope", "*:read,write", "--json"))["token"].(string)
	d.start("worker")
	d.ready(d.worker)
	for _, path := range []string{"/debug/pprof/", "/debug/pprof/heap", "/debug/pprof/cmdline"} {
		code, _ := d.reach("GET", d.worker, path, "worker")
		require.Equal(t, 401, code, path)
		code, _ = d.reach("GET", d.worker, path, "worker", "Authorization: Bearer "+reader)
		require.Equal(t, 403, code, path)
	}
	testkit.Eventually(t, "the worker knows the token", func() bool {
		code, _ := d.reach("GET", d.worker, "/debug/pprof/", "worker", "Authorization: Bearer "+admin)
		return code == 200
	})
	code, _ := d.reach("GET", d.worker, "/metrics", "worker")
	require.Equal(t, 200, code)
}

// TestTheAuditNamesTheClient: not the proxy that has passed its request on.
func TestTheAuditNamesTheClient(t *testing.T) {
	t.Parallel()
	d := deploy(t, testkit.SQLite(t))
	d.env = append(d.env, "AFTERWRITE_API_TRUSTED_PROXIES=127.0.0.1", "AFTERWRITE_API_REQUIRE_TOKENS=true")
	d.ok("migrate")
	admin := d.json(d.ok("token", "new", "ops", "--admin", "--json"))["token"].(string)
	d.start("api")
	d.ready(d.api)
	testkit.Eventually(t, "the API knows the token", func() bool {
		code, _ := d.as(admin, "GET", "/v1/admin/stats", "")
		return code == 200
	})
	proxy := testkit.HAProxy(t, strings.NewReplacer("API", d.api).Replace(`
defaults
	mode http
	timeout connect 5s
	timeout client 10s
	timeout server 10s
	option forwardfor
listen api
	bind $LISTEN
	server api API
`))
	for _, at := range []string{d.api, strings.TrimPrefix(proxy.URL, "http://")} {
		r, err := http.NewRequest("POST", "http://"+at+"/v1/admin/invalidate",
			strings.NewReader(`{"entity":"user","match":"no*"}`))
		require.NoError(t, err)
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Authorization", "Bearer "+admin)
		r.Header.Set("X-Forwarded-For", "203.0.113.7, 198.51.100.9")
		answer, err := http.DefaultClient.Do(r)
		require.NoError(t, err)
		_ = answer.Body.Close()
		require.Equal(t, 200, answer.StatusCode)
		_, audit := d.as(admin, "GET", "/v1/admin/audit?limit=1", "")
		require.Contains(t, audit, `"origin":"198.51.100.9"`)
	}
}

// TestSettingsThatTrustEverybody are rejected, or said at the start.
func TestSettingsThatTrustEverybody(t *testing.T) {
	t.Parallel()
	d := deploy(t, testkit.SQLite(t))
	d.ok("migrate")
	for _, setting := range []string{"AFTERWRITE_API_TRUSTED_PROXIES=0.0.0.0/0",
		"AFTERWRITE_DASHBOARD_TRUSTED_PROXIES=::/0",
		"AFTERWRITE_API_TRUSTED_PROXIES=0.0.0.0/1,128.0.0.0/1", "AFTERWRITE_API_HOSTS=*",
		"AFTERWRITE_API_HOSTS=api.example.com:8080"} {
		before := d.env
		d.env = append(d.env, setting)
		require.Equal(t, exitUsage, d.run("", "config", "check").code, setting)
		d.env = before
	}
	d.env = append(d.env, "AFTERWRITE_API_CORS=*")
	s := d.start("api")
	s.says("every page in a browser")
	d.ready(d.api)
}
