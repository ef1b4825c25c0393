package health_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/cache/pending"
	"github.com/afterwrite/afterwrite/internal/fleet"
	"github.com/afterwrite/afterwrite/internal/health"
	"github.com/afterwrite/afterwrite/internal/inspect"
	"github.com/afterwrite/afterwrite/internal/queue"
	"github.com/afterwrite/afterwrite/schema"
	"github.com/afterwrite/afterwrite/store/fault"
	"github.com/afterwrite/afterwrite/store/ledger"
	"github.com/afterwrite/afterwrite/store/survey"
)

var now = time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)

// calm is a state in which all is well.
func calm(t *testing.T) *health.State {
	t.Helper()
	e := &schema.Entity{Name: "user", Partitions: 2, Fields: []schema.Field{{Name: "name", Type: schema.String}}}
	require.NoError(t, e.Init())
	return &health.State{
		At: now,
		Redis: inspect.Health{Told: true, Version: "7.0.15", AOF: true, Fsync: "everysec", Latency: time.Millisecond,
			Clock: now},
		Entities: []health.Entity{{Entity: e, Partitions: make([]pending.Stats, 2)}}, Deep: &health.Deep{},
		Processes: []fleet.Process{{Kind: "worker", ID: "w"}, {Kind: "api", ID: "a"}},
		Queues:    []queue.Size{{Queue: "default"}},
	}
}

func waits(s *health.State, lag time.Duration) {
	s.Entities[0].Total = pending.Stats{Accepted: 1, Pending: 1, OldestPending: now.Add(-lag)}
}

// Each state has one judgement, whoever asks for it.
func TestJudgement(t *testing.T) {
	t.Parallel()
	alone := func(s *health.State) { s.Processes = nil }
	for name, c := range map[string]struct {
		state func(*health.State)
		check string
		level health.Level
		text  string
	}{
		"a lag that should be looked at": {func(s *health.State) { waits(s, 11*time.Second) }, "backlog of user",
			health.Warning, "for 11 s"},
		"a lag of more than a minute": {func(s *health.State) { waits(s, 61*time.Second) }, "backlog of user",
			health.Failure, "for 1 min 1 s"},
		"no worker, and nothing waits": {alone, "workers", health.Warning, "no write is pending"},
		"no worker, and a write waits": {func(s *health.State) { alone(s); waits(s, 11*time.Second) }, "workers",
			health.Failure, "1 write pending"},
		"a table in trouble": {func(s *health.State) {
			s.Processes[0].Info = map[string]string{fleet.TroubleInfo: `{"user":{"table":"users","error":"no column"}}`}
		}, "table of user", health.Failure, "takes no record: no column"},
		"an API that cannot use the database": {func(s *health.State) {
			s.Processes[1].Info = map[string]string{fleet.DatabaseInfo: "28P01"}
		}, "processes", health.Failure, "The api a cannot use the database: 28P01"},
		"a worker that takes it to be another": {func(s *health.State) {
			s.Processes[0].Info = map[string]string{fleet.PairingInfo: "apart"}
		}, "processes", health.Failure, "worker w accepts and flushes nothing: apart"},
		"a worker of another build": {func(s *health.State) {
			s.Processes[0] = fleet.Process{Kind: "worker", ID: "w", Unread: true}
		}, "processes", health.Warning, "The worker w is of another build"},
		"Redis is down": {func(s *health.State) { s.RedisErr = schema.ErrUnavailable }, "redis",
			health.Failure, "reads come from the database"},
		"Redis may evict": {func(s *health.State) { s.RedisErr = inspect.ErrEvictionPolicy },
			"redis eviction", health.Failure, "volatile-*"},
		"Redis is old": {func(s *health.State) { s.Redis.Version = "6.0.16" }, "redis version",
			health.Failure, "older than 6.2"},
		"Redis is slow": {func(s *health.State) { s.Redis.Latency = time.Second },
			"redis latency", health.Warning, "1.0 s"},
		"Redis is full": {func(s *health.State) { s.Deep.RedisWrites = schema.ErrRedisFull },
			"redis writes", health.Failure, "full"},
		"the database is down": {func(s *health.State) { s.DatabaseErr = errors.New("refused") },
			"database", health.Failure, "not responding"},
		"a missing column": {func(s *health.State) { s.Deep.Outstanding = []string{"add column email to users"} },
			"tables", health.Failure, "Schema error: 1 migration step is outstanding"},
		"a table that does not fit": {func(s *health.State) { s.Deep.Tables = fault.ErrUnfit }, "tables",
			health.Failure, "does not fit"},
		"the database takes no writes": {func(s *health.State) { s.Deep.DatabaseWrites = errors.New("locked") },
			"database writes", health.Failure, "A write to the database failed"},
		"a database that may lose commits": {func(s *health.State) {
			s.Deep.Weaknesses = []survey.Weakness{{Setting: "sync_binlog = 0", Risk: "a crash may undo commits", Fix: "set it"}}
		}, "database durability", health.Warning, "The database has sync_binlog = 0: a crash may undo commits."},
		"unpaired": {func(s *health.State) { s.Deep.Pairing = schema.ErrUnpaired },
			"pairing", health.Failure, "do not belong together"},
		"a loss": {func(s *health.State) {
			s.Deep.Losses = []ledger.Loss{{Entity: "user",
				Records: 3, Why: "evicted"}}
		}, "redis state", health.Failure, "3 accepted writes of user lost: evicted"},
		"clocks": {func(s *health.State) { s.Deep.Skew = -3 * time.Second },
			"redis clock", health.Warning, "3.0 s away"},
		"a paused queue": {func(s *health.State) { s.Queues[0].Paused = true }, "queue default",
			health.Warning, "paused"},
		"old sync tasks": {func(s *health.State) { s.Queues[0].Latency = time.Minute },
			"queue default", health.Warning, "1 min old"},
		"a watch without a trigger": {func(s *health.State) {
			s.Deep.Watches = []survey.Watch{{Entity: "user", Table: "users", Missing: []string{"afterwrite_watch_x"}}}
		}, "watch of user", health.Warning, "the trigger of users is missing (afterwrite_watch_x)"},
		"a watch that is off": {func(s *health.State) {
			s.Deep.Watches = []survey.Watch{{Entity: "user", Table: "users", Disabled: []string{"a", "b"}}}
		}, "watch of user", health.Warning, "2 triggers of users are disabled (a, b)"},
		"changes that wait": {func(s *health.State) {
			s.Deep.Watches = []survey.Watch{{Entity: "user", Waiting: 1, Oldest: time.Now().Add(-time.Minute)}}
		}, "watch of user", health.Warning, "changes of 1 record by other programs wait"},
		"unaccounted": {func(s *health.State) { s.Entities[0].Total = pending.Stats{Accepted: 1} }, "backlog of user",
			health.Failure, "1 accepted write is unaccounted for"},
		"keys": {func(s *health.State) {
			s.Entities[0].Partitions = []pending.Stats{{Keys: 90, MostKeys: 100}}
			s.Entities[0].Total = pending.Total(s.Entities[0].Partitions)
		}, "backlog of user", health.Warning, "90 Idempotency-Keys are kept"},
		"refused": {func(s *health.State) { s.Entities[0].Total = pending.Stats{Accepted: 2, Held: 1, Dead: 1} },
			"backlog of user", health.Warning, "2 writes refused, 1 of them dead"},
		"full": {func(s *health.State) { s.Entities[0].Partitions[1].Dead = 1 << 40 },
			"backlog of user", health.Failure, "is full"},
	} {
		s := calm(t)
		require.Empty(t, s.Findings(), name)
		c.state(s)
		found := s.Findings()
		require.Equal(t, c.level, health.Worst(found), "%s: %v", name, found)
		require.Condition(t, func() bool {
			for _, f := range found {
				if f.Check == c.check && f.Level == c.level {
					require.Contains(t, f.Text, c.text, name)
					require.NotEmpty(t, f.Hint, name)
					return true
				}
			}
			return false
		}, "%s: %v", name, found)
	}
	s := calm(t)
	s.Entities[0].Entity.Flush.Delay = time.Hour
	waits(s, time.Hour+time.Second)
	require.Empty(t, s.Findings(), "a lag is what comes on top of flush.delay")
}

// slow is a Redis and a database whose first round trip took an hour.
type slow struct {
	later error // of the next ones
	pings int
}

func (*slow) Stats(context.Context, *schema.Entity) ([]pending.Stats, error) { return nil, nil }

func (*slow) Alive(context.Context) ([]fleet.Process, error) { return nil, nil }

func (*slow) Check(context.Context) (inspect.Health, error) {
	return inspect.Health{Latency: time.Hour}, nil
}

func (s *slow) Ping(context.Context) error {
	s.pings++
	return s.later
}

// One slow round trip is not a slow Redis.
func TestOneSlowRoundTrip(t *testing.T) {
	t.Parallel()
	read := func(redis *slow) time.Duration {
		return health.Read(t.Context(), health.Sources{Redis: redis, Database: new(slow)}).Redis.Latency
	}
	redis := new(slow)
	require.Less(t, read(redis), time.Minute)
	require.Equal(t, 4, redis.pings)
	require.Equal(t, time.Hour, read(&slow{later: context.Canceled}))
}

// A Redis that takes no writes takes no heartbeats: nobody knows then which workers run.
func TestNoHeartbeatCanBeWritten(t *testing.T) {
	t.Parallel()
	s := calm(t)
	s.Processes, s.Deep.RedisWrites = nil, schema.ErrRedisReadOnly
	waits(s, 2*time.Minute)
	for _, f := range s.Findings() {
		if f.Check == "workers" {
			require.Equal(t, health.Warning, f.Level)
			require.Contains(t, f.Text, "heartbeats are writes")
			return
		}
	}
	require.Fail(t, "no finding")
}

// early is a Redis whose clock was read an hour before the last of the other figures.
type early struct{ slow }

func (*early) Check(context.Context) (inspect.Health, error) {
	return inspect.Health{Clock: time.Now().Add(-time.Hour)}, nil
}

// unmigrated are the depths of a database without tables.
type unmigrated struct{ health.Depths }

func (unmigrated) RedisWritable(context.Context) error { return nil }

func (unmigrated) Outstanding(context.Context) ([]string, error) { return []string{"all"}, nil }

func (unmigrated) Paired(context.Context) error { return nil }

// That a figure took long to read is no difference of clocks.
func TestSkewIsThatOfTheClockAlone(t *testing.T) {
	t.Parallel()
	from := health.Sources{Redis: new(early), Database: new(slow), Depths: unmigrated{}}
	s := health.Read(t.Context(), from)
	s.Look(t.Context(), from)
	require.Zero(t, s.Deep.Skew)
}
