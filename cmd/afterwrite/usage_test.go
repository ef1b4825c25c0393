package main

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/cmd/afterwrite/internal/cli"
	"github.com/afterwrite/afterwrite/internal/testkit"
)

func TestExitCodes(t *testing.T) {
	t.Parallel()
	d := deploy(t, testkit.SQLite(t))
	bad := d.file("bad.yaml", "api:\n  adr: x\nentities:\n  user: {fields: {name: {type: string}}}\n")
	limited := d.file("limited.yaml",
		"api: {rate_limit: {limit: 5000000, window: 1s}}\nentities:\n  user: {fields: {name: {type: string}}}\n")
	for _, tt := range []struct {
		args string
		code int
		says string
	}{
		{"", exitUsage, "needs a command"},
		{"config", exitUsage, "needs a command"},
		{"record", exitUsage, "needs a command"},
		{"bogus", exitUsage, "unknown command"},
		{"config bogus", exitUsage, "unknown command"},
		{"api --bogus", exitUsage, "unknown flag"},
		{"api extra", exitUsage, "extra"},
		{"version --log-level loud", exitUsage, "--log-level"},
		{"record get user", exitUsage, "accepts 2 arg"},
		{"record get nope 1", exitUsage, `no entity "nope"`},
		{"record get item x", exitUsage, "whole number"},
		{"record get item -5", exitUsage,
			"-5 is not a flag; what begins with - and is none comes after --: afterwrite record get -- ENTITY ID"},
		{"invalidate item -5", exitUsage, "comes after --: afterwrite invalidate -- ENTITY [ID...]"},
		{"api -5", exitUsage, "unknown shorthand flag"},
		{"rank rebuild nope", exitUsage, `no entity "nope"`},
		{"rank rebuild user", exitUsage, "user has no rank.by"},
		{"fsck nope", exitUsage, `no entity "nope"`},
		{"load user nope.ndjson", exitUsage, "no such file"},
		{"load user nope.txt", exitUsage, "--format"},
		{"load user nope.csv --op delete", exitUsage, "--op"},
		{"invalidate user a --all", exitUsage, "give ids, or --match, or --all"},
		{"flush --config nope.yaml", exitUsage, "nope.yaml"},
		{"flush --timeout -1s", exitUsage, "--timeout"},
		{"help bogus", exitUsage, `no command "bogus"`},
		{"help record bogus", exitUsage, `no command "record bogus"`},
		{"help record get", exitOK, "afterwrite record get user ada"},
		{"config check --config " + bad, exitUsage, bad + `:2:3: api.adr: is not a setting; did you mean "addr"?`},
		{"api --config " + bad, exitUsage, bad + ":2:3:"},
		{"api --config " + limited, exitUsage, "api.rate_limit"},
		{"token", exitUsage, "needs a command"},
		{"token new", exitUsage, "accepts 1 arg"},
		{"token new two words", exitUsage, "accepts 1 arg"},
		{"token new -- -x", exitUsage, "is no name for a token"},
		{"token new x --scope user", exitUsage, "is not a scope"},
		{"token new x --scope user:fly", exitUsage, "is not read, write or admin"},
		{"token new x --scope nope:read", exitUsage, `no entity "nope"`},
		{"token new x --expires soon", exitUsage, "is neither a time"},
		{"token new x --expires 2020-01-31", exitUsage, "has passed"},
		{"token new x --expires 0d", exitUsage, "has passed"},
		{"token revoke", exitUsage, "requires at least 1 arg"},
		{"bench extra", exitUsage, "extra"},
		{"bench --only nope", exitUsage, `--only: no section "nope"; there are accept, `},
		{"bench --runs 0", exitUsage, "--runs"},
		{"bench --quick --callers 0", exitUsage, "--callers"},
		{"bench --seconds x", exitUsage, "invalid argument"},
		{"bench --against x", exitUsage, "unknown flag: --against"},
		{"bench consume nope", exitUsage, "invalid argument"},
		{"flush", exitFailure, "afterwrite migrate"},
		{"config check", exitOK, "afterwrite.yaml is fine: 2 entities"},
		{"--help", exitOK, "Examples:"},
		{"completion bash", exitOK, "complete"},
	} {
		t.Run(tt.args, func(t *testing.T) {
			r := d.run("", strings.Fields(tt.args)...)
			require.Equal(t, tt.code, r.code, "%s%s", r.out, r.err)
			require.Contains(t, r.out+r.err, tt.says)
			if tt.code == exitUsage {
				require.Empty(t, r.out, "only results go to standard output")
			}
		})
	}
}

func TestNoConfiguration(t *testing.T) {
	t.Parallel()
	d := deploy(t, testkit.SQLite(t))
	require.NoError(t, os.Remove(filepath.Join(d.dir, "afterwrite.yaml")))
	r := d.run("", "api")
	require.Equal(t, exitUsage, r.code)
	require.Contains(t, r.err, "config example > afterwrite.yaml")

	d.file("afterwrite.yaml", d.ok("config", "example"))
	d.ok("config", "check")
	d.env = append(d.env, "AFTERWRITE_REDSI_URL=x")
	r = d.run("", "config", "check")
	require.Equal(t, exitUsage, r.code)
	require.Contains(t, r.err, `did you mean "AFTERWRITE_REDIS_URL"?`)
}

// An address that no client can read is found by the check, not at the start.
func TestCheckReadsAddresses(t *testing.T) {
	t.Parallel()
	d := deploy(t, testkit.SQLite(t))
	file := d.file("urls.yaml", "redis: {url: redis://u:hunter2@h/nine}\nqueue: {redis_url: redis-sentinel://h:1}\n"+
		"database: {url: \"sqlite://:memory:\"}\nentities:\n  user: {fields: {name: {type: string}}}\n")
	for _, command := range []string{"config check", "api", "flush"} {
		r := d.run("", append(strings.Fields(command), "--config", file)...)
		require.Equal(t, exitUsage, r.code, r.err)
		for _, says := range []string{":1:9: redis.url: ", ":2:9: queue.redis_url: ", ":3:12: database.url: "} {
			require.Contains(t, r.err, file+says)
		}
		require.NotContains(t, r.err, "hunter2")
	}
	d.env = append(d.env, "AFTERWRITE_DATABASE_URL=postgres://h:99999/d")
	r := d.run("", "config", "check")
	require.Equal(t, exitUsage, r.code)
	require.Contains(t, r.err, "AFTERWRITE_DATABASE_URL: ")
}

func TestCheckAsJSON(t *testing.T) {
	t.Parallel()
	d := deploy(t, testkit.SQLite(t))
	require.Equal(t, map[string]any{"ok": true, "file": "afterwrite.yaml", "entities": 2.0, "faults": []any{}},
		d.json(d.ok("config", "check", "--json")))
	bad := d.file("bad.yaml", "api:\n  adr: x\nentities:\n  user: {fields: {name: {type: strnig}}}\n")
	r := d.run("", "config", "check", "--json", "--config", bad)
	require.Equal(t, exitUsage, r.code)
	faults := d.json(r.out)["faults"].([]any)
	require.Len(t, faults, 2)
	require.Equal(t, 2.0, faults[0].(map[string]any)["line"])
	require.Equal(t, "entities.user.fields.name.type", faults[1].(map[string]any)["path"])
}

func TestVersion(t *testing.T) {
	t.Parallel()
	d := deploy(t, testkit.SQLite(t))
	require.Contains(t, d.ok("version"), "afterwrite ")
	require.NotEmpty(t, d.json(d.ok("version", "--json"))["go"])
}

func TestBusyPort(t *testing.T) {
	t.Parallel()
	d := deploy(t, testkit.SQLite(t))
	l, err := net.Listen("tcp", d.api)
	require.NoError(t, err)
	defer l.Close()
	d.ok("migrate")
	for _, command := range []string{"api", "dev"} {
		r := d.run("", command)
		require.Equal(t, exitFailure, r.code)
		require.Contains(t, r.err, "is in use by another process")
		require.Contains(t, r.err, "AFTERWRITE_API_ADDR")
	}
}

// Every command tells what it does and shows an example.
func TestEveryCommandHasAnExample(t *testing.T) {
	t.Parallel()
	var walk func(c *cobra.Command)
	walk = func(c *cobra.Command) {
		require.NotEmpty(t, c.Short, c.CommandPath())
		require.Contains(t, c.Example, "afterwrite", c.CommandPath())
		for _, sub := range c.Commands() {
			walk(sub)
		}
	}
	walk(root(&cli.App{}))
}
