package worker

import (
	"context"
	"database/sql"
	"fmt"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/cache"
	"github.com/afterwrite/afterwrite/cache/pending"
	"github.com/afterwrite/afterwrite/internal/operate"
	"github.com/afterwrite/afterwrite/internal/testkit"
	"github.com/afterwrite/afterwrite/internal/testkit/check"
	"github.com/afterwrite/afterwrite/internal/testkit/whole"
	"github.com/afterwrite/afterwrite/producer"
	"github.com/afterwrite/afterwrite/schema"
	"github.com/afterwrite/afterwrite/store/ledger"
)

// ample is enough for the largest tests on a busy machine.
const ample = 5 * time.Minute

var ann = ledger.Actor{Name: "ann", Origin: "127.0.0.1"}

// strict returns a worker that knows the live policies, so that records may die.
func (b *bench) strict(change ...func(*Config)) *Worker {
	b.t.Helper()
	w := b.worker(change...)
	require.NoError(b.t, w.follow(b.t.Context()))
	return w
}

// settled runs what is due, whatever fails, until nothing is pending or held.
func (b *bench) settled(w *Worker) {
	b.t.Helper()
	testkit.Within(b.t, ample, "nothing is pending or held", func() bool {
		b.flush(w)
		_ = w.sweepOnce(b.t.Context())
		s := b.stats()
		return s.Pending+s.Held == 0
	})
}

// leads makes the worker the leader.
func (b *bench) leads(w *Worker) {
	b.t.Helper()
	testkit.Eventually(b.t, "it is the leader", func() bool {
		return w.sweepOnce(b.t.Context()) == nil &&
			w.leading.Load()
	})
}

// closed has a leader look at the letters until none is open.
func (b *bench) closed(w *Worker) {
	b.t.Helper()
	testkit.Within(b.t, ample, "no letter is open", func() bool {
		_ = w.sweepOnce(b.t.Context())
		_ = w.tidy(b.t.Context())
		return b.count(ledger.LetterFilter{State: ledger.StateOpen}) == 0
	})
}

func (b *bench) count(f ledger.LetterFilter) int {
	b.t.Helper()
	n, err := b.store.CountLetters(b.t.Context(), f)
	require.NoError(b.t, err)
	return n
}

// operator returns an operator's tools, as after a restart.
func (b *bench) operator() *operate.Operator {
	b.t.Helper()
	p, err := producer.New(producer.Config{Entities: b.all, Cache: b.cache, Queue: b.orders, Loader: b.store,
		Log: testkit.Logger(b.t)})
	require.NoError(b.t, err)
	b.t.Cleanup(func() { _ = p.Close() })
	m, err := operate.New(operate.Config{
		Entities: b.all, Letters: b.store, Records: whole.Of(b.cache), Writes: p, Queue: b.orders, Rate: 1_000_000,
		Log: testkit.Logger(b.t),
	})
	require.NoError(b.t, err)
	return m
}

// exec changes the database behind the product's back.
func (b *bench) exec(statements string) {
	b.t.Helper()
	execute(b.t, testkit.SQL(b.t, b.db), testkit.Spell(b.db, statements))
}

func execute(t testing.TB, db *sql.DB, statements string) {
	t.Helper()
	_, err := db.ExecContext(t.Context(), statements)
	require.NoError(t, err)
}

// check is the state of the whole deployment: fsck and the conservation sum.
func (b *bench) check() {
	b.t.Helper()
	check.All(b.t, check.Deployment{Entities: b.all, Cache: b.cache, Store: b.store})
}

func (b *bench) status(id string) cache.State {
	b.t.Helper()
	s, err := b.cache.Status(b.t.Context(), b.e, id)
	require.NoError(b.t, err)
	return s
}

func TestI5ARefusedRecordBecomesALetter(t *testing.T) {
	onEach(t, func(t *testing.T, b *bench) {
		w := b.strict()
		b.mail("owner", "x", "taken@x")
		b.drain(w)
		start := time.Now()
		version := b.mail("bad", "größe \\ \"", "taken@x")
		values := b.status("bad").Record.Values
		b.settled(w)

		l, err := b.store.LetterOf(t.Context(), "user", "bad", version)
		require.NoError(t, err)
		require.Equal(t, string(b.e.AppendFields(nil, values)), l.Payload, "the whole payload")
		require.False(t, l.Deleted)
		require.Equal(t, schema.KindUnique, l.Refusal.Kind)
		require.Equal(t, "email", l.Refusal.Column)
		require.Equal(t, ledger.Unresolved, l.Resolution)
		require.Equal(t, 3, l.Attempts)
		require.WithinDuration(t, start, l.AcceptedAt, time.Minute)
		require.Len(t, l.History, 3)
		for i, a := range l.History {
			require.Equal(t, i+1, a.Number)
			require.Equal(t, schema.KindUnique, a.Kind)
			require.Equal(t, w.id, a.Worker)
			require.NotEmpty(t, a.Message)
			require.False(t, a.At.Before(l.AcceptedAt), "%s, accepted %s", a.At, l.AcceptedAt)
			if i > 0 {
				require.GreaterOrEqual(t, a.At.Sub(l.History[i-1].At), 19*time.Millisecond)
			}
		}
		require.Equal(t, l.History[2].At.UnixMilli(), l.DiedAt.UnixMilli())

		s := b.status("bad")
		require.Equal(t, schema.Dead, s.Record.Status)
		require.Equal(t, values, s.Record.Values, "still readable")
		require.EqualValues(t, 1, b.stats().Dead)
		require.EqualValues(t, 1, testutil.ToFloat64(w.metrics.dead.WithLabelValues("user", "unique")))
		require.EqualValues(t, 2, testutil.ToFloat64(w.metrics.retried.WithLabelValues("user", "unique")))
		b.check()

		b.mail("bad", "newer", "free@x")
		require.Equal(t, 1, b.count(ledger.LetterFilter{State: ledger.StateOpen}))
		b.closed(w)
		require.Equal(t, 1, b.count(ledger.LetterFilter{Resolution: ledger.Superseded}))
		b.settled(w)
		b.check()
	})
}

// A deletion that the database refuses is a letter without a payload.
func TestADeletionCanBecomeALetter(t *testing.T) {
	onEach(t, func(t *testing.T, b *bench) {
		w := b.strict()
		b.put("a", "1")
		b.drain(w)
		b.exec(`CREATE TABLE visits (id text, visitor ` + b.idType() +
			` REFERENCES users (id)); INSERT INTO visits VALUES ('v', 'a')`)
		version := b.delete("a")
		b.settled(w)
		l, err := b.store.LetterOf(t.Context(), "user", "a", version)
		require.NoError(t, err)
		require.True(t, l.Deleted)
		require.Empty(t, l.Payload)
		require.Equal(t, schema.KindForeignKey, l.Refusal.Kind)
		b.exec(`DELETE FROM visits`)
		_, err = b.operator().Retry(t.Context(), operate.Selection{}, ann)
		require.NoError(t, err)
		b.settled(w)
		b.closed(w)
		require.Empty(t, b.names())
		b.check()
	})
}

func (b *bench) idType() string {
	if b.store.Dialect() == "postgres" {
		return "varchar(64)"
	}
	return "text"
}

// Until the live policies are known nothing dies: the configuration's may be stricter.
func TestNothingDiesByAPolicyThatMayNotBeInForce(t *testing.T) {
	t.Parallel()
	b := setup(t, testkit.SQLite(t))
	w := b.worker()
	b.mail("owner", "x", "taken@x")
	b.drain(w)
	b.mail("bad", "x", "taken@x")
	testkit.Eventually(t, "it was refused more often than the policy has attempts", func() bool {
		b.drain(w)
		return b.status("bad").Attempts > b.e.Retry.MaxAttempts
	})
	b.quiet(1)
	require.NoError(t, w.follow(t.Context()))
	b.settled(w)
	require.EqualValues(t, 1, b.stats().Dead)
}

// The database is away for many times the policy's whole schedule, with a record held.
func TestAnOutageBringsNobodyNearerToDeath(t *testing.T) {
	onEach(t, func(t *testing.T, b *bench) {
		b.e.Retry.Base, b.e.Retry.Cap = time.Hour, time.Hour
		w := b.strict()
		b.mail("owner", "x", "taken@x")
		b.drain(w)
		b.mail("bad", "x", "taken@x")
		b.flush(w)
		outage := b.away()
		b.hasten("bad")
		before := b.status("bad")
		require.Equal(t, schema.Held, before.Record.Status)
		// A worker that begins meanwhile knows no live policy; one that runs keeps its own.
		running := b.worker(b.serving)
		stop := b.run(running)
		testkit.Eventually(t, "it was tried many times", func() bool {
			b.flush(w)
			_ = w.sweepOnce(t.Context())
			return outage.Hits() > 10
		})
		after := b.status("bad")
		require.Equal(t, before, after)
		outage.Release()
		testkit.Eventually(t, "the policies are known", running.policies.known.Load)
		testkit.Eventually(t, "the rest of its attempts", func() bool {
			b.hasten("bad") // again where the leader has given it its policy's time
			return b.stats().Dead == 1
		})
		stop()
		l, err := b.store.LetterOf(t.Context(), "user", "bad", before.Record.Version)
		require.NoError(t, err)
		require.Equal(t, 3, l.Attempts)
		require.Len(t, l.History, 3)
		require.Equal(t, 1, b.count(ledger.LetterFilter{}))
		b.check()
	})
}

// Many dead letters are as many rows; the cause removed, they are sent back and persisted.
func TestChaosI5EveryDeadRecordIsARow(t *testing.T) {
	good, bad := 20_000, 2_001
	if testkit.ChaosTime(t, 0) > 0 {
		good, bad = 200_000, 20_001
	}
	onEach(t, func(t *testing.T, b *bench) {
		b.e.Partitions = 4
		b.e.Retry.MaxAttempts = 2
		w := b.strict()
		b.mail("owner", "x", "taken@x")
		b.drain(w)
		b.accepted(good, bad)
		b.settled(w)
		s := b.stats()
		require.EqualValues(t, good+1, s.Persisted)
		require.EqualValues(t, bad, s.Dead)
		require.Equal(t, bad, b.count(ledger.LetterFilter{State: ledger.StateWaiting, Kind: schema.KindUnique}))
		var rows, ids int
		count := testkit.SQL(t, b.db).QueryRowContext(t.Context(),
			"SELECT count(*), count(DISTINCT id) FROM afterwrite_dead_letters")
		require.NoError(t, count.Scan(&rows, &ids))
		require.Equal(t, []int{bad, bad}, []int{rows, ids})
		b.check()

		b.exec("DROP INDEX uq_users_email")
		r, err := b.operator().Retry(t.Context(), operate.Selection{Filter: ledger.LetterFilter{Entity: "user"},
			Expect: bad}, ann)
		require.NoError(t, err)
		require.Equal(t, operate.Report{Selected: bad, Done: bad}, r)
		b.settled(w)
		b.closed(w)
		require.Equal(t, bad, b.count(ledger.LetterFilter{Resolution: ledger.Persisted}))
		s = b.stats()
		require.EqualValues(t, good+bad+1, s.Persisted)
		require.Zero(t, s.Dead)
		b.check()
	})
}

// accepted accepts good records and bad ones among them, many a round trip. The bad ones
// have the email of another.
func (b *bench) accepted(good, bad int) {
	groups := make([]*cache.Group, b.e.Partitions)
	for p := range groups {
		groups[p] = &cache.Group{Entity: b.e, Partition: p}
	}
	for i := range good + bad {
		name := fmt.Sprint("u", i)
		email := name + "@x"
		if i*bad/(good+bad) != (i+1)*bad/(good+bad) {
			email = "taken@x"
		}
		values, err := b.e.Whole(schema.Fields{"name": name, "email": email})
		require.NoError(b.t, err)
		g := groups[b.e.Partition(name)]
		g.Writes = append(g.Writes, cache.Write{Op: cache.OpPut, ID: name, Values: values})
		if len(g.Writes) == 200 {
			b.accept(g)
		}
	}
	for _, g := range groups {
		b.accept(g)
	}
}

// Closing goes round all letters, leaves those alone that wait, and old ones go.
func TestTheSweeperClosesAndDeletesLetters(t *testing.T) {
	onEach(t, func(t *testing.T, b *bench) {
		b.e.Retry.MaxAttempts = 1
		w := b.strict(func(c *Config) { c.KeepLetters, c.KeepAudit = time.Nanosecond, time.Nanosecond })
		b.mail("owner", "x", "taken@x")
		b.drain(w)
		const dead = 3 * lettersPage / 2
		for i := range dead {
			b.mail(id(i), "x", "taken@x")
		}
		b.settled(w)
		require.EqualValues(t, dead, b.stats().Dead)
		b.leads(w)
		for range 6 {
			require.NoError(t, w.tidy(t.Context()))
		}
		require.Equal(t, dead, b.count(ledger.LetterFilter{State: ledger.StateOpen}), "all of them wait")

		for i := range dead - 1 {
			b.put(id(i), "newer")
		}
		peek := b.redis.Inject(testkit.Refuse, testkit.Script(t, "fate"), testkit.Always())
		b.leads(w)
		require.Error(t, w.tidy(t.Context()))
		require.Equal(t, dead, b.count(ledger.LetterFilter{State: ledger.StateOpen}),
			"what it cannot see it does not close")
		peek.Release()
		testkit.Eventually(t, "the others are closed", func() bool {
			b.leads(w)
			_ = w.tidy(t.Context())
			return b.count(ledger.LetterFilter{State: ledger.StateOpen}) == 1
		})
		w.round.purge = time.Time{}
		testkit.Eventually(t, "resolved ones are deleted", func() bool {
			_ = w.tidy(t.Context())
			return b.count(ledger.LetterFilter{}) == 1
		})
		testkit.Eventually(t, "so are lines of the audit", func() bool {
			w.round.purge = time.Time{}
			_ = w.tidy(t.Context())
			lines, err := b.store.AuditLog(t.Context(), ledger.AuditQuery{})
			return err == nil && len(lines) == 0
		})
	})
}

func TestHowALetterEnds(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		told pending.Told
		want ledger.Resolution
	}{
		"it waits":                       {pending.Told{Fate: pending.FateWaits, Version: 5}, ledger.Unresolved},
		"persisted at the version":       {pending.Told{Fate: pending.FatePersisted, Version: 5}, ledger.Persisted},
		"rewritten":                      {pending.Told{Fate: pending.FateSuperseded, Version: 6}, ledger.Superseded},
		"rewritten and persisted":        {pending.Told{Fate: pending.FateGone, Version: 6}, ledger.Superseded},
		"rewritten and not cached":       {pending.Told{Fate: pending.FateGone}, ledger.Superseded},
		"persisted and filled again":     {pending.Told{Fate: pending.FatePersisted, Version: 7}, ledger.Persisted},
		"lost":                           {pending.Told{Fate: pending.FateLost}, ledger.Unresolved},
		"lost, and an older state there": {pending.Told{Fate: pending.FateLost, Version: 4}, ledger.Unresolved},
		"rewritten a moment ago": {pending.Told{Fate: pending.FateSuperseded,
			Version: schema.Version(time.Now().UnixMicro())}, ledger.Unresolved},
		"rewritten by a clock that is ahead": {pending.Told{Fate: pending.FateSuperseded,
			Version: schema.Version(time.Now().Add(time.Hour).UnixMicro())}, ledger.Superseded},
	} {
		require.Equal(t, c.want, end(ledger.OpenLetter{ID: "a", Version: 5}, c.told), name)
	}
}

// Redis is emptied, and the partition goes on: what was dead there was not superseded.
// Its letters stay open until an operator has looked, and their payloads can be had again.
func TestLettersOutliveTheRedisThatForgotThem(t *testing.T) {
	onEach(t, func(t *testing.T, b *bench) {
		b.e.Retry.MaxAttempts = 1
		w := b.strict()
		b.mail("owner", "x", "taken@x")
		b.drain(w)
		for _, id := range []string{"filled", "cold", "rewritten", "edited", "discarded"} {
			b.mail(id, "late", "taken@x")
		}
		b.settled(w)
		b.emptyRedis()
		b.anew()
		b.exec("INSERT INTO users (id, name, email, login_count) VALUES ('filled', 'row', 'row@x', 0)")
		b.mail("owner", "second", "other@x") // takes the partition past the letters' versions
		b.mail("rewritten", "newer", "newer@x")
		_, err := b.cache.Get(t.Context(), b.e, "filled") // a fill has a version of its own
		require.NoError(t, err)
		b.leads(w)
		testkit.Eventually(t, "the rewritten one's letter is closed", func() bool {
			require.NoError(t, w.tidy(t.Context()))
			return b.count(ledger.LetterFilter{ID: "rewritten", Resolution: ledger.Superseded}) == 1
		})
		b.settled(w)
		for range 3 {
			require.NoError(t, w.tidy(t.Context()))
		}
		require.Equal(t, 4, b.count(ledger.LetterFilter{State: ledger.StateWaiting}), "the others stay open")

		m := b.operator()
		all := operate.Selection{Filter: ledger.LetterFilter{Entity: "user"}}
		r, err := m.Retry(t.Context(), all, ann)
		require.NoError(t, err)
		require.Equal(t, 4, r.Failed)
		require.Contains(t, r.Errors[0], operate.ErrLost.Error())
		require.Equal(t, 4, b.count(ledger.LetterFilter{State: ledger.StateWaiting}), "nothing is done unasked")

		r, err = m.Discard(t.Context(), operate.Selection{Filter: ledger.LetterFilter{ID: "discarded"}}, ann)
		require.NoError(t, err)
		require.Equal(t, operate.Report{Selected: 1, Done: 1}, r)
		_, err = m.Edit(t.Context(), b.number("edited"), schema.Fields{"email": "edited@x"}, ann)
		require.NoError(t, err)
		all.Restore = true
		r, err = m.Retry(t.Context(), all, ann)
		require.NoError(t, err)
		require.Equal(t, operate.Report{Selected: 2, Done: 2}, r)
		require.Zero(t, b.count(ledger.LetterFilter{State: ledger.StateOpen}))
		b.settled(w) // two want the same value
		names := b.names()
		require.Equal(t, "late", names["edited"], "the payload, edited")
		require.Equal(t, "newer", names["rewritten"])
		require.NotContains(t, names, "discarded")
		require.EqualValues(t, 1, b.stats().Dead, "and the other is dead again, with a letter of its own")
		require.Equal(t, 1, b.count(ledger.LetterFilter{State: ledger.StateWaiting}))
	})
}

// number is that of the one letter of a record.
func (b *bench) number(id string) int64 {
	b.t.Helper()
	letters, err := b.store.Letters(b.t.Context(), ledger.LetterFilter{ID: id}, 0, 2)
	require.NoError(b.t, err)
	require.Len(b.t, letters, 1)
	return letters[0].Number
}

// emptyRedis has Redis lose everything of the bench.
func (b *bench) emptyRedis() {
	b.t.Helper()
	rdb := testkit.SharedRedis(b.t).Client(b.t)
	keys, err := rdb.Keys(b.t.Context(), b.prefix+"*").Result()
	require.NoError(b.t, err)
	require.NoError(b.t, rdb.Unlink(b.t.Context(), keys...).Err())
}

// hasty is a cache to which a write comes between a last refusal and the letter.
type hasty struct {
	whole.Redis
	write func()
}

func (h *hasty) Remember(ctx context.Context, e *schema.Entity, partition int, letters []schema.Versioned) ([]bool,
	error) {
	h.write()
	return h.Backlog.Remember(ctx, e, partition, letters)
}

// What a newer write has replaced before it could die needs no letter, which nobody would
// ever close.
func TestWhatIsOvertakenLeavesNoLetter(t *testing.T) {
	onEach(t, func(t *testing.T, b *bench) {
		b.e.Retry.MaxAttempts = 1
		b.mail("owner", "x", "taken@x")
		b.drain(b.strict())
		b.mail("bad", "x", "taken@x")
		w := b.strict(func(c *Config) { c.Redis = &hasty{b.redisOf(), func() { b.put("bad", "newer") }} })
		b.settled(w)
		require.Zero(t, b.count(ledger.LetterFilter{}))
		require.Equal(t, "newer", b.names()["bad"])
		b.check()
	})
}
