package deploy_test

import (
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/stretchr/testify/require"
)

// rules are the parts of prometheus/rules.yaml that the tests look at.
type rules struct {
	Groups []struct {
		Rules []struct {
			Alert       string            `yaml:"alert"`
			Expr        string            `yaml:"expr"`
			Labels      map[string]string `yaml:"labels"`
			Annotations map[string]string `yaml:"annotations"`
		} `yaml:"rules"`
	} `yaml:"groups"`
}

func alertRules(t *testing.T) rules {
	t.Helper()
	var r rules
	require.NoError(t, yaml.Unmarshal([]byte(read(t, "prometheus/rules.yaml")), &r))
	require.NotEmpty(t, r.Groups)
	return r
}

// promtool runs Prometheus's own checker, which `make test` installs.
func promtool(t *testing.T, args ...string) {
	t.Helper()
	_, err := exec.LookPath("promtool")
	require.NoError(t, err, "promtool is not installed: scripts/deps.sh prometheus")
	c := exec.CommandContext(t.Context(), "promtool", args...)
	c.Dir = "prometheus"
	out, err := c.CombinedOutput()
	require.NoError(t, err, "promtool %s:\n%s", strings.Join(args, " "), out)
}

func TestAlertsFireAndDoNotFire(t *testing.T) {
	t.Parallel()
	promtool(t, "check", "rules", "rules.yaml")
	promtool(t, "check", "config", "prometheus.yaml")
	promtool(t, "test", "rules", "rules_test.yaml")
}

// TestEveryAlertIsTestedBothWays: rules_test.yaml has a state in which each alert fires,
// and one in which it does not.
func TestEveryAlertIsTestedBothWays(t *testing.T) {
	t.Parallel()
	var tests struct {
		Tests []struct {
			Rules []struct {
				Alert    string `yaml:"alertname"`
				Expected []any  `yaml:"exp_alerts"`
			} `yaml:"alert_rule_test"`
		} `yaml:"tests"`
	}
	require.NoError(t, yaml.Unmarshal([]byte(read(t, "prometheus/rules_test.yaml")), &tests))
	fires, silent := map[string]bool{}, map[string]bool{}
	for _, test := range tests.Tests {
		for _, r := range test.Rules {
			if len(r.Expected) > 0 {
				fires[r.Alert] = true
			} else {
				silent[r.Alert] = true
			}
		}
	}
	for _, g := range alertRules(t).Groups {
		for _, r := range g.Rules {
			if r.Alert != "" {
				require.True(t, fires[r.Alert], "no test fires %s", r.Alert)
				require.True(t, silent[r.Alert], "no test keeps %s silent", r.Alert)
			}
		}
	}
}

// TestAlertsNameMetricsAndRunbookSections: each metric is exported, each link leads to a section of the runbook that
// names the alert, each alert says how urgent it is.
func TestAlertsNameMetricsAndRunbookSections(t *testing.T) {
	t.Parallel()
	sections := sections(read(t, "RUNBOOK.md"))
	source := reference(t)
	for _, g := range alertRules(t).Groups {
		for _, r := range g.Rules {
			for _, name := range regexp.MustCompile(`\bafterwrite_[a-z_]+`).FindAllString(r.Expr, -1) {
				requireExported(t, source, regexp.MustCompile(`_(bucket|count|sum)$`).ReplaceAllString(name, ""))
			}
			if r.Alert == "" {
				continue
			}
			require.Contains(t, []string{"page", "ticket"}, r.Labels["severity"], r.Alert)
			require.NotEmpty(t, r.Annotations["summary"], r.Alert)
			_, anchor, ok := strings.Cut(r.Annotations["runbook_url"], "deploy/RUNBOOK.md#")
			require.True(t, ok, r.Alert)
			require.Contains(t, sections, anchor, r.Alert)
			require.Contains(t, sections[anchor], "`"+r.Alert+"`", "the section of the runbook does not name its alert")
		}
	}
}

// sections are the texts between a heading of a page and the next one, by the anchor of the heading.
func sections(page string) map[string]string {
	heading := regexp.MustCompile(`(?m)^#+ (.*)$`)
	found := map[string]string{}
	at := heading.FindAllStringSubmatchIndex(page, -1)
	for i, m := range at {
		end := len(page)
		if i+1 < len(at) {
			end = at[i+1][0]
		}
		name := regexp.MustCompile(`[^\w -]`).ReplaceAllString(strings.ToLower(page[m[2]:m[3]]), "")
		found[strings.ReplaceAll(name, " ", "-")] = page[m[1]:end]
	}
	return found
}

// TestEveryMetricHasAPanelOrAReason: docs/METRICS.md names the metrics that no dashboard draws, and why; what they draw
// is exported.
func TestEveryMetricHasAPanelOrAReason(t *testing.T) {
	t.Parallel()
	reasons, table, ok := strings.Cut(read(t, "../docs/METRICS.md"), "## Reference")
	require.True(t, ok)
	_, reasons, ok = strings.Cut(reasons, "## Without a panel")
	require.True(t, ok)
	drawn := map[string]bool{}
	files, err := filepath.Glob("grafana/*.json")
	require.NoError(t, err)
	for _, file := range files {
		for _, name := range regexp.MustCompile(`\b(?:afterwrite|go_sql)_[a-z0-9_]+`).FindAllString(read(t, file), -1) {
			drawn[regexp.MustCompile(`_(bucket|count|sum)$`).ReplaceAllString(name, "")] = true
		}
	}
	metrics := regexp.MustCompile("(?m)^\\| `([a-z0-9_]+)` \\|").FindAllStringSubmatch(table, -1)
	require.Greater(t, len(metrics), 50)
	for name := range drawn {
		requireExported(t, table, name) // else its panel is as empty as in a quiet system
	}
	for _, m := range metrics {
		excused := strings.Contains(reasons, "`"+m[1]+"`")
		require.True(t, drawn[m[1]] != excused, "%s: drawn %t, excused %t", m[1], drawn[m[1]], excused)
	}
}
