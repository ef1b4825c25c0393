package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/internal/process"
	"github.com/afterwrite/afterwrite/internal/testkit"
)

const metricsPage = "../../docs/METRICS.md"

// TestMetricsReference holds docs/METRICS.md to the metrics that processes register. After
// a change of a metric:
//
//	go test ./cmd/afterwrite -run TestMetricsReference -update
func TestMetricsReference(t *testing.T) {
	all, err := process.Metrics()
	require.NoError(t, err)
	text, err := os.ReadFile(metricsPage)
	require.NoError(t, err)
	intro, _, _ := strings.Cut(string(text), "| name |")
	var b bytes.Buffer
	b.WriteString(intro + "| name | type | labels | in | meaning |\n|---|---|---|---|---|\n")
	for _, m := range all {
		labels := ""
		if len(m.Labels) > 0 {
			labels = "`" + strings.Join(m.Labels, "` `") + "`"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s |\n", m.Name, m.Type, labels, strings.Join(m.In, " "), m.Help)
	}
	if *update {
		require.NoError(t, os.WriteFile(metricsPage, b.Bytes(), 0o644))
		return
	}
	require.True(t, b.String() == string(text),
		"docs/METRICS.md is not what processes export: run this test with -update")
}

// scraped is what an address exports: types by name, and the series.
type scraped struct {
	types  map[string]string
	series []string
}

func (d *deployment) scrape(addr string) scraped {
	d.t.Helper()
	code, text := d.call(http.MethodGet, addr, "/metrics", "")
	require.Equal(d.t, http.StatusOK, code, text)
	s := scraped{types: map[string]string{}}
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		switch {
		case len(words) == 4 && words[1] == "TYPE":
			s.types[words[2]] = words[3]
		case words[0] != "#":
			s.series = append(s.series, strings.TrimSpace(line))
		}
	}
	return s
}

// value is the value of the first series whose name and labels match.
func (s scraped) value(series string) string {
	form := regexp.MustCompile("^(?:" + series + `) (\S+)$`)
	for _, line := range s.series {
		if found := form.FindStringSubmatch(line); found != nil {
			return found[1]
		}
	}
	return ""
}

// unbegun are metrics of an entity that have no series until there is something to show.
var unbegun = map[string]bool{
	"afterwrite_oldest_pending_timestamp_seconds": true, "afterwrite_next_attempt_timestamp_seconds": true,
	"afterwrite_retry_policy_version": true, "afterwrite_oldest_change_timestamp_seconds": true,
}

// TestMetricsAsReferenced: three real processes export what `afterwrite metrics` prints,
// the dashboard on a port of its own; every series of an entity is there before its first
// write, so that a rate misses no event.
func TestMetricsAsReferenced(t *testing.T) {
	t.Parallel()
	option, addr, ca := testkit.TLS(t)
	d := deploy(t, testkit.SQLite(t))
	d.redis = testkit.Redis(t, option)
	front, pages := testkit.FreeAddr(t), testkit.FreeAddr(t)
	d.env = append(d.env, "AFTERWRITE_REDIS_URL=rediss://"+addr+"?ca="+ca, "AFTERWRITE_API_METRICS_ADDR="+front,
		"AFTERWRITE_DASHBOARD_METRICS_ADDR="+pages, "AFTERWRITE_API_RATE_LIMIT_LIMIT=1000000")
	d.serve()
	d.ok("token", "new", "shop", "--expires", "12h")
	d.start("dashboard")
	testkit.Eventually(t, "the dashboard exports metrics", func() bool {
		code, _ := d.call(http.MethodGet, pages, "/metrics", "")
		return code == http.StatusOK
	})
	var reference []process.Metric
	require.NoError(t, json.Unmarshal([]byte(d.ok("metrics", "--json")), &reference))
	processes := map[string]string{"api": front, "worker": d.worker, "dashboard": pages}
	for kind, addr := range processes {
		_, body := d.call(http.MethodGet, addr, "/metrics", "")
		lint := exec.CommandContext(t.Context(), "promtool", "check", "metrics")
		lint.Stdin = strings.NewReader(body)
		out, err := lint.CombinedOutput()
		require.NoError(t, err, "promtool finds in the names and units of the %s: %s", kind, out)
	}
	for _, m := range reference {
		for _, kind := range m.In {
			s := d.scrape(processes[kind])
			for _, entity := range []string{"user", "item"} {
				// it serves no entity
				if len(m.Labels) > 0 && m.Labels[0] == "entity" && !unbegun[m.Name] && kind != "dashboard" {
					require.NotEmpty(t, s.value(m.Name+`(?:_count)?\{.*entity="`+entity+`".*\}`), "%s of %s in %s",
						m.Name, entity, kind)
				}
			}
		}
	}
	code, body := d.call(http.MethodPut, d.api, "/v1/user/ada", `{"name":"Ada"}`)
	require.Equal(t, http.StatusAccepted, code, body)
	d.ok("flush")
	for kind, at := range processes {
		for name, what := range d.scrape(at).types {
			if strings.HasPrefix(name, "afterwrite_") {
				require.Contains(t, reference, find(t, reference, name, what, kind), name)
			}
		}
	}
	testkit.Eventually(t, "the API knows the token", func() bool {
		return d.scrape(d.api).value(`afterwrite_token_expiry_timestamp_seconds\{name="shop"\}`) != ""
	})
	s := d.scrape(front)
	require.Equal(t, "1", s.value(`afterwrite_live_workers`))
	require.NotEmpty(t, s.value(`afterwrite_certificate_expiry_timestamp_seconds\{server="redis"\}`))
	require.Equal(t, "0", s.value(`afterwrite_redis_unsafe\{node=".*",reason="eviction_policy"\}`))
	require.NotEmpty(t, s.value(`afterwrite_queue_tasks\{queue="default",state="pending"\}`))
	require.NotEqual(t, "0", d.scrape(d.worker).value(`afterwrite_last_flush_timestamp_seconds\{entity="user"\}`))
	require.NoError(t, d.redis.Client(t).ConfigSet(t.Context(), "maxmemory-policy", "allkeys-lru").Err())
	require.Equal(t, "1", d.scrape(front).value(`afterwrite_redis_unsafe\{node=".*",reason="eviction_policy"\}`))
}

func find(t *testing.T, reference []process.Metric, name, what, kind string) process.Metric {
	t.Helper()
	for _, m := range reference {
		if m.Name == name {
			require.Equal(t, m.Type, what, name)
			require.Contains(t, m.In, kind, name)
			return m
		}
	}
	t.Fatalf("%s of %s is not in the reference", name, kind)
	return process.Metric{}
}

// The level of the log comes from the environment, and a flush is logged at debug.
func TestLogLevelByEnvironment(t *testing.T) {
	t.Parallel()
	d := deploy(t, testkit.SQLite(t))
	d.env = append(d.env, "AFTERWRITE_LOG_LEVEL=debug")
	_, worker := d.serve()
	code, body := d.call(http.MethodPut, d.api, "/v1/user/ada", `{"name":"Ada"}`)
	require.Equal(t, http.StatusAccepted, code, body)
	worker.says(`"level":"DEBUG","msg":"flushed"`)
	d.env[len(d.env)-1] = "AFTERWRITE_LOG_LEVEL=loud"
	r := d.run("", "version")
	require.Equal(t, exitUsage, r.code)
	require.Contains(t, r.err, "AFTERWRITE_LOG_LEVEL")
}
