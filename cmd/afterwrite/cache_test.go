package main

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/internal/testkit"
)

// hosted makes a deployment use Redis as the user of a hosted server, to whom what such
// servers bar is refused.
func (d *deployment) hosted(barred ...any) {
	d.t.Helper()
	server := testkit.Redis(d.t)
	rules := append([]any{"ACL", "SETUSER", "app", "on", ">secret", "~*", "&*", "+@all", "-memory", "-config",
		"-client", "-slowlog"}, barred...)
	require.NoError(d.t, server.Client(d.t).Do(d.t.Context(), rules...).Err())
	d.env = append(d.env, "AFTERWRITE_REDIS_URL="+strings.Replace(server.URL(), "redis://", "redis://app:secret@", 1))
}

// TestCacheStatsAndBig look at a deployment that has served.
func TestCacheStatsAndBig(t *testing.T) {
	t.Parallel()
	for _, where := range []string{"own", "hosted"} {
		t.Run(where, func(t *testing.T) {
			t.Parallel()
			d := deploy(t, testkit.SQLite(t))
			if where == "hosted" {
				d.hosted()
			}
			d.serve()
			large := strings.Repeat("large ", 20_000)
			for id, name := range map[string]string{"ada": "Ada", "bob": "Bob"} {
				code, body := d.call("PUT", d.api, "/v1/user/"+id, `{"name":"`+name+`","profile":"`+large+`"}`)
				require.Equal(t, 202, code, body)
			}
			d.ok("flush")
			for range 3 {
				code, body := d.call("GET", d.api, "/v1/user/ada", "")
				require.Equal(t, 200, code, body)
			}

			stats := d.json(d.ok("cache", "stats", "--json"))
			require.Greater(t, stats["hit_rate"], 0.0)
			require.LessOrEqual(t, stats["hit_rate"], 1.0)
			require.Positive(t, stats["hits"])
			require.Positive(t, stats["used_memory_bytes"])
			require.Positive(t, stats["fragmentation"])
			require.Equal(t, 0.0, stats["evicted_keys"])
			require.Equal(t, true, stats["aof"])
			require.Equal(t, "volatile-lfu", stats["maxmemory_policy"])
			require.NotEmpty(t, stats["version"])
			require.NotEmpty(t, stats["latency"])
			text := d.ok("cache", "stats")
			for _, line := range []string{"redis", "latency", "hit rate", "memory", "fragmentation", "evicted",
				"persistence"} {
				require.Contains(t, "\n"+text, "\n"+line+" ")
			}

			big := d.json(d.ok("cache", "big", "--json", "--largest", "2"))
			require.Equal(t, true, big["whole"])
			require.Equal(t, where == "hosted", big["estimate"])
			groups := map[string]map[string]any{}
			for _, g := range big["groups"].([]any) {
				g := g.(map[string]any)
				groups[g["name"].(string)] = g
			}
			require.Equal(t, 2.0, groups["entity user"]["keys"])
			require.Len(t, big["largest"], 2)
			for _, one := range big["largest"].([]any) {
				require.Equal(t, "entity user", one.(map[string]any)["of"])
			}
			sampled := d.json(d.ok("cache", "big", "--json", "--sample", "1"))
			require.Equal(t, 1.0, sampled["sampled"])
			require.Equal(t, false, sampled["whole"])
			text = d.ok("cache", "big", "--largest", "2")
			require.Contains(t, text, "entity user")
			require.Contains(t, text, "larger than recommended")

			if where == "hosted" {
				require.Nil(t, stats["slow_commands"])
				require.Contains(t, d.ok("cache", "stats"), "the server does not tell")
				require.Contains(t, text, "the server bars MEMORY USAGE")
			} else {
				require.NotNil(t, stats["slow_commands"])
				require.NotContains(t, text, "redis.call", "a script is named, not shown")
				require.Equal(t, "everysec", stats["appendfsync"])
			}
			for _, wrong := range [][]string{{"cache"}, {"cache", "big", "--sample", "0"},
				{"cache", "big", "--largest", "-1"}, {"cache", "stats", "x"}} {
				require.Equal(t, exitUsage, d.run("", wrong...).code, "%v", wrong)
			}
		})
	}
}

// TestDoctorOnRedisFigures tells hit rate and fragmentation, and says once where Redis
// does not tell.
func TestDoctorOnRedisFigures(t *testing.T) {
	t.Parallel()
	d := deploy(t, testkit.SQLite(t))
	d.ok("migrate")
	text := d.ok("doctor")
	for _, check := range []string{"redis hit rate", "redis fragmentation", "redis memory", "redis persistence",
		"redis eviction"} {
		require.Contains(t, text, check)
	}
	d.hosted("-info")
	findings := d.json(d.ok("doctor", "--json"))["findings"].([]any)
	var redis []string
	for _, f := range findings {
		f := f.(map[string]any)
		if check := f["check"].(string); strings.HasPrefix(check, "redis") && f["verdict"] != "ok" &&
			check != "redis latency" { // the machine may be busy
			redis = append(redis, check)
		}
	}
	require.Equal(t, []string{"redis statistics"}, redis)
	require.Equal(t, nil, d.json(d.ok("cache", "stats", "--json"))["hit_rate"])
	require.Contains(t, d.ok("cache", "stats"), "INFO")
	d.serve() // all else goes on
	code, body := d.call("PUT", d.api, "/v1/user/ada", `{"name":"Ada"}`)
	require.Equal(t, 202, code, body)
	d.ok("flush")
	code, body = d.call("GET", d.api, "/readyz", "")
	require.Equal(t, 200, code, body)
	require.NotContains(t, body, "used_memory")
}
