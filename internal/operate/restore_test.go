package operate_test

import (
	"cmp"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/internal/fsck"
	"github.com/afterwrite/afterwrite/internal/operate"
	"github.com/afterwrite/afterwrite/internal/testkit"
	"github.com/afterwrite/afterwrite/schema"
	"github.com/afterwrite/afterwrite/store/ledger"
)

// empty has Redis lose all that it knows of users.
func (b *bundle) empty() {
	b.t.Helper()
	rdb := testkit.SharedRedis(b.t).Client(b.t)
	keys, err := rdb.Keys(b.t.Context(), b.prefix+":{user/*").Result()
	require.NoError(b.t, err)
	require.NotEmpty(b.t, keys)
	require.NoError(b.t, rdb.Unlink(b.t.Context(), keys...).Err())
}

// A record has died twice, and Redis has lost it: however often everything is restored,
// the newer version is what there is in the end.
func TestRestoringKeepsTheOrder(t *testing.T) {
	onEach(t, func(t *testing.T, b *bundle) {
		for _, name := range []string{"older", "newer"} {
			_, err := b.producer.Put(t.Context(), "user", "a", schema.Fields{"name": name})
			require.NoError(t, err)
			b.kill()
		}
		b.empty()
		letters := b.numbers(users) // the newest first
		require.Len(t, letters, 2)
		view, err := b.Show(t.Context(), letters[0])
		require.NoError(t, err)
		require.True(t, view.Lost)

		for _, number := range letters {
			_, err := b.Retry(t.Context(), operate.Selection{Numbers: []int64{number}, Restore: true}, ann)
			require.NoError(t, err)
			b.flush()
			require.Equal(t, `"newer"`, b.row("a")[0])
		}
		require.Equal(t, 1, b.count(ledger.LetterFilter{Resolution: ledger.Edited}))
		require.Equal(t, 1, b.count(ledger.LetterFilter{Resolution: ledger.Superseded}))
		again, err := b.Retry(t.Context(), operate.Selection{Filter: users, Restore: true}, ann)
		require.NoError(t, err)
		require.Zero(t, again)
	})
}

// What died of a patch is restored as a patch: what others have written to the row since stays.
func TestRestoringWritesTheChangedFieldsAlone(t *testing.T) {
	onEach(t, func(t *testing.T, b *bundle) {
		_, err := b.producer.Put(t.Context(), "user", "a", schema.Fields{"name": "then", "email": "a@then", "age": 1})
		require.NoError(t, err)
		b.flush()
		_, err = b.producer.Patch(t.Context(), "user", "a", schema.Fields{"age": 2})
		require.NoError(t, err)
		_, err = b.producer.Increment(t.Context(), "user", "a", schema.Fields{"login_count": 3})
		require.NoError(t, err)
		b.kill()
		b.empty()
		_, err = testkit.SQL(t, b.url).Exec("UPDATE users SET name = 'now', email = 'a@now'")
		require.NoError(t, err)
		view, err := b.Show(t.Context(), b.numbers(users)[0])
		require.NoError(t, err)
		require.ElementsMatch(t, []string{"age", "login_count"}, view.Changed)
		report, err := b.Retry(t.Context(), operate.Selection{Filter: users, Restore: true}, ann)
		require.NoError(t, err)
		require.Equal(t, 1, report.Done, "%+v", report)
		b.flush()
		require.Equal(t, schema.Values{`"now"`, `"a@now"`, "2", "3", "null"}, b.row("a"))

		// Without a row all is restored that the letter has.
		_, err = b.producer.Patch(t.Context(), "user", "a", schema.Fields{"age": 4})
		require.NoError(t, err)
		b.kill()
		b.empty()
		_, err = testkit.SQL(t, b.url).Exec("DELETE FROM users")
		require.NoError(t, err)
		_, err = b.Retry(t.Context(), operate.Selection{Filter: users, Restore: true}, ann)
		require.NoError(t, err)
		b.flush()
		require.Equal(t, schema.Values{`"now"`, `"a@now"`, "4", "3", "null"}, b.row("a"))
	})
}

// A letter from before the entity got a field, or lost one: what it restores is what it
// has of the fields of today, the rest of the row stays. A value that would be lost is kept
// with the letter.
func TestRestoringALetterOfOtherFields(t *testing.T) {
	onEach(t, func(t *testing.T, b *bundle) {
		_, err := b.producer.Put(t.Context(), "user", "a", schema.Fields{"name": "now", "email": "a@now"})
		require.NoError(t, err)
		b.flush()
		now := time.Now()
		letter := func(version schema.Version, payload string) {
			require.NoError(t, b.store.InsertDead(t.Context(), []ledger.Letter{{
				Entity: "user", ID: "a", Version: version, Payload: payload, Refusal: taken, Attempts: 1,
				AcceptedAt: now, DiedAt: now,
			}}))
		}
		letter(1, `{"name":"then","nickname":"A"}`)
		report, err := b.Retry(t.Context(), operate.Selection{Filter: users, Restore: true}, ann)
		require.NoError(t, err)
		require.Zero(t, report.Done, "%+v", report)
		require.Contains(t, fmt.Sprint(report), "nickname")
		require.Equal(t, 1, b.count(users))
		require.Equal(t, `"now"`, b.row("a")[0])

		letter(2, `{"name":"then","nickname":null}`)
		report, err = b.Retry(t.Context(), operate.Selection{Numbers: b.numbers(users)[:1], Restore: true}, ann)
		require.NoError(t, err)
		require.Equal(t, 1, report.Done, "%+v", report)
		b.flush()
		require.Equal(t, `"then"`, b.row("a")[0])
		require.Equal(t, `"a@now"`, b.row("a")[1])
	})
}

// A letter that another operator has resolved since it was read is not lost, though Redis
// has forgotten it: nothing is written over what that one did.
func TestALetterResolvedMeanwhileIsNotLost(t *testing.T) {
	for name, act := range map[string]func(t *testing.T, b *bundle, number int64) error{
		"edit": func(t *testing.T, b *bundle, number int64) error {
			_, err := b.Edit(t.Context(), number, schema.Fields{"age": 7}, ann)
			return err
		},
		"restore one": func(t *testing.T, b *bundle, number int64) error {
			report, err := b.Retry(t.Context(), operate.Selection{Numbers: []int64{number}, Restore: true}, ann)
			require.Equal(t, operate.Report{Selected: 1, Stale: 1}, report)
			return cmp.Or(err, operate.ErrStale)
		},
		"restore all": func(t *testing.T, b *bundle, _ int64) error {
			report, err := b.Retry(t.Context(), operate.Selection{Filter: users, Restore: true}, ann)
			require.Equal(t, operate.Report{Selected: 1, Stale: 1}, report)
			return cmp.Or(err, operate.ErrStale)
		},
		"retry": func(t *testing.T, b *bundle, _ int64) error {
			report, err := b.Retry(t.Context(), operate.Selection{Filter: users}, ann)
			require.Equal(t, operate.Report{Selected: 1, Stale: 1}, report)
			return cmp.Or(err, operate.ErrStale)
		},
		"show": func(t *testing.T, b *bundle, number int64) error {
			view, err := b.Show(t.Context(), number)
			require.False(t, view.Lost)
			return cmp.Or(err, operate.ErrStale)
		},
	} {
		t.Run(name, func(t *testing.T) {
			onEach(t, func(t *testing.T, b *bundle) {
				b.dead(1)
				number := b.numbers(users)[0]
				b.store.meanwhile = func() {
					_, err := b.Edit(t.Context(), number, schema.Fields{"name": "first"}, ledger.Actor{Name: "bob"})
					require.NoError(t, err)
					b.flush()
				}
				require.ErrorIs(t, act(t, b, number), operate.ErrStale)
				b.flush()
				require.Equal(t, []string{`"first"`, "null"}, []string{b.row("u0000")[0], b.row("u0000")[2]})
			})
		})
	}
}

// The database was put back to a copy from before a death: what is dead in Redis has no letter. It is written again as
// it was, once, and can be retried and discarded like any other.
func TestLettersThatTheDatabaseHasLost(t *testing.T) {
	onEach(t, func(t *testing.T, b *bundle) {
		ids := b.dead(3)
		_, err := b.producer.Delete(t.Context(), "user", ids[2])
		require.NoError(t, err)
		b.kill()
		was, err := b.store.Letters(t.Context(), users, 0, 10)
		require.NoError(t, err)
		_, err = testkit.SQL(t, b.url).Exec("DELETE FROM afterwrite_dead_letters WHERE id <> '" + ids[0] + "'")
		require.NoError(t, err)
		require.Equal(t, 1, b.count(users))
		report, err := fsck.Run(t.Context(), b.cache, b.backlog, b.store, []*schema.Entity{b.user},
			fsck.Options{Pause: time.Millisecond, Letters: b.store})
		require.NoError(t, err)
		missing := map[string]bool{}
		for _, d := range report.Entities[0].Differences {
			require.Equal(t, fsck.NoLetter, d.Reason)
			missing[d.ID] = true
		}
		require.Equal(t, map[string]bool{ids[1]: true, ids[2]: true}, missing)

		n, err := b.Selected(t.Context(), operate.Selection{Filter: users, Restore: true})
		require.NoError(t, err)
		require.Equal(t, 3, n)
		n, err = b.Recover(t.Context(), "", ann)
		require.NoError(t, err)
		require.Zero(t, n, "they are there")
		for _, l := range was {
			if l.Resolution != ledger.Unresolved || l.Version != b.version(l.ID) {
				continue
			}
			now, err := b.store.Letters(t.Context(), ledger.LetterFilter{ID: l.ID}, 0, 10)
			require.NoError(t, err)
			require.Equal(t, l.Version, now[0].Version)
			require.Equal(t, l.Payload, now[0].Payload)
			require.Equal(t, l.Deleted, now[0].Deleted)
			require.Equal(t, l.Refusal, now[0].Refusal)
			require.Equal(t, l.Attempts, now[0].Attempts)
		}
		retried, err := b.Retry(t.Context(), operate.Selection{Filter: ledger.LetterFilter{ID: ids[1]}}, ann)
		require.NoError(t, err)
		require.Equal(t, operate.Report{Selected: 1, Done: 1}, retried)
		discarded, err := b.Discard(t.Context(), operate.Selection{Filter: users}, ann)
		require.NoError(t, err)
		require.Equal(t, 2, discarded.Done, "%+v", discarded)
		b.flush()
		require.Equal(t, `"n1"`, b.row(ids[1])[0])
		report, err = fsck.Run(t.Context(), b.cache, b.backlog, b.store, []*schema.Entity{b.user},
			fsck.Options{Pause: time.Millisecond, Letters: b.store})
		require.NoError(t, err)
		require.True(t, report.OK(), "%+v", report)
		b.total()
	})
}

// version is that of a record in Redis.
func (b *bundle) version(id string) schema.Version {
	b.t.Helper()
	s, err := b.cache.Status(b.t.Context(), b.user, id)
	require.NoError(b.t, err)
	return s.Record.Version
}
