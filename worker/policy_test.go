package worker

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/cache/pending"
	"github.com/afterwrite/afterwrite/internal/operate"
	"github.com/afterwrite/afterwrite/internal/testkit"
	"github.com/afterwrite/afterwrite/internal/testkit/whole"
	"github.com/afterwrite/afterwrite/schema"
	"github.com/afterwrite/afterwrite/store/ledger"
)

// followed is when workers must go by a new policy, for what waits already, too. The
// promise is two seconds; a machine that is busy with other tests gets more.
const followed = 15 * time.Second

func TestWaitingRecordsFollowThePolicy(t *testing.T) {
	records := 2_000
	if testkit.ChaosTime(t, 0) > 0 {
		records = 10_000
	}
	onEach(t, func(t *testing.T, b *bench) {
		b.e.Partitions = 4
		b.e.Retry.Base, b.e.Retry.Cap = time.Hour, time.Hour
		m := b.operator()
		b.mail("owner", "x", "taken@x")
		b.drain(b.strict())
		b.accepted(0, records)
		w := b.worker(b.serving)
		stop := b.run(w)
		testkit.Eventually(t, "all are held", func() bool { return b.stats().Held == int64(records) })

		later := 2 * time.Hour
		b.set(m, "cap=2h", "base=2h")
		changed := time.Now()
		testkit.Within(t, followed, "all are due in two hours", func() bool {
			return b.due(func(w pending.Waiting) bool { return w.Next.Sub(w.At) == later }) == records
		})
		t.Logf("%d waiting records followed within %s", records, time.Since(changed).Round(time.Millisecond))
		b.set(m, "base=1ms", "cap=1ms", "max_attempts=2")
		testkit.Within(t, followed, "all are due", func() bool {
			return b.due(func(w pending.Waiting) bool { return w.Next.After(time.Now()) }) == 0
		})
		testkit.Eventually(t, "all have died", func() bool { return b.stats().Dead == int64(records) })
		stop()
		require.EqualValues(t, 2, testutil.ToFloat64(w.metrics.policy.WithLabelValues("user")))
		require.Equal(t, records, b.count(ledger.LetterFilter{State: ledger.StateWaiting}))
		b.check()
	})
}

// set changes settings of the live policy.
func (b *bench) set(m *operate.Operator, settings ...string) {
	b.t.Helper()
	var change operate.PolicyChange
	for _, s := range settings {
		name, value, _ := strings.Cut(s, "=")
		change = append(change, operate.Setting{Name: name, Value: value})
	}
	_, err := m.SetPolicy(b.t.Context(), b.e.Name, change, -1, ann, "")
	require.NoError(b.t, err)
}

// due counts the held records that are as the condition says.
func (b *bench) due(is func(pending.Waiting) bool) int {
	b.t.Helper()
	n := 0
	for partition := range b.e.Partitions {
		held, err := b.backlog.Waiting(b.t.Context(), b.e, partition, 0, 100_000)
		require.NoError(b.t, err)
		for _, w := range held {
			if is(w) {
				n++
			}
		}
	}
	return n
}

// Moving is repeated by whoever leads next: a record whose time is one that the policy can
// draw keeps it.
func TestMovingAgainChangesNothing(t *testing.T) {
	t.Parallel()
	p := schema.RetryPolicy{MaxAttempts: 5, Base: time.Second, Factor: 2, Cap: 3 * time.Second,
		Jitter: schema.JitterEqual}
	at := time.UnixMilli(1_700_000_000_000)
	one := func(attempts int, delay time.Duration) pending.Waiting {
		return pending.Waiting{ID: "a", At: at, Next: at.Add(delay), Attempts: attempts,
			Refusal: schema.Refusal{Kind: schema.KindCheck}}
	}
	for _, kept := range []pending.Waiting{one(1, 500*time.Millisecond), one(1, time.Second), one(2, 2*time.Second),
		one(4, 3*time.Second)} {
		require.Empty(t, moves(p, []pending.Waiting{kept}), "%+v", kept)
	}
	for _, wrong := range []pending.Waiting{one(1, 0), one(1, time.Hour), one(2, 500*time.Millisecond),
		one(4, 6*time.Second)} {
		moved := moves(p, []pending.Waiting{wrong})
		require.Len(t, moved, 1)
		require.Equal(t, wrong.Next, moved[0].From)
		low, high := p.Range(wrong.Refusal.Kind, wrong.Attempts)
		require.GreaterOrEqual(t, moved[0].To.Sub(at), low)
		require.LessOrEqual(t, moved[0].To.Sub(at), high)
		wrong.Next = moved[0].To
		require.Empty(t, moves(p, []pending.Waiting{wrong}))
	}
}

// A follower swaps its policy and leaves the moving to the leader.
func TestOnlyTheLeaderMoves(t *testing.T) {
	t.Parallel()
	b := setup(t, testkit.SQLite(t))
	b.e.Retry.Base, b.e.Retry.Cap = time.Hour, time.Hour
	leader, follower := b.strict(), b.strict()
	b.mail("owner", "x", "taken@x")
	b.drain(leader)
	b.mail("bad", "x", "taken@x")
	b.flush(leader)
	later := 2 * time.Hour
	b.set(b.operator(), "cap=2h", "base=2h")
	inHours := func() int { return b.due(func(w pending.Waiting) bool { return w.Next.Sub(w.At) == later }) }
	require.NoError(t, follower.follow(t.Context()))
	require.Equal(t, later, follower.policies.retry(b.e).Base)
	require.NoError(t, follower.move(t.Context()))
	require.Zero(t, inHours())
	require.NoError(t, leader.follow(t.Context()))
	b.leads(leader)
	require.NoError(t, leader.move(t.Context()))
	require.Equal(t, 1, inHours())
	require.Zero(t, leader.policies.retry(b.e).For(schema.KindUnique).On)

	away := b.away()
	require.Error(t, leader.follow(t.Context()))
	require.Equal(t, later, leader.policies.retry(b.e).Base, "the last known policy stays")
	away.Release()
}

// recorder notes what is held.
type recorder struct {
	whole.Redis
	mu   sync.Mutex
	held []pending.Refused
}

func (r *recorder) Hold(ctx context.Context, e *schema.Entity, partition int, refused []pending.Refused) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.held = append(r.held, refused...)
	return r.Backlog.Hold(ctx, e, partition, refused)
}

// What a preview says is what happens: the number of attempts, each planned within its
// bounds, none before its time.
func TestPreviewAndRealityAgree(t *testing.T) {
	const records = 20
	for _, jitter := range []schema.Jitter{schema.JitterNone, schema.JitterEqual, schema.JitterFull} {
		t.Run(string(jitter), func(t *testing.T) {
			onEach(t, func(t *testing.T, b *bench) {
				b.e.Retry = schema.RetryPolicy{
					MaxAttempts: 4, Base: 40 * time.Millisecond, Factor: 2, Cap: 100 * time.Millisecond, Jitter: jitter,
					Timeout: 10 * time.Second,
				}
				preview := operate.Schedule(b.e.Retry, schema.KindUnique, 100)
				b.mail("owner", "x", "taken@x")
				b.drain(b.strict())
				r := &recorder{Redis: b.redisOf()}
				stop := b.run(b.worker(b.serving, func(c *Config) { c.Redis = r }))
				versions := map[string]schema.Version{}
				for i := range records {
					versions[id(i)] = b.mail(id(i), "x", "taken@x")
				}
				testkit.Eventually(t, "all have died", func() bool { return b.stats().Dead == records })
				stop()

				planned := map[string][]time.Time{}
				for _, h := range r.held {
					step := preview[h.Attempts]
					require.GreaterOrEqual(t, h.Next.Sub(h.At), step.DelayLow)
					require.LessOrEqual(t, h.Next.Sub(h.At), step.DelayHigh)
					planned[h.Change.ID] = append(planned[h.Change.ID], h.Next)
				}
				for id, version := range versions {
					l, err := b.store.LetterOf(t.Context(), "user", id, version)
					require.NoError(t, err)
					require.Len(t, l.History, len(preview), "as many attempts as the preview has")
					require.Len(t, planned[id], len(preview)-1)
					require.True(t, slices.IsSortedFunc(planned[id], time.Time.Compare))
					for i, next := range planned[id] {
						late := l.History[i+1].At.Sub(next)
						require.GreaterOrEqual(t, late, -time.Millisecond, "not before its time")
						require.Less(t, late, testkit.Patience, "and soon after")
					}
				}
			})
		})
	}
}
