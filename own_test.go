package afterwrite_test

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hibiken/asynq"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite"
	"github.com/afterwrite/afterwrite/cache"
	"github.com/afterwrite/afterwrite/cache/pending"
	"github.com/afterwrite/afterwrite/internal/testkit"
	"github.com/afterwrite/afterwrite/producer"
	"github.com/afterwrite/afterwrite/schema"
)

// ownRedis is a client as a program has one: with retries, and a name that its server shows.
func ownRedis(t *testing.T, server *testkit.RedisServer) *redis.Client {
	t.Helper()
	o, err := redis.ParseURL(server.URL())
	require.NoError(t, err)
	o.ClientName = "theirs"
	o.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	c := redis.NewClient(o)
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// TestOwnClients opens a DB on a program's own Redis client and gorm pool: nothing else is
// opened beside them, and neither is closed.
func TestOwnClients(t *testing.T) {
	testkit.AllDatabases(t, func(t *testing.T, url string) {
		server := testkit.Redis(t)
		rdb, g := ownRedis(t, server), gormOf(t, url)
		require.NoError(t, g.AutoMigrate(&Counter{}))
		db, err := afterwrite.Open(t.Context(), afterwrite.Config{Redis: rdb, GORM: g, Prefix: testkit.Prefix(t),
			Logger: testkit.Logger(t)},
			afterwrite.Model[Counter]())
		require.NoError(t, err)
		require.NoError(t, db.Migrate(t.Context()))
		ctx, stop := context.WithCancel(context.Background())
		ended := make(chan error, 1)
		go func() { ended <- db.Work(ctx) }()
		counters := afterwrite.Table[Counter](db)
		w, err := counters.Put(t.Context(), &Counter{ID: "a", N: 1})
		require.NoError(t, err)
		require.NoError(t, w.Wait(t.Context()))
		for range 3 {
			_, w, err = counters.Add(t.Context(), "a", "N", 1)
			require.NoError(t, err)
		}
		require.NoError(t, w.Wait(t.Context()))
		clients, err := rdb.ClientList(t.Context()).Result()
		require.NoError(t, err)
		for line := range strings.Lines(clients) {
			require.Contains(t, line, "name=theirs")
		}
		if strings.HasPrefix(url, "postgres") {
			var n int
			require.NoError(t,
				g.Raw("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'afterwrite'").Scan(&n).Error)
			require.Zero(t, n)
		}
		stop()
		require.NoError(t, <-ended)
		require.NoError(t, db.Close())
		require.NoError(t, db.Close())
		require.NoError(t, rdb.Ping(t.Context()).Err())
		var row Counter
		require.NoError(t, g.First(&row, "id = ?", "a").Error)
		require.EqualValues(t, 4, row.N)
		_, err = counters.Get(t.Context(), "a")
		require.ErrorIs(t, err, afterwrite.ErrClosed)
	})
}

// TestOwnAsynqServer runs the sync tasks on the server that a program has for its own tasks.
func TestOwnAsynqServer(t *testing.T) {
	rdb := ownRedis(t, testkit.SharedRedis(t))
	db, err := afterwrite.Open(t.Context(), afterwrite.Config{
		Redis: rdb, DatabaseURL: testkit.SQLite(t), Prefix: testkit.Prefix(t), Logger: testkit.Logger(t),
	}, afterwrite.Model[Counter]())
	require.NoError(t, err)
	require.NoError(t, db.Migrate(t.Context()))
	mux := asynq.NewServeMux()
	sent := make(chan struct{})
	mux.HandleFunc("email:send", func(context.Context, *asynq.Task) error { close(sent); return nil })
	db.Register(mux)
	queues := db.Queues()
	own := testkit.Prefix(t)
	queues[own] = 1
	server := asynq.NewServerFromRedisClient(rdb, asynq.Config{
		Queues: queues, TaskCheckInterval: 20 * time.Millisecond, LogLevel: asynq.FatalLevel,
		RetryDelayFunc: afterwrite.RetryDelay(nil), IsFailure: afterwrite.IsFailure,
	})
	require.NoError(t, server.Start(mux))
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- db.Work(ctx) }()
	w, err := afterwrite.Table[Counter](db).Put(t.Context(), &Counter{ID: "a"})
	require.NoError(t, err)
	require.NoError(t, w.Wait(t.Context()))
	_, err = asynq.NewClientFromRedisClient(rdb).Enqueue(asynq.NewTask("email:send", nil), asynq.Queue(own))
	require.NoError(t, err)
	<-sent
	stop()
	require.NoError(t, <-ended)
	server.Shutdown()
	require.NoError(t, db.Close())
}

// TestTwoOnOneRegisterer opens two DBs of one prefix on one registerer, after one that failed.
func TestTwoOnOneRegisterer(t *testing.T) {
	registry := prometheus.NewRegistry()
	cfg := afterwrite.Config{RedisURL: "redis://127.0.0.1:1/0", DatabaseURL: testkit.SQLite(t),
		Prefix: testkit.Prefix(t), Registerer: registry, Logger: testkit.Logger(t)}
	_, err := afterwrite.Open(t.Context(), cfg, afterwrite.Model[Counter]())
	require.ErrorIs(t, err, afterwrite.ErrUnavailable)
	cfg.RedisURL = testkit.SharedRedis(t).URL()
	var all []*afterwrite.DB
	for range 2 {
		db, err := afterwrite.Open(t.Context(), cfg, afterwrite.Model[Counter]())
		require.NoError(t, err)
		require.NoError(t, db.Migrate(t.Context()))
		_, err = afterwrite.Table[Counter](db).Put(t.Context(), &Counter{ID: "a"})
		require.NoError(t, err)
		all = append(all, db)
	}
	count := func() (labels []string) {
		families, err := registry.Gather()
		require.NoError(t, err)
		for _, f := range families {
			if f.GetName() != "afterwrite_writes_total" {
				continue
			}
			for _, m := range f.GetMetric() {
				for _, l := range m.GetLabel() {
					if l.GetName() == "db" {
						labels = append(labels, l.GetValue())
					}
				}
			}
		}
		slices.Sort(labels)
		return slices.Compact(labels)
	}
	require.ElementsMatch(t, []string{cfg.Prefix, cfg.Prefix + "/2"}, count())
	for _, db := range all {
		require.NoError(t, db.Close())
	}
	require.Empty(t, count())
}

func TestConfigSaysWhatIsWrong(t *testing.T) {
	for _, cfg := range []afterwrite.Config{
		{}, {RedisURL: "redis://x"}, {DatabaseURL: "sqlite://x"},
		{RedisURL: "redis://x", DatabaseURL: "mongo://x"}, {RedisURL: "http://x", DatabaseURL: "sqlite://x"},
		{RedisURL: "redis://x", DatabaseURL: "sqlite://x", Concurrency: -1},
		{Redis: redis.NewRing(&redis.RingOptions{}), DatabaseURL: "sqlite://x"},
	} {
		_, err := afterwrite.Open(t.Context(), cfg, afterwrite.Model[Counter]())
		require.Error(t, err)
	}
}

// TestOwnCluster opens a DB on a program's own client of a cluster.
func TestOwnCluster(t *testing.T) {
	cluster := testkit.RedisCluster(t)
	rdb := redis.NewClusterClient(&redis.ClusterOptions{Addrs: []string{cluster.Masters[0].Addr()}})
	t.Cleanup(func() { _ = rdb.Close() })
	db, err := afterwrite.Open(t.Context(), afterwrite.Config{
		Redis: rdb, DatabaseURL: testkit.SQLite(t), Prefix: testkit.Prefix(t), Logger: testkit.Logger(t),
	}, afterwrite.Model[Counter](afterwrite.Partitions(4)))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	require.NoError(t, db.Migrate(t.Context()))
	go func() { _ = db.Work(t.Context()) }()
	counters := afterwrite.Table[Counter](db)
	for _, id := range []string{"a", "b", "c", "d"} {
		_, err := counters.Put(t.Context(), &Counter{ID: id})
		require.NoError(t, err)
		n, w, err := counters.Add(t.Context(), id, "N", 2)
		require.NoError(t, err)
		require.EqualValues(t, 2, n)
		require.NoError(t, w.Wait(t.Context()))
	}
	got, err := counters.GetMany(t.Context(), "a", "b", "c", "d", "e")
	require.NoError(t, err)
	require.Len(t, got, 4)
}

// TestWhatCannotBeUsedIsNamed: clients and pools that do not fit are refused, with the reason.
func TestWhatCannotBeUsedIsNamed(t *testing.T) {
	small, err := sql.Open("pgx", "postgres://x")
	require.NoError(t, err)
	defer small.Close()
	small.SetMaxOpenConns(2)
	for want, cfg := range map[string]afterwrite.Config{
		"a migration takes 3":        {RedisURL: "redis://x", SQL: small, Dialect: "postgres"},
		"*redis.Ring cannot be used": {Redis: redis.NewRing(&redis.RingOptions{}), DatabaseURL: "sqlite://x"},
		`dialect "oracle"`:           {RedisURL: "redis://x", SQL: &sql.DB{}, Dialect: "oracle"},
		"GORM, SQL or DatabaseURL":   {RedisURL: "redis://x", SQL: &sql.DB{}, DatabaseURL: "sqlite://x"},
		"Redis or RedisURL": {Redis: redis.NewClient(&redis.Options{}), RedisURL: "redis://x",
			DatabaseURL: "sqlite://x"},
		`scheme "mongo" is not`: {RedisURL: "redis://x", DatabaseURL: "mongo://x"},
		"QueueRedis and QueueRedisURL": {RedisURL: "redis://x", DatabaseURL: "sqlite://x", QueueRedisURL: "redis://y",
			QueueRedis: redis.NewClient(&redis.Options{})},
	} {
		_, err := afterwrite.Open(t.Context(), cfg, afterwrite.Model[Counter]())
		require.ErrorContains(t, err, want)
	}
}

// TestAContextThatHasEnded accepts, reads and opens nothing.
func TestAContextThatHasEnded(t *testing.T) {
	cfg := afterwrite.Config{RedisURL: testkit.SharedRedis(t).URL(), DatabaseURL: testkit.SQLite(t),
		Prefix: testkit.Prefix(t), Logger: testkit.Logger(t)}
	db, err := afterwrite.Open(t.Context(), cfg, afterwrite.Model[Counter]())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	require.NoError(t, db.Migrate(t.Context()))
	counters := afterwrite.Table[Counter](db)
	_, err = counters.Put(t.Context(), &Counter{ID: "a", N: 1})
	require.NoError(t, err)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for name, call := range map[string]func() error{
		"Open":   func() error { _, err := afterwrite.Open(ended, cfg, afterwrite.Model[Counter]()); return err },
		"Put":    func() error { _, err := counters.Put(ended, &Counter{ID: "a", N: 2}); return err },
		"Create": func() error { _, err := counters.Create(ended, &Counter{ID: "b"}); return err },
		"Patch":  func() error { _, err := counters.Patch(ended, "a", afterwrite.Set("N", 2)); return err },
		"Update": func() error {
			_, err := counters.Update(ended, "a", func(c *Counter) error { c.N = 2; return nil })
			return err
		},
		"Add":    func() error { _, _, err := counters.Add(ended, "a", "N", 1); return err },
		"Delete": func() error { _, err := counters.Delete(ended, "a"); return err },
		"Get":    func() error { _, err := counters.Get(ended, "a"); return err },
		"Many":   func() error { _, err := counters.GetMany(ended, "a"); return err },
		"Flush":  func() error { return db.Flush(ended) },
	} {
		require.ErrorIs(t, call(), context.Canceled, name)
	}
	got, err := counters.Get(t.Context(), "a")
	require.NoError(t, err)
	require.EqualValues(t, 1, got.Value.N)
	_, err = counters.Get(t.Context(), "b")
	require.ErrorIs(t, err, afterwrite.ErrNotFound)
}

// TestOwnPoolOfMySQL: what only the DSN of a pool can give is asked for by name; the rest is set while a connection is
// in use and taken back, and the pool's connections are all that there are.
func TestOwnPoolOfMySQL(t *testing.T) {
	t.Run("mariadb", func(t *testing.T) { ownPoolOfMySQL(t, testkit.MariaDB(t).Database(t)) })
	t.Run("mysql", func(t *testing.T) { ownPoolOfMySQL(t, testkit.MySQL(t).Database(t)) })
}

func ownPoolOfMySQL(t *testing.T, url string) {
	const found, zone = "&clientFoundRows=true", "&time_zone=%27%2B00%3A00%27"
	pool := func(options string) *sql.DB {
		p, err := sql.Open("mysql", mysqlDSN(url, options))
		require.NoError(t, err)
		t.Cleanup(func() { _ = p.Close() })
		p.SetMaxOpenConns(3)
		return p
	}
	start := func(p *sql.DB) (*afterwrite.DB, error) {
		db, err := afterwrite.Open(t.Context(), afterwrite.Config{RedisURL: testkit.SharedRedis(t).URL(), SQL: p,
			Dialect: "mysql", Prefix: testkit.Prefix(t), Logger: testkit.Logger(t)}, afterwrite.Model[User]())
		if err != nil {
			return nil, err
		}
		t.Cleanup(func() { require.NoError(t, db.Close()) })
		return db, db.Migrate(t.Context())
	}
	for missing, options := range map[string]string{
		"parseTime=true": "loc=UTC" + found + zone, "loc=UTC": "parseTime=true&loc=Asia%2FTokyo" + found + zone,
		"time_zone=%27%2B00%3A00%27": "parseTime=true" + found, "clientFoundRows=true": "parseTime=true" + zone,
	} {
		for range 2 { // before the tables are there, and after
			p := pool(options)
			_, err := start(p)
			require.ErrorContains(t, err, "its DSN needs "+missing+":")
			require.NoError(t, p.Close())
		}
	}

	p := pool("parseTime=true" + found + zone + "&charset=latin1&sql_mode=%27%27&autocommit=0")
	sessions := func() (all []string) {
		var conns []*sql.Conn
		for range 3 {
			c, err := p.Conn(t.Context())
			require.NoError(t, err)
			conns = append(conns, c)
			rows, err := c.QueryContext(t.Context(), "SHOW SESSION VARIABLES")
			require.NoError(t, err)
			for rows.Next() {
				var name, value string
				require.NoError(t, rows.Scan(&name, &value))
				switch name { // these differ by themselves, or from a connection to another
				case "pseudo_thread_id", "timestamp", "last_gtid", "rand_seed1", "rand_seed2", "in_transaction", "statement_id",
					"insert_id", "last_insert_id", "identity", "error_count", "warning_count":
				default:
					all = append(all, name+"="+value)
				}
			}
			require.NoError(t, rows.Close())
			var said sql.NullString
			require.NoError(t, c.QueryRowContext(t.Context(), "SELECT @afterwrite_flush").Scan(&said))
			all = append(all, "flush="+said.String)
		}
		for _, c := range conns {
			require.NoError(t, c.Close())
		}
		return all
	}
	before := sessions()
	db, err := start(p)
	require.NoError(t, err)
	go func() { _ = db.Work(t.Context()) }()
	users := afterwrite.Table[User](db)
	u := User{Name: "Zoë 🙂", Profile: map[string]any{"a": `b"\`}}
	for range 3 {
		w, err := users.Put(t.Context(), &u)
		require.NoError(t, err)
		require.NoError(t, w.Wait(t.Context()))
	}
	require.NoError(t, db.Drop(t.Context()))
	got, err := users.Get(t.Context(), u.ID)
	require.NoError(t, err)
	require.Equal(t, u, got.Value)
	var conns int
	require.NoError(t, p.QueryRowContext(t.Context(), "SELECT count(*) FROM information_schema.PROCESSLIST WHERE "+
		"DB = DATABASE()").Scan(&conns))
	require.LessOrEqual(t, conns, 3)
	require.Equal(t, before, sessions())
	require.NoError(t, db.Close())
	require.NoError(t, p.PingContext(t.Context()))
}

// TestWithoutAQueue: a write by a producer that has no queue makes no task and takes no scheduled flag, which no
// task would free: so the next sweep takes the record.
func TestWithoutAQueue(t *testing.T) {
	rdb := ownRedis(t, testkit.SharedRedis(t))
	db, err := afterwrite.Open(t.Context(), afterwrite.Config{Redis: rdb, DatabaseURL: testkit.SQLite(t),
		Prefix: testkit.Prefix(t), Logger: testkit.Logger(t)}, afterwrite.Model[Counter]())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	require.NoError(t, db.Migrate(t.Context()))
	writes, err := db.Unqueued()
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, writes.Close()) })
	put := func(id string) {
		_, err := writes.Do(t.Context(), producer.Request{Op: cache.OpPut, Entity: "counter", ID: id,
			Fields: schema.Fields{"n": 1}})
		require.NoError(t, err)
	}
	put("first")
	stats, err := db.Stats(t.Context())
	require.NoError(t, err)
	for _, partition := range stats {
		require.Zero(t, partition.FlagUntil)
	}
	require.EqualValues(t, 1, pending.Total(stats).Pending)
	for name := range db.Queues() {
		_, err := asynq.NewInspectorFromRedisClient(rdb).GetQueueInfo(name)
		require.ErrorContains(t, err, "does not exist")
	}

	require.LessOrEqual(t, db.SweepInterval(), time.Second)
	go func() { _ = db.Work(t.Context()) }()
	counters := afterwrite.Table[Counter](db)
	persisted := func(id string) {
		testkit.Eventually(t, id+" is persisted", func() bool {
			got, err := counters.Get(t.Context(), id)
			return err == nil && got.Status == afterwrite.Persisted
		})
	}
	persisted("first")
	for _, id := range []string{"a", "b", "c", "d", "e"} {
		began := time.Now()
		put(id)
		persisted(id)
		t.Logf("in the row after %s", time.Since(began).Round(time.Millisecond))
	}
}

// TestOwnPoolOutlivesItsServer: connections of a pool that are lost are thrown away and not lent again, and what was
// accepted meanwhile reaches the row.
func TestOwnPoolOutlivesItsServer(t *testing.T) {
	t.Run("mariadb", func(t *testing.T) { ownPoolOutlives(t, testkit.DedicatedMariaDB(t, true)) })
	t.Run("mysql", func(t *testing.T) { ownPoolOutlives(t, testkit.DedicatedMySQL(t, true)) })
}

func ownPoolOutlives(t *testing.T, server *testkit.MySQLServer) {
	p, err := sql.Open("mysql", mysqlDSN(server.Database(t),
		"parseTime=true&clientFoundRows=true&time_zone=%27%2B00%3A00%27"))
	require.NoError(t, err)
	t.Cleanup(func() { _ = p.Close() })
	p.SetMaxOpenConns(3)
	db := openOn(t, afterwrite.Config{SQL: p, Dialect: "mysql"}, afterwrite.Model[Counter](afterwrite.Partitions(4)))
	counters := afterwrite.Table[Counter](db)
	for round := range 2 {
		var all []afterwrite.Written
		put := func() {
			for i := range 20 {
				w, err := counters.Put(t.Context(), &Counter{ID: fmt.Sprint(i), N: int64(round)})
				require.NoError(t, err)
				all = append(all, w)
			}
		}
		put()
		server.Kill()
		put()
		server.Start()
		for _, w := range all {
			require.NoError(t, w.Wait(t.Context()))
		}
		var rows int
		require.NoError(t, p.QueryRowContext(t.Context(), "SELECT count(*) FROM counters WHERE n = ?", round).Scan(&rows))
		require.Equal(t, 20, rows)
	}
	testkit.Eventually(t, "every connection is back", func() bool { return p.Stats().InUse == 0 })
}
