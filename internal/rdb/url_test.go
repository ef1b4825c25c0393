package rdb_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/internal/rdb"
	"github.com/afterwrite/afterwrite/internal/testkit"
	"github.com/afterwrite/afterwrite/schema"
)

func TestURLsNameADatabaseThatThereIs(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{"redis://h:1/-1", "redis-sentinel://h:1/m/-1", "redis-cluster://h:1/3"} {
		_, err := rdb.ParseURL(bad)
		require.ErrorContains(t, err, "database", bad)
	}
	for good, db := range map[string]int{"redis://h:1/3": 3, "redis-sentinel://h:1/m/3": 3, "redis-cluster://h:1/": 0,
		"redis-cluster://h:1/0": 0} {
		o, err := rdb.ParseURL(good)
		require.NoError(t, err, good)
		require.Equal(t, db, o.DB, good)
	}
}

// An address that could never be dialled is told when it is read, not by the first command.
func TestURLsNameAnAddressThatCanBeDialled(t *testing.T) {
	t.Parallel()
	for bad, want := range map[string]string{
		"redis://h:65536":            "65535",
		"rediss://h:0":               "65535",
		"redis-cluster://h":          "not HOST:PORT",
		"redis-cluster://h:1,::1:2":  "in brackets",
		"redis-sentinel://h:99999/m": "65535",
	} {
		_, err := rdb.ParseURL(bad)
		require.ErrorContains(t, err, want, bad)
	}
	for good, addr := range map[string]string{
		"redis://[::1]:6380/1": "[::1]:6380", "redis://[::1]": "[::1]:6379", "redis://": "localhost:6379",
		"redis-cluster://[::1]:1,h:2": "[::1]:1", "redis-sentinel://u:p@[fe80::1]:1/m": "[fe80::1]:1",
	} {
		o, err := rdb.ParseURL(good)
		require.NoError(t, err, good)
		require.Equal(t, addr, o.Addrs[0], good)
	}
}

// An option that would not be carried out is an error that names it, and never shows a
// password.
func TestURLsHaveNoOptionThatIsNotCarriedOut(t *testing.T) {
	t.Parallel()
	for bad, want := range map[string]string{
		"redis://:s3cret@h:1/0?foo=bar":                                               `no option "foo"`,
		"redis://:s3cret@h:1/0?read_timeout=1s":                                       "set redis.timeout",
		"redis://:s3cret@h:1/0?pool_size=3":                                           "set redis.pool_size",
		"redis://:s3cret@h:1/0?tls=true":                                              "rediss://",
		"redis://h:1/0?password=s3cret":                                               "before the host",
		"redis://h:1/0?sentinel_password=s3cret":                                      "no option",
		"redis://h:1/0?db=1&db=2":                                                     "twice",
		"redis://:s3cret%zz@h:1":                                                      "",
		"redis://h:1/0?password=s3cret%zz":                                            "cannot be read",
		"redis://h:1/0?skip_verify=true":                                              "without TLS",
		"redis-cluster://:s3cret@h:1?tls=yes":                                         "neither true nor false",
		"redis-cluster://:s3cret@h:1?foo=bar":                                         `no option "foo"`,
		"redis-cluster://:s3cret@h:1?sentinel_user=x":                                 "no option",
		"redis-cluster://:s3cret@h:1?ca=x":                                            "without TLS",
		"redis-sentinel://:s3cret@h:1/m?sentinel_auth=no":                             "neither true nor false",
		"redis-sentinel://:s3cret@h:1/m?sentinel_auth=false&sentinel_password=s3cret": "contradicts",
		"redis-sentinel://:s3cret@h:1/m?sentinel_password=s3cret&read_timeout=1s":     "set redis.timeout",
		"redis-sentinel://:s3cret@h:1?sentinel_password=s3cret":                       "master's name",
		"rediss-sentinel://:s3cret@h:1/m":                                             "scheme",
		"s3cret":                                                                      "does not begin with",
		":s3cret@h:1":                                                                 "does not begin with",
		"redis://u:/s3cret@h:1/0":                                                     "%2F",
		"redis://u:1/s3cret@h:1":                                                      "%2F",
		"redis-sentinel://u:/s3cret@h:1/m":                                            "%2F",
		"redis://:12?s3cret@h:1":                                                      "%3F",
		"redis://:12#s3cret@h:1":                                                      "%23",
		"redis-cluster://:s3cret@h:1?tls=true#x":                                      "%23",
		"rediss://:s3cret@h:1?skip_verify=true&ca=x":                                  "contradicts",
		"redis://:s3cret@h:1/1?db=2":                                                  "twice",
		"redis://:s3cret@h:1,g:2":                                                     "several hosts",
		"redis://u@h:1":                                                               "only with a password",
		"redis-sentinel://:s3cret@h:1/m?sentinel_user=x":                              "only with a password",
	} {
		_, err := rdb.ParseURL(bad)
		require.ErrorContains(t, err, want, bad)
		require.NotContains(t, err.Error(), "s3cret", bad)
		require.NotContains(t, rdb.Redact(bad), "s3cret", bad)
	}
	o, err := rdb.ParseURL("redis-sentinel://u:p@h:1,g:2/m/3?sentinel_user=su&sentinel_password=sp&tls=true&skip_verify=true")
	require.NoError(t, err)
	require.Equal(t, []string{"u", "p", "su", "sp"}, []string{o.Username, o.Password, o.SentinelUsername,
		o.SentinelPassword})
	require.True(t, o.TLSConfig.InsecureSkipVerify)
	o, err = rdb.ParseURL("redis-sentinel://u:p@h:1/m?sentinel_password=sp&tls=false")
	require.NoError(t, err)
	require.Equal(t, []string{"", "sp"}, []string{o.SentinelUsername, o.SentinelPassword})
	require.Nil(t, o.TLSConfig)
}

// A password that has changed in the file of the URL is used at the next connection.
func TestURLFileIsReadAtEachConnection(t *testing.T) {
	t.Parallel()
	server := testkit.Redis(t, testkit.Password("first"))
	file := filepath.Join(t.TempDir(), "url")
	write := func(url string) { require.NoError(t, os.WriteFile(file, []byte(url+"\n"), 0o600)) }
	write(server.URL())
	client, err := rdb.Open(rdb.Config{URL: server.URL() + "?url_file=" + file})
	require.NoError(t, err)
	defer func() { _ = client.Close() }()
	require.NoError(t, client.Ping(t.Context()).Err())

	require.NoError(t, client.ConfigSet(t.Context(), "requirepass", "second").Err())
	require.NoError(t, client.Do(t.Context(), "client", "kill", "type", "normal", "skipme", "no").Err())
	testkit.Eventually(t, "the old password is refused", func() bool {
		return redis.HasErrorPrefix(client.Ping(t.Context()).Err(), "WRONGPASS")
	})
	write(strings.Replace(server.URL(), "first", "second", 1))
	testkit.Eventually(t, "the new one is read", func() bool { return client.Ping(t.Context()).Err() == nil })
	require.NoError(t, client.Once.Ping(t.Context()).Err())
}

// A file that has no URL, as one with the password alone, fails connections with an error that does not quote it. No
// write was sent then, nor where TLS was not agreed on or no sentinel answers: such a failure is no unknown outcome.
func TestWhatFailsBeforeACommandIsSent(t *testing.T) {
	t.Parallel()
	server := testkit.Redis(t)
	file := filepath.Join(t.TempDir(), "url")
	for name, c := range map[string]struct{ url, text string }{
		"the password alone": {server.URL() + "?url_file=" + file, "s3cret"},
		"an empty file":      {server.URL() + "?url_file=" + file, ""},
		"no file":            {server.URL() + "?url_file=" + file + "x", ""},
		"no TLS":             {strings.Replace(server.URL(), "redis:", "rediss:", 1), ""},
		"no sentinel":        {"redis-sentinel://127.0.0.1:1,127.0.0.1:2/m", ""},
		"no cluster":         {"redis-cluster://127.0.0.1:1", ""},
	} {
		require.NoError(t, os.WriteFile(file, []byte(c.text), 0o600))
		client, err := rdb.Open(rdb.Config{URL: c.url, Timeout: 2 * time.Second})
		require.NoError(t, err, name)
		err = rdb.OnceFault("write", client.Once.Incr(t.Context(), "n").Err())
		require.ErrorIs(t, err, schema.ErrUnavailable, name)
		require.NotErrorIs(t, err, schema.ErrOutcomeUnknown, name)
		require.NotContains(t, err.Error(), "s3cret", name)
		require.NoError(t, client.Close())
	}
}
