package config

import (
	"net/url"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// Every setting can be read from a file, as secrets are mounted; what is wrong with it is
// said without what is in it.
func TestSettingsFromFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		return path
	}
	redis, database := file("redis", "redis://:s3cret@h:1/0\n"),
		file("db", "postgres://u:s3cret@h/d?sslmode=disable\r\n")
	c, err := LoadBuiltin([]string{
		"AFTERWRITE_REDIS_URL_FILE=" + redis, "AFTERWRITE_DATABASE_URL_FILE=" + database,
		"AFTERWRITE_API_CORS_FILE=" + file("cors", "https://a.example, https://b.example"),
		"AFTERWRITE_WORKER_CONCURRENCY_FILE=" + file("n", "3\n"),
	})
	require.NoError(t, err)
	require.Equal(t, "redis://:s3cret@h:1/0?url_file="+escaped(redis), c.Redis.URL)
	require.Equal(t, "postgres://u:s3cret@h/d?sslmode=disable&url_file="+escaped(database), c.Database.URL)
	require.Equal(t, []string{"https://a.example", "https://b.example"}, c.API.CORS)
	require.Equal(t, 3, c.Worker.Concurrency)
	require.True(t, c.Named("database.url"))
	c, err = LoadBuiltin([]string{"AFTERWRITE_DATABASE_URL_FILE=" + file("lite", "sqlite://a.db\n")})
	require.NoError(t, err)
	require.Equal(t, "sqlite://a.db", c.Database.URL)

	for _, bad := range [][]string{
		{"AFTERWRITE_REDIS_URL_FILE=" + filepath.Join(dir, "none")},
		{"AFTERWRITE_REDIS_URL_FILE=" + dir},
		{"AFTERWRITE_REDIS_URL_FILE=" + file("http", "http://:s3cret@h")},
		{"AFTERWRITE_WORKER_CONCURRENCY_FILE=" + file("large", "s3cret")},
		{"AFTERWRITE_REDIS_URL_FILE=" + redis, "AFTERWRITE_REDIS_URL=redis://h:1"},
		{"AFTERWRITE_REDIS_URI_FILE=" + redis},
	} {
		_, err := LoadBuiltin(bad)
		require.ErrorIs(t, err, ErrInvalid, bad)
		require.Contains(t, err.Error(), "_FILE", bad)
		require.NotContains(t, err.Error(), "s3cret", bad)
	}
}

func escaped(path string) string { return url.QueryEscape(path) }

// What Kubernetes sets for Services that are called afterwrite, afterwrite-api and the like
// is no setting; a misspelt setting is an error as before.
func TestServiceLinksAreNoSettings(t *testing.T) {
	t.Parallel()
	c, err := LoadBuiltin([]string{
		"AFTERWRITE_PORT=tcp://10.96.0.7:8080", "AFTERWRITE_SERVICE_HOST=10.96.0.7", "AFTERWRITE_SERVICE_PORT=8080",
		"AFTERWRITE_SERVICE_PORT_HTTP=8080", "AFTERWRITE_SERVICE_PORT_HTTP_API=8080",
		"AFTERWRITE_PORT_8080_TCP=tcp://10.96.0.7:8080", "AFTERWRITE_PORT_8080_TCP_PROTO=tcp",
		"AFTERWRITE_PORT_8080_TCP_PORT=8080",
		"AFTERWRITE_PORT_8080_TCP_ADDR=10.96.0.7", "AFTERWRITE_API_PORT=tcp://10.96.0.8:8080",
		"AFTERWRITE_API_SERVICE_HOST=10.96.0.8",
		"AFTERWRITE_API_PORT_53_UDP_ADDR=10.96.0.8", "AFTERWRITE_DASHBOARD_PORT=udp://[fd00::1]:53",
	})
	require.NoError(t, err)
	want, err := LoadBuiltin(nil)
	require.NoError(t, err)
	require.Equal(t, want.API, c.API)
	for _, bad := range []string{"AFTERWRITE_PORT=8080", "AFTERWRITE_API_PORT=8080", "AFTERWRITE_API_ADR=x",
		"AFTERWRITE_SERVICE=x"} {
		_, err := LoadBuiltin([]string{bad})
		require.ErrorIs(t, err, ErrInvalid, bad)
	}
}
