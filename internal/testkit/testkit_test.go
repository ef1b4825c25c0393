package testkit_test

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/internal/testkit"
	"github.com/afterwrite/afterwrite/schema"
)

func TestRedisKeepsItsDataOverADeath(t *testing.T) {
	t.Parallel()
	s := testkit.Redis(t, testkit.AppendFsync("always"), testkit.Password("s3cret/@:"))
	c := s.Client(t)
	require.NoError(t, c.Set(t.Context(), "k", "v", 0).Err())
	s.Kill()
	require.Error(t, c.Get(t.Context(), "k").Err())
	s.Start()
	require.Equal(t, "v", c.Get(t.Context(), "k").Val())
	s.Stop()
	s.Start()
	require.Equal(t, "v", c.Get(t.Context(), "k").Val())
}

func TestRedisPaused(t *testing.T) {
	t.Parallel()
	s := testkit.Redis(t, testkit.NoAOF())
	c := s.Client(t)
	require.NoError(t, c.Ping(t.Context()).Err())
	s.Pause()
	answer := make(chan error, 1)
	go func() { answer <- c.Ping(context.Background()).Err() }()
	s.Resume()
	require.NoError(t, <-answer)
	require.Equal(t, "volatile-lfu", c.ConfigGet(t.Context(), "maxmemory-policy").Val()["maxmemory-policy"])
}

func TestSharedRedis(t *testing.T) {
	t.Parallel()
	require.Same(t, testkit.SharedRedis(t), testkit.SharedRedis(t))
	require.NotEqual(t, testkit.Prefix(t), testkit.Prefix(t))
	require.NoError(t, testkit.SharedRedis(t).Client(t).Ping(t.Context()).Err())
}

func TestPostgresKeepsItsDataOverADeath(t *testing.T) {
	t.Parallel()
	p := testkit.DedicatedPostgres(t, true)
	url := p.Database(t)
	exec(t, url, "CREATE TABLE t (n int)")
	exec(t, url, "INSERT INTO t VALUES (7)")
	p.Kill()
	_, err := pgx.Connect(t.Context(), url)
	require.Error(t, err)
	p.Start()
	require.Equal(t, 7, number(t, url, "SELECT n FROM t"))
	p.Stop()
	p.Start()
	require.Equal(t, 7, number(t, url, "SELECT n FROM t"))
}

func TestSharedPostgresGivesEachTestADatabase(t *testing.T) {
	t.Parallel()
	p := testkit.Postgres(t)
	a, b := p.Database(t), p.Database(t)
	require.NotEqual(t, a, b)
	exec(t, a, "CREATE TABLE t (n int)")
	exec(t, b, "CREATE TABLE t (n int)")
	require.Equal(t, 1, number(t, a, "SELECT 1"))
}

func exec(t *testing.T, url, sql string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	require.NoError(t, err)
	defer conn.Close(t.Context())
	_, err = conn.Exec(t.Context(), sql)
	require.NoError(t, err)
}

func number(t *testing.T, url, sql string) (n int) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	require.NoError(t, err)
	defer conn.Close(t.Context())
	require.NoError(t, conn.QueryRow(t.Context(), sql).Scan(&n))
	return n
}

func TestEntitiesHaveEveryType(t *testing.T) {
	types := map[schema.FieldType]bool{}
	for _, f := range testkit.Entity(t, "everything").Fields {
		types[f.Type] = true
	}
	for _, want := range schema.FieldTypes {
		require.True(t, types[want], want)
	}
}

func TestMySQLKeepsItsDataOverADeath(t *testing.T) {
	t.Parallel()
	m := testkit.DedicatedMySQL(t, true)
	db := testkit.SQL(t, m.Database(t))
	_, err := db.Exec("CREATE TABLE t (n int); INSERT INTO t VALUES (7)")
	require.NoError(t, err)
	m.Kill()
	require.Error(t, db.Ping())
	m.Start()
	var n int
	require.NoError(t, db.QueryRow("SELECT n FROM t").Scan(&n))
	require.Equal(t, 7, n)
}
