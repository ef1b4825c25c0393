package worker

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/internal/operate"
	"github.com/afterwrite/afterwrite/internal/testkit"
	"github.com/afterwrite/afterwrite/schema"
	"github.com/afterwrite/afterwrite/store/ledger"
)

// stage is a part of the story of four records that die.
type stage string

const (
	dying      stage = "dying"
	retrying   stage = "retrying"
	editing    stage = "editing"
	discarding stage = "discarding"
	closing    stage = "closing"
)

// Every step between a refusal and the end of its letter fails once, without effect and
// with, and whatever did it is restarted. No record is lost, none dies twice, and no
// letter stays behind.
func TestI5EveryStepOfDeathAndMendingMayFail(t *testing.T) {
	script := func(name string) func(b *bench, m testkit.Mode) *testkit.Fault {
		return func(b *bench, m testkit.Mode) *testkit.Fault { return b.redis.Inject(m, testkit.Script(b.t, name)) }
	}
	statement := func(parts ...string) func(b *bench, m testkit.Mode) *testkit.Fault {
		return func(b *bench, m testkit.Mode) *testkit.Fault { return b.sql.Inject(m, testkit.Statement(parts...)) }
	}
	commit := func(b *bench, m testkit.Mode) *testkit.Fault { return b.sql.Inject(m, testkit.Commit) }
	letters := "afterwrite_dead_letters"
	type step struct {
		name   string
		at     stage
		inject func(b *bench, m testkit.Mode) *testkit.Fault
	}
	steps := []step{
		{"hold", dying, script("hold")},
		{"remember the letter", dying, script("letter")},
		{"insert the error", dying, statement("INSERT INTO", "afterwrite_errors")},
		{"insert the letter", dying, statement("INSERT INTO", letters)},
		{"commit the letter", dying, commit},
		{"die", dying, script("die")},
		{"put back", retrying, script("retry")},
		{"mark as sent back", retrying, statement("UPDATE", letters, "retried_at")},
		{"commit the mark", retrying, commit},
		{"write the edit", editing, script("write")},
		{"close the edited", editing, statement("UPDATE", letters, "resolution")},
		{"load the row", discarding, statement("SELECT", "FROM", "users")},
		{"write the row back", discarding, script("write")},
		{"close the discarded", discarding, statement("UPDATE", letters, "resolution")},
		{"list the open", closing, statement("SELECT", letters, "number > ")},
		{"look at the records", closing, script("fate")},
		{"close", closing, statement("UPDATE", letters, "resolution")},
		{"commit the close", closing, commit},
	}
	modes := map[string]testkit.Mode{"not applied": testkit.Refuse, "applied": testkit.LoseReply}
	t.Parallel()
	for _, s := range steps {
		for how, mode := range modes {
			t.Run(s.name+" "+how, func(t *testing.T) {
				onEach(t, func(t *testing.T, b *bench) {
					var fault *testkit.Fault
					mourn(b, func(at stage) {
						if at == s.at {
							fault = s.inject(b, mode)
						}
					})
					require.Equal(t, 1, fault.Hits(), "the step was there to fail")
				})
			})
		}
	}
}

// mourn tells the story: four records die, and are retried, edited, discarded and
// rewritten. enter is called before each stage.
func mourn(b *bench, enter func(stage)) {
	t := b.t
	b.e.Retry.MaxAttempts = 2
	b.mail("owner", "first", "taken@x")
	b.drain(b.strict())

	victims := []string{"retried", "edited", "discarded", "rewritten"}
	versions := map[string]schema.Version{}
	enter(dying)
	for _, id := range victims {
		versions[id] = b.mail(id, "late", "taken@x")
	}
	b.flush(b.strict())
	w := b.strict()
	b.settled(w)
	require.EqualValues(t, len(victims), b.stats().Dead)
	require.Equal(t, len(victims), b.count(ledger.LetterFilter{State: ledger.StateWaiting}))
	b.check()
	b.mail("owner", "second", "other@x")
	b.drain(w)

	of := func(id string) operate.Selection { return operate.Selection{Filter: ledger.LetterFilter{ID: id}} }
	enter(retrying)
	repeated(b, func(m *operate.Operator) (operate.Report, error) { return m.Retry(t.Context(), of("retried"), ann) })
	enter(editing)
	repeated(b, func(m *operate.Operator) (operate.Report, error) {
		l, err := b.store.LetterOf(t.Context(), "user", "edited", versions["edited"])
		require.NoError(t, err)
		_, err = m.Edit(t.Context(), l.Number, schema.Fields{"email": "edited@x"}, ann)
		if errors.Is(err, operate.ErrStale) {
			err = nil // it was applied, and its reply lost
		}
		return operate.Report{}, err
	})
	enter(discarding)
	repeated(b, func(m *operate.Operator) (operate.Report, error) {
		return m.Discard(t.Context(), of("discarded"),
			ann)
	})
	b.mail("rewritten", "newer", "newer@x")
	b.settled(w)

	enter(closing)
	b.closed(w)
	b.check()
	require.Equal(t, map[string]string{
		"owner": "second", "retried": "late", "edited": "late", "rewritten": "newer",
	}, b.names())
	require.Zero(t, b.stats().Dead)
	ends := map[string][]ledger.Resolution{
		"retried": {ledger.Persisted}, "edited": {ledger.Edited, ledger.Superseded},
		"discarded": {ledger.Discarded, ledger.Superseded}, "rewritten": {ledger.Superseded},
	}
	require.Equal(t, len(victims), b.count(ledger.LetterFilter{}), "none died twice")
	for _, id := range victims {
		l, err := b.store.LetterOf(t.Context(), "user", id, versions[id])
		require.NoError(t, err)
		require.Contains(t, ends[id], l.Resolution, id)
		require.Equal(t, 2, l.Attempts, id)
		require.Len(t, l.History, 2, id)
	}
}

// repeated has one operator after another do it until it succeeds.
func repeated(b *bench, do func(m *operate.Operator) (operate.Report, error)) {
	b.t.Helper()
	testkit.Eventually(b.t, "the operator's action is done", func() bool {
		r, err := do(b.operator())
		return err == nil && r.Failed == 0
	})
}
