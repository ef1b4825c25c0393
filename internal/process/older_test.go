package process

import (
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/cache/pending"
	"github.com/afterwrite/afterwrite/internal/config"
	"github.com/afterwrite/afterwrite/internal/testkit"
	"github.com/afterwrite/afterwrite/producer"
	"github.com/afterwrite/afterwrite/schema"
	"github.com/afterwrite/afterwrite/store"
	"github.com/afterwrite/afterwrite/store/ledger"
)

const olderConfig = `
redis: {url: %q}
database: {url: %q, max_open: 4, max_idle: 4}
worker: {poll_interval: 5ms, sweep_interval: 100ms}
entities:
  user:
    table: people
    partitions: 1
    fields:
      name: {type: text}
      age: {type: int}
`

// olderBench is a process on a Redis of its own, which can be put back to a copy of itself.
type olderBench struct {
	*Parts
	t      *testing.T
	server *testkit.RedisServer
	writes *producer.Producer
	e      *schema.Entity
	db     *sql.DB
	redis  testkit.RedisFaults
	sql    testkit.SQLFaults
}

// onOlder runs a test on each database, with a Redis of its own.
func onOlder(t *testing.T, fn func(t *testing.T, b *olderBench)) {
	testkit.Databases(t, func(t *testing.T, url string) {
		t.Parallel()
		server := testkit.Redis(t, testkit.AppendFsync("always"))
		options, err := redis.ParseURL(server.URL())
		require.NoError(t, err)
		client := redis.NewClient(options)
		t.Cleanup(func() { _ = client.Close() })
		b := newOlder(t, url, server.URL(), client)
		client.AddHook(&b.redis)
		b.server = server
		fn(t, b)
	})
}

// newOlder is a process on a database and a Redis; a client of the Redis may be given.
func newOlder(t *testing.T, url, redisURL string, client redis.UniversalClient) *olderBench {
	t.Helper()
	b := joinOlder(t, url, redisURL, client)
	require.NoError(t, b.CheckPairing(t.Context()))
	return b
}

// joinOlder is the same before it has compared the two.
func joinOlder(t *testing.T, url, redisURL string, client redis.UniversalClient) *olderBench {
	t.Helper()
	b := &olderBench{t: t, db: testkit.SQL(t, url)}
	file := filepath.Join(t.TempDir(), "afterwrite.yaml")
	require.NoError(t, os.WriteFile(file, fmt.Appendf(nil, olderConfig, redisURL, url), 0o600))
	c, err := config.Load(file, nil)
	require.NoError(t, err)
	b.e = c.Entities[0]
	log := slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn}))
	b.Parts, err = JoinOver(Over{Redis: client, Wrap: func(c driver.Connector) driver.Connector {
		return b.sql.Wrap(c)
	}}, c, "test", log)
	require.NoError(t, err)
	t.Cleanup(b.Close)
	_, err = b.Store.Migrate(t.Context(), false)
	require.NoError(t, err)
	require.NoError(t, b.CheckRedis(t.Context()))
	require.NoError(t, b.CheckDatabase(t.Context()))
	b.writes, err = b.NewProducer()
	require.NoError(t, err)
	return b
}

func (b *olderBench) put(id string, age int) {
	b.t.Helper()
	_, err := b.writes.Put(b.t.Context(), "user", id, schema.Fields{"name": id, "age": age})
	require.NoError(b.t, err)
}

func (b *olderBench) remove(id string) {
	b.t.Helper()
	_, err := b.writes.Delete(b.t.Context(), "user", id)
	require.NoError(b.t, err)
}

// row is the age in the database; "" without a row.
func (b *olderBench) row(id string) string {
	b.t.Helper()
	rows, err := b.Store.Load(b.t.Context(), b.e, []string{id})
	require.NoError(b.t, err)
	if rows[id] == nil {
		return ""
	}
	return rows[id][1]
}

// read is the age that a reader gets.
func (b *olderBench) read(id string) string {
	b.t.Helper()
	got, err := b.Cache.Get(b.t.Context(), b.e, id)
	require.NoError(b.t, err)
	if got.Deleted {
		return ""
	}
	return got.Values[1]
}

func (b *olderBench) stats() pending.Stats {
	b.t.Helper()
	all, err := b.Pending.Stats(b.t.Context(), b.e)
	require.NoError(b.t, err)
	return pending.Total(all)
}

// flush flushes one batch of at most so many records, as a worker does.
func (b *olderBench) flush(limit int) error {
	batch, persisted, err := b.commit(limit)
	if err == nil {
		_, err = b.Pending.Ack(b.t.Context(), b.e, 0, batch, persisted)
	}
	return err
}

// commit is flush without the ack.
func (b *olderBench) commit(limit int) (batch pending.Batch, persisted []schema.Change, err error) {
	ctx := b.t.Context()
	f, err := b.Store.Begin(ctx, b.e, 0)
	if err != nil {
		return batch, nil, err
	}
	defer f.Rollback()
	batch, err = b.Pending.Due(ctx, b.e, 0, limit, 1<<20)
	if err != nil {
		return batch, nil, err
	}
	if err := b.Pending.Note(ctx, b.e, 0, &batch, f.Before(), f.Turn()); err != nil {
		return batch, nil, err
	}
	reach := store.Reach(batch.Reach)
	if reach.Before == 0 {
		reach.Before, reach.Version = f.Reach().Before, f.Reach().Version
	}
	f.Reaches(reach)
	changes := make([]schema.Change, len(batch.Due))
	for i, d := range batch.Due {
		changes[i] = d.Change
	}
	outcome, err := f.Write(ctx, changes)
	if err != nil {
		return batch, nil, err
	}
	return batch, outcome.Persisted, f.Commit(ctx)
}

func (b *olderBench) drain() {
	b.t.Helper()
	for b.stats().Pending > 0 {
		require.NoError(b.t, b.flush(100))
	}
}

// clock is Redis's time, in ms.
func (b *olderBench) clock() int64 {
	b.t.Helper()
	now, err := b.server.Client(b.t).Time(b.t.Context()).Result()
	require.NoError(b.t, err)
	return now.UnixMilli()
}

// putBack is testkit's, and waits until the clients are connected again.
func (b *olderBench) putBack(back func()) {
	b.t.Helper()
	back()
	testkit.Eventually(b.t, "Redis is back", func() bool { return b.Cache.Ping(b.t.Context()) == nil })
}

// balanced checks what must hold when all is over, and that one loss of the entity is open.
func (b *olderBench) balanced(letters int) []ledger.Letter {
	b.t.Helper()
	losses, err := b.Losses(b.t.Context(), b.Config.Entities)
	require.NoError(b.t, err)
	require.Len(b.t, losses, 1)
	require.Contains(b.t, losses[0].Why, "an old copy of its files")
	require.NotZero(b.t, losses[0].Number)
	require.Zero(b.t, b.stats().Imbalance())
	open, err := b.Store.Letters(b.t.Context(), ledger.LetterFilter{Entity: "user", State: ledger.StateOpen}, 0, 100)
	require.NoError(b.t, err)
	require.Len(b.t, open, letters)
	return open
}

// TestI3OlderRedis: a Redis that was put back moves no row back and serves nothing that is
// older than a row, and what it lists that no flush had read is persisted. The loss is noted
// once. Each step of the repair may fail, or be the last of a process.
func TestI3OlderRedis(t *testing.T) {
	steps := map[string]func(b *olderBench, mode testkit.Mode){
		"none":        func(*olderBench, testkit.Mode) {},
		"begin":       func(b *olderBench, m testkit.Mode) { b.sql.Inject(m, testkit.Begin) },
		"commit":      func(b *olderBench, m testkit.Mode) { b.sql.Inject(m, testkit.Commit) },
		"fence":       func(b *olderBench, m testkit.Mode) { b.sql.Inject(m, testkit.Lock) },
		"fence again": func(b *olderBench, m testkit.Mode) { b.sql.Inject(m, testkit.Lock, testkit.After(1)) },
		"letter": func(b *olderBench, m testkit.Mode) {
			b.sql.Inject(m, testkit.Statement("insert into", "afterwrite_dead_letters"))
		},
	}
	for _, script := range []string{"pair", "older", "yield", "repaired", "invalidate"} {
		steps[script] = func(b *olderBench, m testkit.Mode) { b.redis.Inject(m, testkit.Script(b.t, script)) }
	}
	onOlder(t, func(t *testing.T, b *olderBench) {
		n := 0
		for step, inject := range steps {
			for _, mode := range []testkit.Mode{testkit.Refuse, testkit.LoseReply} {
				if n++; step == "none" && mode == testkit.LoseReply {
					continue
				}
				b.round(fmt.Sprintf("%s-%d", strings.ReplaceAll(step, " ", "-"), mode), func() { inject(b, mode) })
			}
		}
	})
}

// round puts Redis back once, with ids of its own.
func (b *olderBench) round(name string, inject func()) {
	t, ctx := b.t, b.t.Context()
	id := func(s string) string { return name + "-" + s }
	b.put(id("cached"), 1)
	b.drain()
	b.put(id("newer"), 1)
	b.put(id("same"), 1)
	b.put(id("gone"), 1)
	b.put(id("unread"), 1)
	b.put(id("tie"), 1)
	b.put(id("tie-same"), 1)
	// The times at which they became pending tell apart what a flush had read.
	base := b.clock() + 1
	testkit.Eventually(t, "they are in the past", func() bool { return b.clock() > base+5 })
	for i, s := range []string{"newer", "same", "gone", "tie", "tie-same", "unread"} {
		at := float64(base + int64(min(i, 3)))
		if s == "unread" {
			at = float64(base + 5)
		}
		require.NoError(t, b.server.Client(t).ZAdd(ctx, string(b.Cache.Prefix())+":{user/0}:pending",
			redis.Z{Score: at, Member: id(s)}).Err())
	}
	back := b.server.Copy()
	require.NoError(t, b.flush(5)) // one of a time that others have may be left
	b.put(id("newer"), 2)
	b.put(id("tie"), 2)
	b.remove(id("gone"))
	b.put(id("cached"), 100)
	// The newer states are persisted by a batch that does not reach the last record.
	require.NoError(t, b.server.Client(t).ZAdd(ctx, string(b.Cache.Prefix())+":{user/0}:pending",
		redis.Z{Score: float64(base), Member: id("newer")}, redis.Z{Score: float64(base), Member: id("gone")},
		redis.Z{Score: float64(base + 1), Member: id("cached")}, redis.Z{Score: float64(base + 3), Member: id("tie")}).Err())
	require.NoError(t, b.flush(4))
	require.Equal(t, "100", b.row(id("cached")))
	require.Equal(t, "", b.row(id("unread")))
	b.put(id("lost"), 1)
	b.putBack(back)

	require.ErrorIs(t, b.flush(100), schema.ErrOlder, name)
	unnoted, err := b.Losses(ctx, b.Config.Entities)
	require.NoError(t, err)
	require.Len(t, unnoted, 1)
	inject()
	err = b.CheckPairing(ctx)
	b.redis.Clear()
	b.sql.Clear()
	if err != nil {
		require.True(t, Unreachable(err) || errors.Is(err, schema.ErrUnavailable), "%s: %v", name, err)
		require.NoError(t, b.CheckPairing(ctx), name)
	}
	b.drain()

	for s, want := range map[string]string{"cached": "100", "newer": "2", "same": "1", "gone": "", "unread": "1",
		"tie": "2", "tie-same": "1", "lost": ""} {
		require.Equal(t, want, b.row(id(s)), "%s %s", name, s)
		require.Equal(t, want, b.read(id(s)), "%s %s", name, s)
	}
	letters := b.balanced(1)
	require.Equal(t, id("tie"), letters[0].ID, name)
	require.Equal(t, schema.KindOlder, letters[0].Refusal.Kind)
	require.Equal(t, `{"name":"`+id("tie")+`","age":1}`, letters[0].Payload)

	// All goes on: nothing more is noted, and what is written is newer than all.
	require.NoError(t, b.CheckPairing(ctx))
	_, err = b.writes.Increment(ctx, "user", id("cached"), schema.Fields{"age": 1})
	require.NoError(t, err)
	b.drain()
	require.Equal(t, "101", b.row(id("cached")), name)
	b.balanced(1)
	losses, err := b.Losses(ctx, b.Config.Entities)
	require.NoError(t, err)
	_, err = b.Acknowledge(ctx, losses, "a test", ledger.Actor{Name: "test"})
	require.NoError(t, err)
	_, err = b.Store.Resolve(ctx, []int64{letters[0].Number}, ledger.Discarded, ledger.Actor{Name: "test"})
	require.NoError(t, err)
}

// TestOlderRedisWithItsClockSetBack: what was accepted since looks as old as what was read, so
// nothing of it is dropped: where it differs from its row it becomes a letter. Versions go on
// above all that were read.
func TestOlderRedisWithItsClockSetBack(t *testing.T) {
	onOlder(t, func(t *testing.T, b *olderBench) {
		ctx := t.Context()
		b.put("old", 1)
		back := b.server.Copy()
		b.drain()
		b.put("old", 2)
		b.put("other", 2)
		b.drain()
		// As if Redis had shown an hour more.
		hour := time.Hour.Milliseconds()
		_, err := b.db.ExecContext(ctx, fmt.Sprintf(
			"UPDATE afterwrite_fences SET read_before = read_before + %d, read_last = read_last + %d, read_version = read_version + %d, read_newest = read_newest + %d",
			hour, hour, hour*1000, hour*1000))
		require.NoError(t, err)
		b.putBack(back)
		b.put("new", 3)
		b.put("other", 4)
		require.NoError(t, b.CheckPairing(ctx))
		b.put("later", 5)
		b.drain()
		require.Equal(t, "5", b.row("later"))
		require.Equal(t, "2", b.row("old"))
		kept := map[string]bool{}
		for _, l := range b.balanced(3) {
			kept[l.ID+l.Payload] = true
		}
		require.Equal(t, map[string]bool{`new{"name":"new","age":3}`: true, `other{"name":"other","age":4}`: true,
			`old{"name":"old","age":1}`: true}, kept)
	})
}

// What an older copy and its row have in common is no letter, and a record that was written
// again since keeps that write alone.
func TestOlderRedisRewritten(t *testing.T) {
	onOlder(t, func(t *testing.T, b *olderBench) {
		ctx := t.Context()
		b.put("a", 1)
		b.drain()
		_, err := b.writes.Patch(ctx, "user", "a", schema.Fields{"name": "older"})
		require.NoError(t, err)
		back := b.server.Copy()
		b.drain()
		_, err = b.writes.Patch(ctx, "user", "a", schema.Fields{"name": "newer"})
		require.NoError(t, err)
		b.drain()
		b.putBack(back)
		_, err = b.writes.Patch(ctx, "user", "a", schema.Fields{"age": 7})
		require.NoError(t, err)
		require.NoError(t, b.CheckPairing(ctx))
		b.drain()
		rows, err := b.Store.Load(ctx, b.e, []string{"a"})
		require.NoError(t, err)
		require.Equal(t, schema.Values{`"newer"`, "7"}, rows["a"])
		got, err := b.Cache.Get(ctx, b.e, "a")
		require.NoError(t, err)
		require.Equal(t, rows["a"], got.Values)
		b.balanced(0)
	})
}

// A flush that leaves out a refused record says nothing of all records: what it refused is not taken for persisted,
// and an older write of a record that was written again in the older copy is not flushed over a newer one.
func TestI3OlderRedisAfterARefusal(t *testing.T) {
	onOlder(t, func(t *testing.T, b *olderBench) {
		ctx := t.Context()
		patch := func(id string, f schema.Fields) {
			t.Helper()
			_, err := b.writes.Patch(ctx, "user", id, f)
			require.NoError(t, err)
		}
		_, err := b.db.ExecContext(ctx, `CREATE UNIQUE INDEX one_age ON people (age)`)
		require.NoError(t, err)
		b.put("taken", 1)
		b.put("a", 2)
		b.put("mixed", 3)
		b.drain()
		// A first state of bad is persisted, and its ack is lost: it is pending since before what that flush has read.
		b.put("bad", 4)
		since := b.clock()
		testkit.Eventually(t, "the clock has gone on", func() bool { return b.clock() > since })
		_, _, err = b.commit(100)
		require.NoError(t, err)
		patch("bad", schema.Fields{"age": 1})
		patch("a", schema.Fields{"name": "older"})
		patch("mixed", schema.Fields{"name": "older"})
		back := b.server.Copy()
		require.NoError(t, b.flush(100))
		require.Equal(t, "4", b.row("bad"), "another row has its new age")
		patch("a", schema.Fields{"name": "newer"})
		patch("mixed", schema.Fields{"name": "newer"})
		require.NoError(t, b.flush(100))
		b.putBack(back)
		patch("mixed", schema.Fields{"age": 7})
		require.NoError(t, b.CheckPairing(ctx))
		b.drain()
		rows, err := b.Store.Load(ctx, b.e, []string{"a", "bad", "mixed"})
		require.NoError(t, err)
		require.Equal(t, map[string]schema.Values{"a": {`"newer"`, "2"}, "bad": {`"bad"`, "4"}, "mixed": {`"newer"`, "7"}}, rows)
		got, err := b.Cache.Get(ctx, b.e, "mixed")
		require.NoError(t, err)
		require.Equal(t, rows["mixed"], got.Values)
		kept := map[string][]string{}
		for _, l := range b.balanced(3) {
			kept[l.ID+l.Payload] = l.Changed
		}
		require.Equal(t, map[string][]string{`a{"name":"older","age":2}`: {"name"}, `bad{"name":"bad","age":1}`: nil,
			`mixed{"name":"older","age":7}`: {"name"}}, kept)
	})
}

// TestJudged is the table of docs/ARCHITECTURE.md.
func TestJudged(t *testing.T) {
	t.Parallel()
	reach := store.Reach{Before: 1000, Last: 2000, Version: 50, Newest: 60}
	now := time.UnixMilli(3000)
	for name, c := range map[string]struct {
		due  pending.Due
		now  time.Time
		want verdict
	}{
		"accepted since":           {due: due(61, 500, false), want: wanted},
		"written during the read":  {due: due(60, 500, false), want: doubtful},
		"not read":                 {due: due(50, 2001, false), want: wanted},
		"read":                     {due: due(50, 999, false), want: persisted},
		"perhaps read":             {due: due(50, 1000, false), want: doubtful},
		"held":                     {due: due(50, 999, true), want: doubtful},
		"held, refused since":      {due: due(50, 2001, true), want: wanted},
		"the clock was set back":   {due: due(50, 999, false), now: time.UnixMilli(2000), want: doubtful},
		"set back, accepted since": {due: due(61, 999, false), now: time.UnixMilli(2000), want: wanted},
	} {
		if c.now.IsZero() {
			c.now = now
		}
		require.Equal(t, c.want, judged(c.due, reach, c.now), name)
	}
}

func due(version schema.Version, since int64, held bool) pending.Due {
	return pending.Due{Change: schema.Change{Version: version}, PendingSince: time.UnixMilli(since), Held: held}
}

// TestALetterOfAnOlderRedisNamesWhatWasChanged: a restore of it writes nothing else.
func TestALetterOfAnOlderRedisNamesWhatWasChanged(t *testing.T) {
	t.Parallel()
	e := &schema.Entity{Name: "user", Fields: []schema.Field{{Name: "name", Type: schema.String},
		{Name: "age", Type: schema.Int}}}
	require.NoError(t, e.Init())
	d := pending.Due{Change: schema.Change{ID: "a", Version: 7, Values: schema.Values{`"Ann"`, "3"}, Only: []int{1}},
		Unknown: []string{"nick"}, Unread: map[string]string{"nick": `"N"`, "theirs": "1"}}
	l := letterOf(e, d, time.UnixMilli(5))
	require.Equal(t, []string{"age", "nick"}, l.Changed)
	require.Equal(t, `{"name":"Ann","age":3,"nick":"N","theirs":1}`, l.Payload)
	require.Equal(t, time.UnixMilli(5), l.AcceptedAt)
	d.Only = nil
	require.Nil(t, letterOf(e, d, time.UnixMilli(5)).Changed, "a PUT writes all fields")
}

// TestALossIsNotedOnce: processes that notice a loss at the same time, and those that find later what is left of it,
// note it once for each entity, whichever entities they find first. Redis may go back again after that.
func TestALossIsNotedOnce(t *testing.T) {
	onOlder(t, func(t *testing.T, b *olderBench) {
		ctx := t.Context()
		other := &schema.Entity{Name: "other"}
		notice := func(of ...*schema.Entity) {
			t.Helper()
			now, err := b.Cache.Pairing(ctx)
			require.NoError(t, err)
			failed := make(chan error)
			for range 4 {
				go func() { failed <- b.noteOlder(ctx, now.Life, of) }()
			}
			for range 4 {
				if err := <-failed; err != nil {
					t.Log("tried again:", err)
				}
			}
			require.NoError(t, b.noteOlder(ctx, now.Life, of))
		}
		open := func(of ...string) {
			t.Helper()
			losses, err := b.Store.OpenLosses(ctx)
			require.NoError(t, err)
			var names []string
			for _, l := range losses {
				names = append(names, l.Entity)
			}
			require.Equal(t, of, names)
		}
		notice(b.e)
		open("user")
		notice(b.e, other)
		open("user", "other")
		notice(b.e)
		notice(other)
		open("user", "other")
		losses, err := b.Store.OpenLosses(ctx)
		require.NoError(t, err)
		_, err = b.Store.Acknowledge(ctx, losses, "seen", ledger.Actor{Name: "ann"})
		require.NoError(t, err)
		notice(b.e)
		open("user")
	})
}

// TestALossIsAcknowledgedBeforeItIsNoted: a loss that was acknowledged while no process ran is not open again when one
// starts.
func TestALossIsAcknowledgedBeforeItIsNoted(t *testing.T) {
	onOlder(t, func(t *testing.T, b *olderBench) {
		ctx := t.Context()
		b.put("a", 1)
		back := b.server.Copy()
		b.drain()
		b.putBack(back)
		losses, err := b.Losses(ctx, b.Config.Entities)
		require.NoError(t, err)
		require.Len(t, losses, 1)
		require.Zero(t, losses[0].Number)
		n, err := b.Acknowledge(ctx, losses, "seen", ledger.Actor{Name: "ann"})
		require.NoError(t, err)
		require.Equal(t, 1, n)
		require.NoError(t, b.CheckPairing(ctx))
		losses, err = b.Losses(ctx, b.Config.Entities)
		require.NoError(t, err)
		require.Empty(t, losses)
		b.drain()
		require.Equal(t, "1", b.row("a"))
	})
}

// TestACountedLossIsAcknowledgedOnce: of two operators who saw the same loss the second acknowledges nothing, and what
// is lost later is not hidden.
func TestACountedLossIsAcknowledgedOnce(t *testing.T) {
	onOlder(t, func(t *testing.T, b *olderBench) {
		ctx := t.Context()
		lost := func(id string) []ledger.Loss {
			t.Helper()
			b.put(id, 1)
			client := b.server.Client(t)
			require.NoError(t, client.Del(ctx, b.Cache.Prefix().Keys(b.e, 0).Record+id).Err())
			require.NoError(t, client.Close())
			_, err := b.Pending.Drop(ctx, b.e, 0, []string{id})
			require.NoError(t, err)
			losses, err := b.Losses(ctx, b.Config.Entities)
			require.NoError(t, err)
			return losses
		}
		seen := lost("a")
		require.Len(t, seen, 1)
		for _, want := range []int{1, 0} {
			n, err := b.Acknowledge(ctx, slices.Clone(seen), "seen", ledger.Actor{Name: "ann"})
			require.NoError(t, err)
			require.Equal(t, want, n)
		}
		require.Len(t, lost("b"), 1)
	})
}
