package rdb_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/internal/rdb"
)

func TestURLsNameADatabaseThatThereIs(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{"redis://h:1/-1", "redis-sentinel://h:1/m/-1", "redis-cluster://h:1/3"} {
		_, err := rdb.ParseURL(bad)
		require.ErrorContains(t, err, "database", bad)
	}
	for good, db := range map[string]int{"redis://h:1/3": 3, "redis-sentinel://h:1/m/3": 3, "redis-cluster://h:1/": 0, "redis-cluster://h:1/0": 0} {
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
