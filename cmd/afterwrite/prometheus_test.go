package main

import (
	"database/sql"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/internal/testkit"
)

// prometheus is a real one that scrapes a deployment and evaluates the shipped rules.
type prometheus struct {
	*deployment
	addr string
}

// Prometheus takes at most its interval for a scrape, and a process whose Redis hangs takes two seconds to answer one.
func (d *deployment) prometheus(interval string) *prometheus {
	d.t.Helper()
	path, err := exec.LookPath("prometheus")
	require.NoError(d.t, err, "prometheus is not installed: scripts/deps.sh prometheus")
	rules, err := filepath.Abs("../../deploy/prometheus/rules.yaml")
	require.NoError(d.t, err)
	config := d.file("prometheus.yaml", fmt.Sprintf(`
global: {scrape_interval: %s, evaluation_interval: 1s}
rule_files: [%q]
scrape_configs:
  - {job_name: afterwrite-api, static_configs: [{targets: [%q]}]}
  - {job_name: afterwrite-worker, static_configs: [{targets: [%q]}]}
`, interval, rules, d.api, d.worker))
	p := &prometheus{deployment: d, addr: testkit.FreeAddr(d.t)}
	d.startCommand(exec.Command(path, "--config.file", config, "--web.listen-address", p.addr,
		"--storage.tsdb.path", filepath.Join(d.dir, "prometheus")))
	testkit.Eventually(d.t, "Prometheus is ready", func() bool {
		code, _ := d.call(http.MethodGet, p.addr, "/-/ready", "")
		return code == http.StatusOK
	})
	return p
}

// query returns the series of an expression; Prometheus says why a query is wrong.
func (p *prometheus) query(expr string) []map[string]any {
	p.t.Helper()
	_, text := p.call(http.MethodGet, p.addr, "/api/v1/query?query="+url.QueryEscape(expr), "")
	var reply struct {
		Status string `json:"status"`
		Data   struct {
			Result []map[string]any `json:"result"`
		} `json:"data"`
	}
	require.NoError(p.t, json.Unmarshal([]byte(text), &reply), text)
	require.Equal(p.t, "success", reply.Status, "%s\n%s", expr, text)
	return reply.Data.Result
}

// active reports whether the condition of an alert holds, fired or not yet.
func (p *prometheus) active(alert string) bool {
	p.t.Helper()
	return len(p.query(`ALERTS{alertname="`+alert+`"}`)) > 0
}

// panel is a panel of a Grafana dashboard.
type panel struct {
	Title   string         `json:"title"`
	Type    string         `json:"type"`
	GridPos map[string]int `json:"gridPos"`
	Targets []struct {
		Expr         string          `json:"expr"`
		LegendFormat string          `json:"legendFormat"`
		Answer       json.RawMessage `json:"answer,omitempty"` // of Prometheus, see grafana_test.go
	} `json:"targets"`
	FieldConfig json.RawMessage `json:"fieldConfig"`
}

// grafana reads a Grafana dashboard. Its variables are filled in: what rates are over, and the entities.
func grafana(t *testing.T, file, interval, entity string) (title string, panels []panel) {
	t.Helper()
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	var read struct {
		Title  string  `json:"title"`
		Panels []panel `json:"panels"`
	}
	require.NoError(t, json.Unmarshal(text, &read))
	require.NotEmpty(t, read.Panels, file)
	fill := strings.NewReplacer("$__rate_interval", interval, "$entity", entity)
	for _, p := range read.Panels {
		for i := range p.Targets {
			p.Targets[i].Expr = fill.Replace(p.Targets[i].Expr)
		}
	}
	return read.Title, read.Panels
}

// quiet are panels that have no series while nothing is wrong.
var quiet = map[string]bool{
	"Changes by other programs that wait 0": true, "Rate limits per second 0": true, "Memory 1": true, // no maxmemory
	"Dashboard 0": true, "Dashboard 1": true, // none runs
	"Lag 0": true, "Refusals per second 0": true, "Dead letters per second 0": true,
	"Sync tasks deferred per second 0":      true,
	"Isolated and rescheduled per second 0": true, "Isolated and rescheduled per second 1": true,
}

// TestPrometheusAndGrafana runs the shipped rules and every query of the dashboards in a
// real Prometheus, beside real processes, through the death of the worker.
func TestPrometheusAndGrafana(t *testing.T) {
	t.Parallel()
	d := deploy(t, testkit.SQLite(t))
	_, worker := d.serve()
	p := d.prometheus("1s")
	for i := range 3 {
		code, body := d.call("PUT", d.api, fmt.Sprintf("/v1/user/u%d", i), `{"name":"Ada"}`)
		require.Equal(t, http.StatusAccepted, code, body)
		code, body = d.call("GET", d.api, fmt.Sprintf("/v1/user/u%d", i), "")
		require.Equal(t, http.StatusOK, code, body)
	}
	d.ok("flush")
	testkit.Eventually(t, "Prometheus has two scrapes", func() bool {
		return len(p.query(`rate(afterwrite_flush_duration_seconds_count{entity="user"}[1m]) >= 0`)) > 0 &&
			len(p.query(`rate(afterwrite_http_request_duration_seconds_count{code="202"}[1m]) >= 0`)) > 0
	})
	files, err := filepath.Glob("../../deploy/grafana/*.json")
	require.NoError(t, err)
	require.Len(t, files, 4)
	for _, file := range files {
		_, panels := grafana(t, file, "1m", ".*")
		for _, panel := range panels {
			for i, target := range panel.Targets {
				if name := fmt.Sprintf("%s %d", panel.Title, i); !quiet[name] { // a scrape may lack what took too long
					testkit.Eventually(t, filepath.Base(file)+" has series for "+name,
						func() bool { return len(p.query(target.Expr)) > 0 })
				}
			}
		}
	}
	p.becomes(false, "AfterwriteNoWorker")
	p.becomes(false, "AfterwriteStatisticsUnreadable")

	require.NoError(t, worker.cmd.Process.Kill())
	worker.wait()
	testkit.Eventually(t, "the alert of a missing worker is active",
		func() bool { return p.active("AfterwriteNoWorker") })
	testkit.Eventually(t, "the alert of a missing leader is active",
		func() bool { return p.active("AfterwriteNoLeader") })
	d.start("worker")
	testkit.Eventually(t, "the alerts are over", func() bool {
		return !p.active("AfterwriteNoWorker") &&
			!p.active("AfterwriteNoLeader")
	})
}

// becomes waits until an alert is active, or is not.
func (p *prometheus) becomes(active bool, alert string) {
	p.t.Helper()
	testkit.Eventually(p.t, fmt.Sprintf("%s is active: %t", alert, active), func() bool { return p.active(alert) == active })
}

// TestAlertsThroughFaults provokes troubles of real processes and looks for their alerts in a real Prometheus: each is
// active in its trouble and ends with it, and those beside it that would mislead are not.
func TestAlertsThroughFaults(t *testing.T) {
	t.Parallel()
	server := testkit.DedicatedPostgres(t, true)
	url := server.Database(t)
	d := deploy(t, url)
	d.redis = testkit.Redis(t)
	d.env = append(d.env, "AFTERWRITE_REDIS_URL="+d.redis.URL())
	d.serve()
	p := d.prometheus("4s")
	db, err := sql.Open("pgx", url)
	require.NoError(t, err)
	defer db.Close()
	do := func(statement string) {
		t.Helper()
		_, err := db.ExecContext(t.Context(), statement)
		require.NoError(t, err)
	}
	put := func(id, email string) int {
		code, _ := d.call(http.MethodPut, d.api, "/v1/user/"+id, fmt.Sprintf(`{"name":"Ada","email":%q}`, email))
		return code
	}
	set := func(key, value string) {
		t.Helper()
		require.NoError(t, d.redis.Client(t).ConfigSet(t.Context(), key, value).Err())
	}
	require.Equal(t, http.StatusAccepted, put("ada", "ada@x"))
	d.ok("flush")
	testkit.Eventually(t, "Prometheus has scraped both", func() bool { return len(p.query("afterwrite_ledger_readable == 1")) == 2 })

	d.redis.Stop()
	require.Equal(t, http.StatusServiceUnavailable, put("ada", "ada@x"))
	p.becomes(true, "AfterwriteRedisDown")
	p.becomes(true, "AfterwriteAPIErrors") // the first 503 of a process counts
	testkit.Eventually(t, "no worker leads", func() bool { return len(p.query("max(afterwrite_sweeper_leading) == 0")) > 0 })
	require.False(t, p.active("AfterwriteNoLeader"), "Redis is the trouble, not the workers")
	require.False(t, p.active("AfterwriteRedisBreakerOpen"), "a refused connection hangs nobody")
	d.redis.Start()
	p.becomes(false, "AfterwriteRedisDown")

	d.redis.Pause()
	p.becomes(true, "AfterwriteRedisBreakerOpen")
	d.redis.Resume()
	p.becomes(false, "AfterwriteRedisBreakerOpen")

	set("maxmemory-policy", "allkeys-lru")
	p.becomes(true, "AfterwriteRedisUnsafe")
	set("maxmemory-policy", "volatile-lfu")
	p.becomes(false, "AfterwriteRedisUnsafe")

	set("maxmemory", "1mb")
	p.becomes(true, "AfterwriteRedisMemoryHigh")
	p.becomes(true, "AfterwriteNoLeader") // a lease is a write
	set("maxmemory", "0")
	p.becomes(false, "AfterwriteRedisMemoryHigh")
	p.becomes(false, "AfterwriteNoLeader")

	d.ok("pause", "user")
	p.becomes(true, "AfterwriteFlushingPaused")
	d.ok("resume", "user")
	p.becomes(false, "AfterwriteFlushingPaused")

	do("INSERT INTO users (id, name, email) VALUES ('other', 'Bob', 'taken@x')")
	d.ok("retry-policy", "set", "user", "--max-attempts", "1")
	require.Equal(t, http.StatusAccepted, put("thief", "taken@x"))
	p.becomes(true, "AfterwriteDeadLetters")
	do("DELETE FROM users WHERE id = 'other'")
	d.ok("dead", "retry", "--all", "--yes")
	p.becomes(false, "AfterwriteDeadLetters")

	do("ALTER TABLE users DROP COLUMN email")
	require.Equal(t, http.StatusAccepted, put("ada", "ada@y"))
	p.becomes(true, "AfterwriteTableTrouble")
	d.ok("migrate")
	p.becomes(false, "AfterwriteTableTrouble")

	server.Stop()
	require.Equal(t, http.StatusAccepted, put("ada", "ada@z"))
	p.becomes(true, "AfterwriteDatabaseBreakerOpen")
	server.Start()
	p.becomes(false, "AfterwriteDatabaseBreakerOpen")
	d.ok("flush")

	require.NoError(t, d.redis.Client(t).FlushAll(t.Context()).Err())
	p.becomes(true, "AfterwriteLossUnacknowledged")
	d.ok("acknowledge", "--reason", "emptied by the test", "--yes")
	p.becomes(false, "AfterwriteLossUnacknowledged")
	require.Contains(t, d.ok("fsck"), "agree")
}
