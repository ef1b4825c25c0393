package main

import (
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/internal/testkit"
)

// A dashboard that other machines reach makes a log-in at its first start, prints the
// password once, and keeps it through restarts.
func TestDashboardFirstLogin(t *testing.T) {
	t.Parallel()
	d := deploy(t, testkit.SQLite(t))
	d.ok("migrate")
	pages := testkit.FreeAddr(t)
	_, port, _ := strings.Cut(pages, ":")
	d.env = append(d.env, "AFTERWRITE_DASHBOARD_ADDR=0.0.0.0:"+port)
	require.Equal(t, exitUsage, d.run("", "dashboard").code, "it does not start without a log-in")
	first := d.start("dashboard", "--first-login", "login")
	first.says("dashboard listens")
	found := regexp.MustCompile(`as admin with the password (\w{20,})`).FindStringSubmatch(first.text())
	require.NotNil(t, found, first.text())
	info, err := os.Stat(filepath.Join(d.dir, "login"))
	require.NoError(t, err)
	require.EqualValues(t, 0o600, info.Mode().Perm())
	require.NotContains(t, d.read("login"), found[1])
	require.Equal(t, exitOK, first.stop())

	again := d.start("dashboard", "--first-login", "login")
	again.says("dashboard listens")
	require.NotContains(t, again.text(), "password")
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+pages+"/login",
		strings.NewReader("name=admin&password="+found[1]))
	require.NoError(t, err)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	answer, err := http.DefaultTransport.RoundTrip(r)
	require.NoError(t, err)
	defer answer.Body.Close()
	require.Equal(t, http.StatusSeeOther, answer.StatusCode)
}

// migrate waits for a database that is late, says so, and gives up in the time it was given.
func TestMigrateWaitsForTheDatabase(t *testing.T) {
	t.Parallel()
	d := deploy(t, "postgres://nobody@"+testkit.FreeAddr(t)+"/none?sslmode=disable")
	r := d.run("", "migrate", "--wait", "2s")
	require.Equal(t, exitFailure, r.code)
	require.Contains(t, r.err, "waiting for the database")
	require.Regexp(t, `waited \d+s for the database`, r.err)
	require.Contains(t, d.run("", "migrate", "--help").out, "--wait")
}

// healthcheck asks the process that it names, at its own address.
func TestHealthcheck(t *testing.T) {
	t.Parallel()
	d := deploy(t, testkit.SQLite(t))
	require.Equal(t, exitFailure, d.run("", "healthcheck").code)
	_, worker := d.serve()
	d.ok("healthcheck")
	d.ok("healthcheck", "worker")
	d.ok("healthcheck", "api", "--live")
	require.Equal(t, exitFailure, d.run("", "healthcheck", "dashboard").code)
	require.Equal(t, exitUsage, d.run("", "healthcheck", "queue").code)
	require.Equal(t, exitOK, worker.stop())
	require.Equal(t, exitFailure, d.run("", "healthcheck", "worker").code)
	require.Equal(t, "127.0.0.1:80", nearby("0.0.0.0:80"))
	require.Equal(t, "[::1]:80", nearby("[::]:80"))
	require.Equal(t, "127.0.0.1:80", nearby(":80"))
	require.Equal(t, "10.0.0.1:80", nearby("10.0.0.1:80"))
}

// plan prints what the page says, reads nothing and connects to nothing.
func TestPlan(t *testing.T) {
	t.Parallel()
	d := deploy(t, testkit.SQLite(t))
	out := d.ok("plan", "--writes", "5000/s", "--hot", "20%", "--size", "400", "--entities", "12")
	require.Regexp(t, `rows persisted +4000 rows/s +computed`, out)
	require.Regexp(t, `Redis maxmemory +\d+\.\d [MG]iB a primary +computed`, out)
	require.Regexp(t, `workers +2 +measured`, out)
	for _, args := range [][]string{{}, {"--writes", "many"}, {"--writes", "5", "--hot", "100%"},
		{"--writes", "5", "--database", "oracle"}} {
		r := d.run("", append([]string{"plan"}, args...)...)
		require.Equal(t, exitUsage, r.code, "%v: %s", args, r.err)
	}
}
