package testkit_test

import (
	"context"
	"database/sql"
	"errors"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/internal/rdb"
	"github.com/afterwrite/afterwrite/internal/testkit"
)

func faultyRedis(t *testing.T) (*testkit.RedisFaults, *redis.Client, string) {
	var faults testkit.RedisFaults
	client := testkit.SharedRedis(t).Client(t)
	client.AddHook(&faults)
	return &faults, client, testkit.Prefix(t)
}

func TestRedisFaultIsOrIsNotApplied(t *testing.T) {
	t.Parallel()
	faults, c, key := faultyRedis(t)
	for _, mode := range []testkit.Mode{testkit.Refuse, testkit.Vanish, testkit.LoseReply} {
		fault := faults.Inject(mode, testkit.Command("incr"), testkit.After(1))
		require.NoError(t, c.Incr(t.Context(), key).Err())
		require.Error(t, c.Incr(t.Context(), key).Err())
		require.NoError(t, c.Incr(t.Context(), key).Err())
		require.Equal(t, 1, fault.Hits())
	}
	require.Equal(t, "7", c.Get(t.Context(), key).Val(), "only the lost replies took effect")
}

func TestRedisFaultInAPipeline(t *testing.T) {
	t.Parallel()
	for mode, want := range map[testkit.Mode]string{testkit.Refuse: "", testkit.Vanish: "1", testkit.LoseReply: "3"} {
		faults, c, key := faultyRedis(t)
		faults.Inject(mode, testkit.Command("incr"), testkit.After(1))
		p := c.Pipeline()
		first, second, third := p.Incr(t.Context(), key), p.Incr(t.Context(), key), p.Incr(t.Context(), key)
		_, err := p.Exec(t.Context())
		require.Error(t, err)
		require.Equal(t, mode == testkit.Refuse, first.Err() != nil)
		require.Error(t, second.Err())
		require.Error(t, third.Err())
		require.Equal(t, want, c.Get(t.Context(), key).Val())
	}
}

func TestRedisFaultHolds(t *testing.T) {
	t.Parallel()
	faults, c, key := faultyRedis(t)
	before := faults.Inject(testkit.Hold, testkit.Command("set"))
	done := make(chan error, 1)
	go func() { done <- c.Set(context.Background(), key, "v", 0).Err() }()
	<-before.Hit()
	require.ErrorIs(t, c.Get(t.Context(), key).Err(), redis.Nil)
	before.Release()
	require.NoError(t, <-done)

	after := faults.Inject(testkit.HoldReply, testkit.Command("del"))
	go func() { done <- c.Del(context.Background(), key).Err() }()
	<-after.Hit()
	require.ErrorIs(t, c.Get(t.Context(), key).Err(), redis.Nil)
	faults.Clear()
	require.NoError(t, <-done)
}

func TestScriptMatchesTextAndHash(t *testing.T) {
	t.Parallel()
	faults, c, _ := faultyRedis(t)
	const source = "-- of the test kit\nreturn 1"
	rdb.Load("testkit", source)
	fault := faults.Inject(testkit.Refuse, testkit.Script(t, "testkit"), testkit.Always())
	require.NoError(t, c.Eval(t.Context(), "return 1", nil).Err())
	require.Zero(t, fault.Hits())
	require.Error(t, c.Eval(t.Context(), source, nil).Err())
	require.Error(t, c.EvalSha(t.Context(), redis.NewScript(source).Hash(), nil).Err())
	require.EqualValues(t, 2, fault.Hits())
}

func faultySQL(t *testing.T) (*testkit.SQLFaults, *sql.DB) {
	config, err := pgx.ParseConfig(testkit.Postgres(t).Database(t))
	require.NoError(t, err)
	var faults testkit.SQLFaults
	db := sql.OpenDB(faults.Wrap(stdlib.GetConnector(*config)))
	t.Cleanup(func() { _ = db.Close() })
	_, err = db.ExecContext(t.Context(), "CREATE TABLE t (n int)")
	require.NoError(t, err)
	return &faults, db
}

func rows(t *testing.T, db *sql.DB) (n int) {
	t.Helper()
	require.NoError(t, db.QueryRowContext(t.Context(), "SELECT count(*) FROM t").Scan(&n))
	return n
}

func insert(ctx context.Context, db *sql.DB) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	if _, err := tx.ExecContext(ctx, "INSERT INTO t VALUES ($1)", 1); err != nil {
		return err
	}
	return tx.Commit()
}

func TestSQLFaultIsOrIsNotApplied(t *testing.T) {
	t.Parallel()
	faults, db := faultySQL(t)
	for _, at := range []func(string) bool{testkit.Begin, testkit.Statement("insert", "into T"), testkit.Commit} {
		for _, mode := range []testkit.Mode{testkit.Refuse, testkit.Vanish, testkit.LoseReply} {
			before := rows(t, db)
			faults.Inject(mode, at)
			require.Error(t, insert(t.Context(), db))
			want := before
			if mode == testkit.LoseReply && at("COMMIT") {
				want++
			}
			require.Equal(t, want, rows(t, db))
			require.NoError(t, insert(t.Context(), db), "the pool has opened another connection")
		}
	}
}

func TestSQLFaultWithAnErrorOfItsOwn(t *testing.T) {
	t.Parallel()
	faults, db := faultySQL(t)
	mine := errors.New("mine")
	faults.Inject(testkit.Refuse, testkit.Commit, testkit.Err(mine))
	require.ErrorIs(t, insert(t.Context(), db), mine)
	require.Zero(t, rows(t, db))
	faults.Inject(testkit.Refuse, testkit.Connect, testkit.Always())
	require.NoError(t, db.PingContext(t.Context()), "the connection stayed whole")
}

func TestProxy(t *testing.T) {
	t.Parallel()
	s := testkit.Redis(t)
	proxy := testkit.NewProxy(t, s.Addr())
	opts, err := redis.ParseURL(proxy.URL(t, s.URL()))
	require.NoError(t, err)
	opts.MaxRetries, opts.ReadTimeout, opts.DialerRetries = -1, 200*time.Millisecond, 1
	c := redis.NewClient(opts)
	defer c.Close()
	incr := func() error { return c.Incr(t.Context(), "n").Err() }
	require.NoError(t, incr())

	proxy.LoseReplies()
	require.Error(t, incr())
	proxy.Restore()
	require.NoError(t, incr())
	require.Equal(t, "3", c.Get(t.Context(), "n").Val(), "the lost one took effect")

	proxy.Blackhole()
	require.Error(t, incr())
	proxy.Cut()
	require.Error(t, incr())
	proxy.Restore()
	proxy.Delay(20 * time.Millisecond)
	start := time.Now()
	require.NoError(t, incr())
	require.GreaterOrEqual(t, time.Since(start), 40*time.Millisecond)
	require.Equal(t, "4", c.Get(t.Context(), "n").Val(), "what the black hole held was cut off")
}
