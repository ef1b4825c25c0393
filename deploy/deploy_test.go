// Package deploy_test keeps the files of a deployment true to the program: settings
// that exist, ports that stay private, a redis.conf that a server takes.
package deploy_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/internal/config"
	"github.com/afterwrite/afterwrite/internal/testkit"
)

func TestRedisConf(t *testing.T) {
	t.Parallel()
	file, err := filepath.Abs("redis.conf")
	require.NoError(t, err)
	// The file comes last, so what the server says is what the file says.
	c := testkit.Redis(t, testkit.NoAOF(), testkit.MaxMemoryPolicy("noeviction"),
		testkit.Set("hash-max-listpack-value", "64"), testkit.Set("include", file)).Client(t)
	for key, want := range map[string]string{
		"appendonly": "yes", "appendfsync": "everysec", "save": "", "maxmemory": "1073741824",
		"maxmemory-policy": "volatile-lfu", "hash-max-listpack-value": "1024", "bind": "127.0.0.1 -::1",
	} {
		require.Equal(t, want, c.ConfigGet(t.Context(), key).Val()[key], key)
	}
	require.ErrorContains(t, c.FlushAll(t.Context()).Err(), "unknown command")
}

// TestRedisConfGivesReasons: no setting stands without a comment above it.
func TestRedisConfGivesReasons(t *testing.T) {
	t.Parallel()
	for paragraph := range strings.SplitSeq(read(t, "redis.conf"), "\n\n") {
		require.True(t, strings.HasPrefix(paragraph, "# "), paragraph)
	}
}

func TestConfigurations(t *testing.T) {
	t.Parallel()
	for _, file := range []string{"afterwrite.yaml", "procfile.yaml"} {
		c, err := config.Load(file, nil)
		require.NoError(t, err)
		require.NotEmpty(t, c.Entities, file)
	}
}

// TestProcfileServesWhatMakeRunServes: both have the same entities.
func TestProcfileServesWhatMakeRunServes(t *testing.T) {
	t.Parallel()
	procfile, err := config.Load("procfile.yaml", nil)
	require.NoError(t, err)
	run, err := config.LoadBuiltin(nil)
	require.NoError(t, err)
	require.Equal(t, run.Entities, procfile.Entities)
	require.Equal(t, run.API.Addr, procfile.API.Addr)
	require.Equal(t, run.Dashboard.Addr, procfile.Dashboard.Addr)
}

// compose is the part of compose.yaml that the tests look at.
type compose struct {
	Services map[string]struct {
		Image       string            `yaml:"image"`
		ReadOnly    bool              `yaml:"read_only"`
		CapDrop     []string          `yaml:"cap_drop"`
		Security    []string          `yaml:"security_opt"`
		Command     []string          `yaml:"command"`
		Environment map[string]string `yaml:"environment"`
		Ports       []string          `yaml:"ports"`
		Restart     string            `yaml:"restart"`
		Volumes     []string          `yaml:"volumes"`
		DependsOn   map[string]any    `yaml:"depends_on"`
		Deploy      struct {
			Replicas int `yaml:"replicas"`
		} `yaml:"deploy"`
	} `yaml:"services"`
	Volumes map[string]any `yaml:"volumes"`
}

func TestCompose(t *testing.T) {
	t.Parallel()
	var c compose
	require.NoError(t, yaml.Unmarshal([]byte(read(t, "compose.yaml")), &c))
	for name, s := range c.Services {
		for _, port := range s.Ports {
			require.True(t, strings.HasPrefix(port, "127.0.0.1:"), "%s publishes %s beyond loopback", name, port)
		}
		for dependency := range s.DependsOn {
			require.Contains(t, c.Services, dependency, name)
		}
		for _, v := range s.Volumes {
			source, _, _ := strings.Cut(v, ":")
			if strings.HasPrefix(source, ".") {
				require.FileExists(t, source, name)
			} else {
				require.Contains(t, c.Volumes, source, name)
			}
		}
		require.NotEmpty(t, s.Restart, name)
		require.True(t, s.ReadOnly, name)
		require.Equal(t, []string{"ALL"}, s.CapDrop, name)
		require.Equal(t, []string{"no-new-privileges:true"}, s.Security, name)
		if s.Image != "afterwrite" {
			require.Regexp(t, `:\d+\.\d+(\.\d+)?-`, s.Image, "%s has no pinned version", name)
		}
		if s.Image == "afterwrite" {
			checkEnvironment(t, name, s.Environment)
		}
	}
	require.Equal(t, 2, c.Services["api"].Deploy.Replicas)
	require.Equal(t, 2, c.Services["worker"].Deploy.Replicas)
}

var variable = regexp.MustCompile(`\$\{[A-Z_]+[^}]*\}`)

// checkEnvironment loads the sample configuration with a service's environment, which
// refuses a variable that is no setting.
func checkEnvironment(t *testing.T, service string, environment map[string]string) {
	t.Helper()
	var env []string
	for name, value := range environment {
		if strings.HasPrefix(name, config.EnvPrefix) {
			env = append(env, name+"="+variable.ReplaceAllString(value, "secret"))
		}
	}
	_, err := config.Load("afterwrite.yaml", env)
	require.NoError(t, err, service)
}

// commands are those that run as a service.
var commands = []string{"api", "worker", "dashboard", "migrate"}

func TestProcfileAndUnitsRunKnownCommands(t *testing.T) {
	t.Parallel()
	texts := map[string]string{"Procfile": read(t, "../Procfile")}
	units, err := filepath.Glob("systemd/*.service")
	require.NoError(t, err)
	require.Len(t, units, 4)
	for _, unit := range units {
		texts[unit] = read(t, unit)
	}
	run := regexp.MustCompile(`(?m)(?:^ExecStart=/usr/local/bin/|^[^#\n]*bin/)afterwrite (\w+)`)
	for name, text := range texts {
		found := run.FindAllStringSubmatch(text, -1)
		require.NotEmpty(t, found, name)
		for _, f := range found {
			require.True(t, slices.Contains(commands, f[1]), "%s runs %s", name, f[1])
		}
	}
}

// TestUnits: systemd finds nothing wrong with the units, none of which needs another to
// succeed, and all keep their files from others.
func TestUnits(t *testing.T) {
	t.Parallel()
	units, err := filepath.Glob("systemd/*.service")
	require.NoError(t, err)
	dir := t.TempDir()
	var names []string
	for _, unit := range units {
		text := read(t, unit)
		require.NotContains(t, text, "Requires=", unit)
		for _, line := range []string{"Restart=on-failure", "StartLimitIntervalSec=0", "UMask=0077",
			"StateDirectoryMode=0700", "NoNewPrivileges=yes", "ProtectSystem=strict"} {
			require.Contains(t, text, line+"\n", unit)
		}
		if !strings.Contains(unit, "migrate") {
			require.Regexp(t, `(?m)^Wants=.*afterwrite-migrate.service`, text)
			require.Regexp(t, `(?m)^After=.*afterwrite-migrate.service`, text)
		}
		name := strings.Replace(filepath.Base(unit), "@", "@8091", 1)
		names = append(names, filepath.Join(dir, name))
		text = strings.ReplaceAll(text, "/usr/local/bin/afterwrite", "/bin/true") // not installed here
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("there is no systemd-analyze: the units are not verified")
	}
	out, err := exec.CommandContext(t.Context(), analyze, append([]string{"verify", "--recursive-errors=no",
		"--man=no"}, names...)...).CombinedOutput()
	require.NoError(t, err, "%s", out)
	require.Empty(t, strings.TrimSpace(string(out)))
}

// tables look like metrics and are none.
var tables = []string{"afterwrite_changes", "afterwrite_dead_letters", "afterwrite_pairings"}

// TestRunbookNamesMetricsThatExist: an alert on a metric that nobody exports is silent.
func TestRunbookNamesMetricsThatExist(t *testing.T) {
	t.Parallel()
	source := reference(t)
	for _, name := range regexp.MustCompile("afterwrite_[a-z_]+").FindAllString(read(t, "RUNBOOK.md"), -1) {
		if slices.Contains(tables, name) {
			continue
		}
		requireExported(t, source, name)
	}
}

// requireExported checks that the reference has the metric; another test compares the reference with real processes.
func requireExported(t *testing.T, reference, name string) {
	t.Helper()
	require.True(t, strings.Contains(reference, "`"+name+"`"), "nothing exports %s", name)
}

func reference(t *testing.T) string {
	t.Helper()
	return read(t, "../docs/METRICS.md")
}

func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	return string(text)
}
