package operate_test

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/internal/fleet"
	"github.com/afterwrite/afterwrite/internal/operate"
	"github.com/afterwrite/afterwrite/internal/testkit"
	"github.com/afterwrite/afterwrite/internal/testkit/whole"
	"github.com/afterwrite/afterwrite/schema"
	"github.com/afterwrite/afterwrite/store/ledger"
)

// frozen is the board of a process that freezes at its next save, once it is armed.
type frozen struct {
	*fleet.Fleet
	mu   sync.Mutex
	thaw chan struct{} // nil: not frozen
	in   chan struct{} // a save waits
}

func (f *frozen) freeze() (in, thaw chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.in, f.thaw = make(chan struct{}, 1), make(chan struct{})
	return f.in, f.thaw
}

func (f *frozen) SaveJob(ctx context.Context, id, runner, at string, life time.Duration) (string, bool, error) {
	f.mu.Lock()
	in, thaw := f.in, f.thaw
	f.mu.Unlock()
	if thaw != nil {
		select {
		case in <- struct{}{}:
		default:
		}
		<-thaw
	}
	return f.Fleet.SaveJob(ctx, id, runner, at, life)
}

// process is the jobs of one process on the bundle's Redis.
func (b *bundle) process(life time.Duration) (*operate.Jobs, *frozen) {
	b.t.Helper()
	board := &frozen{Fleet: whole.Of(b.cache).Fleet}
	jobs := operate.NewJobs(operate.JobsConfig{Operator: b.Operator, Board: board, Life: life,
		Log: testkit.Logger(b.t)})
	b.t.Cleanup(func() { _ = jobs.Close() })
	return jobs, board
}

// ends waits until a job has ended, having jobs take over what no process runs.
func ends(t *testing.T, jobs *operate.Jobs, id string) operate.Job {
	t.Helper()
	var job operate.Job
	testkit.Eventually(t, "the job has ended", func() bool {
		require.NoError(t, jobs.Take(t.Context()))
		var err error
		job, err = jobs.Get(t.Context(), id)
		require.NoError(t, err)
		return !job.Open()
	})
	return job
}

// A job of a process that freezes in a step is seen, and gone on with, by another: nothing is done twice or left out,
// and the process leaves it alone when it thaws.
func TestJobGoesOnElsewhere(t *testing.T) {
	onEach(t, func(t *testing.T, b *bundle) {
		b.dead(1600)
		one, board := b.process(300 * time.Millisecond)
		other, _ := b.process(time.Minute)
		in, thaw := board.freeze()
		job, err := one.Start(t.Context(), operate.ActRetry, operate.Selection{Filter: users}, 1600, ann)
		require.NoError(t, err)
		<-in
		seen, err := other.Get(t.Context(), job.ID)
		require.NoError(t, err)
		require.Equal(t, ann, seen.Actor)
		require.True(t, seen.Open())
		done := ends(t, other, job.ID)
		require.Equal(t, operate.JobDone, done.State)
		require.Equal(t, 1, done.Resumed)
		require.Equal(t, 1600, b.count(ledger.LetterFilter{State: ledger.StateRetrying}))
		close(thaw)
		require.NoError(t, one.Close())
		now, err := one.Get(t.Context(), job.ID)
		require.NoError(t, err)
		require.Equal(t, done, now)
		b.flush()
		require.EqualValues(t, 1600, b.total().Persisted)
	})
}

// A process that stops leaves its job at once, with exact counts, to the next that runs; what died since it began is
// not its.
func TestJobOutlivesARestart(t *testing.T) {
	onEach(t, func(t *testing.T, b *bundle) {
		b.dead(40)
		one, _ := b.process(time.Hour)
		job, err := one.Start(t.Context(), operate.ActDiscard, operate.Selection{Filter: users, Rate: 10}, 40, ann)
		require.NoError(t, err)
		testkit.Eventually(t, "a step is done", func() bool {
			job, err = one.Get(t.Context(), job.ID)
			require.NoError(t, err)
			return job.Report.Done > 0
		})
		require.NoError(t, one.Close())
		other, _ := b.process(time.Hour)
		job, err = other.Get(t.Context(), job.ID)
		require.NoError(t, err)
		require.Equal(t, operate.JobInterrupted, job.State)
		left := 40 - job.Report.Done
		require.Positive(t, left)
		b.flush()
		_, err = b.producer.Put(t.Context(), "user", "later", map[string]any{"name": "n", "email": "e"})
		require.NoError(t, err)
		b.kill()
		done := ends(t, other, job.ID)
		require.Equal(t, operate.Report{Selected: 40, Done: 40}, done.Report)
		require.Equal(t, 1, b.count(ledger.LetterFilter{State: ledger.StateWaiting}), "what died since is not its")
	})
}

// Any process stops a job: one that another runs, and one that none runs. The audit names who did.
func TestJobIsStoppedFromAnyProcess(t *testing.T) {
	onEach(t, func(t *testing.T, b *bundle) {
		b.dead(60)
		one, _ := b.process(time.Second)
		other, _ := b.process(time.Second)
		slow := operate.Selection{Filter: users, Rate: 4}
		job, err := one.Start(t.Context(), operate.ActRetry, slow, 60, ann)
		require.NoError(t, err)
		bob := ledger.Actor{Name: "bob", Origin: "dashboard"}
		_, err = other.Stop(t.Context(), job.ID, bob)
		require.NoError(t, err)
		stopped := ends(t, other, job.ID)
		require.Equal(t, operate.JobStopped, stopped.State)
		require.Equal(t, "bob", stopped.StoppedBy)
		require.Less(t, stopped.Report.Done, 60)
		log, err := b.Audit(t.Context(), ledger.AuditQuery{Limit: 100})
		require.NoError(t, err)
		at := slices.IndexFunc(log, func(e ledger.AuditEntry) bool { return e.Action == "job.stop" })
		require.GreaterOrEqual(t, at, 0)
		require.Equal(t, bob, log[at].Actor)
		require.Equal(t, job.ID, log[at].Detail["job"])

		job, err = one.Start(t.Context(), operate.ActRetry, slow, 60, ann)
		require.NoError(t, err)
		require.NoError(t, one.Close())
		before := b.count(ledger.LetterFilter{State: ledger.StateWaiting})
		_, err = other.Stop(t.Context(), job.ID, bob)
		require.NoError(t, err)
		require.Equal(t, operate.JobStopped, ends(t, other, job.ID).State)
		require.Equal(t, before, b.count(ledger.LetterFilter{State: ledger.StateWaiting}), "it did nothing more")
		_, err = other.Stop(t.Context(), "none", bob)
		require.ErrorIs(t, err, operate.ErrNoJob)
	})
}

// A job of held records tries once what was held when it began, whatever process goes on with it.
func TestHeldJobTriesOnce(t *testing.T) {
	onEach(t, func(t *testing.T, b *bundle) {
		held := b.hold(20)
		one, _ := b.process(time.Hour)
		job, err := one.Start(t.Context(), operate.ActRetryHeld, operate.Selection{Filter: users, Rate: 40}, 20, ann)
		require.NoError(t, err)
		testkit.Eventually(t, "a step is done", func() bool {
			job, err = one.Get(t.Context(), job.ID)
			require.NoError(t, err)
			return job.Report.Done > 0
		})
		require.NoError(t, one.Close())
		found, err := b.SelectHeld(t.Context(), users)
		require.NoError(t, err)
		for _, h := range held {
			if !named(found, h.ID) {
				b.refuse(h)
			}
		}
		again := 20 - len(found)
		other, _ := b.process(time.Hour)
		require.Equal(t, 20, ends(t, other, job.ID).Report.Done)
		require.EqualValues(t, again, b.total().Held, "what was refused again is left")
	})
}

// A step that fails is tried again, from where it was; a job that cannot go on ends as failed, and says why.
func TestJobOutlivesAnOutage(t *testing.T) {
	onEach(t, func(t *testing.T, b *bundle) {
		b.dead(20)
		jobs, _ := b.process(time.Minute)
		b.store.broken.Store(true)
		job, err := jobs.Start(t.Context(), operate.ActRetry, operate.Selection{Filter: users}, 20, ann)
		require.NoError(t, err)
		testkit.Eventually(t, "the failure is shown", func() bool {
			job, err = jobs.Get(t.Context(), job.ID)
			require.NoError(t, err)
			return job.Error != ""
		})
		require.Contains(t, job.Error, "crashed")
		require.Equal(t, operate.JobRunning, job.State)
		b.store.broken.Store(false)
		require.Equal(t, operate.JobDone, ends(t, jobs, job.ID).State)

		impatient := operate.NewJobs(operate.JobsConfig{Operator: b.Operator, Board: whole.Of(b.cache).Fleet,
			Patience: time.Nanosecond, Log: testkit.Logger(t)})
		t.Cleanup(func() { _ = impatient.Close() })
		b.kill()
		b.store.broken.Store(true)
		job, err = impatient.Start(t.Context(), operate.ActRetry, operate.Selection{Filter: ledger.LetterFilter{
			State: ledger.StateWaiting}}, 20, ann)
		require.NoError(t, err)
		job = ends(t, impatient, job.ID)
		require.Equal(t, operate.JobFailed, job.State)
		require.Contains(t, job.Error, "crashed")
	})
}

// Jobs are bounded: those that have not ended, and those that have.
func TestJobsAreBounded(t *testing.T) {
	t.Parallel()
	b := setup(t, testkit.SQLite(t))
	f := whole.Of(b.cache).Fleet
	add := func(id string) bool {
		t.Helper()
		ok, err := f.AddJob(t.Context(), fleet.Job{ID: id, Is: "2 of a later build", Runner: "r"}, time.Hour)
		require.NoError(t, err)
		return ok
	}
	for _, id := range []string{"a", "b", "c", "d", "d"} {
		require.True(t, add(id), "a lost reply is no other job")
	}
	require.False(t, add("e"))
	jobs, _ := b.process(time.Hour)
	b.dead(1)
	_, err := jobs.Start(t.Context(), operate.ActRetry, operate.Selection{Filter: users}, 1, ann)
	require.ErrorIs(t, err, operate.ErrTooManyJobs)
	list, err := jobs.List(t.Context())
	require.NoError(t, err)
	require.Empty(t, list, "jobs of another form are left to builds that know it")
	for i := range fleet.KeptJobs + 20 {
		id := "d"
		if i > 0 {
			id = time.Duration(i).String()
			require.True(t, add(id))
		}
		require.NoError(t, f.EndJob(t.Context(), id, "r", "{}"))
	}
	kept, _, err := f.Jobs(t.Context())
	require.NoError(t, err)
	require.Len(t, kept, 3+fleet.KeptJobs)
}

// A job whose process ends before its first step acts on what was there when it began, and on nothing since.
func TestJobActsOnWhatWasThere(t *testing.T) {
	t.Parallel()
	b := setup(t, testkit.SQLite(t))
	b.dead(5)
	one, _ := b.process(time.Millisecond)
	require.NoError(t, one.Close())
	_, err := one.Start(t.Context(), operate.ActDiscard, operate.Selection{Filter: users}, 5, ann)
	require.ErrorIs(t, err, schema.ErrBusy, "it stops, and leaves the job to others")
	_, err = b.producer.Put(t.Context(), "user", "later", map[string]any{"name": "n", "email": "e"})
	require.NoError(t, err)
	b.kill()
	other, _ := b.process(time.Minute)
	list, err := other.List(t.Context())
	require.NoError(t, err)
	require.Len(t, list, 1)
	require.Equal(t, 5, ends(t, other, list[0].ID).Report.Done)
	require.Equal(t, 1, b.count(ledger.LetterFilter{State: ledger.StateWaiting}))
}

// A runner whose job another has taken changes nothing of it.
func TestAJobHasOneRunner(t *testing.T) {
	t.Parallel()
	f := whole.Of(setup(t, testkit.SQLite(t)).cache).Fleet
	_, err := f.AddJob(t.Context(), fleet.Job{ID: "j", Is: "1 x", At: "a", Runner: "one"}, 0)
	require.NoError(t, err)
	taken, err := f.TakeJob(t.Context(), "other", "1 ", nil, time.Hour)
	require.NoError(t, err)
	require.Equal(t, "j", taken.ID)
	for runner, want := range map[string]bool{"one": false, "other": true} {
		_, mine, err := f.SaveJob(t.Context(), "j", runner, runner, time.Hour)
		require.NoError(t, err)
		require.Equal(t, want, mine)
	}
	require.NoError(t, f.EndJob(t.Context(), "j", "one", "one"))
	kept, _, err := f.Jobs(t.Context())
	require.NoError(t, err)
	require.Equal(t, "other", kept[0].At)
	require.Equal(t, "other", kept[0].Runner, "it has not ended")
	taken, err = f.TakeJob(t.Context(), "third", "1 ", nil, time.Hour)
	require.NoError(t, err)
	require.Empty(t, taken.ID, "its lease is live")
}

// A job in which another build left what this one does not know is left to a process that knows it, and holds up none
// that this build can run.
func TestAJobOfAnotherBuildIsLeftToIt(t *testing.T) {
	t.Parallel()
	b := setup(t, testkit.SQLite(t))
	b.dead(1)
	f := whole.Of(b.cache).Fleet
	at := `{"Selected":1}`
	for id, is := range map[string]string{
		"action": `1 {"action":"restore","filter":{},"actor":{},"began":"2026-01-02T03:04:05Z"}`,
		"filter": `1 {"action":"discard","filter":{"Only":"these"},"actor":{},"began":"2026-01-02T03:04:05Z"}`,
		"form":   "2 {}",
	} {
		_, err := f.AddJob(t.Context(), fleet.Job{ID: id, Is: is, Work: "{}", At: at, Runner: "gone"}, 0)
		require.NoError(t, err)
	}
	jobs, _ := b.process(time.Hour)
	for range 4 {
		require.NoError(t, jobs.Take(t.Context()))
	}
	taken, err := f.TakeJob(t.Context(), "later", "2 ", nil, time.Hour)
	require.NoError(t, err)
	require.Equal(t, "form", taken.ID)
	for range 2 {
		taken, err := f.TakeJob(t.Context(), "later", "1 ", nil, time.Hour)
		require.NoError(t, err)
		require.Contains(t, []string{"action", "filter"}, taken.ID, "no process holds it")
		require.Equal(t, at, taken.At)
	}
	require.Equal(t, 1, b.count(ledger.LetterFilter{State: ledger.StateWaiting}), "nothing was done")
}

// Metrics count what a bulk action has tried and how it ended, and have all their series from the start.
func TestBulkActionsAreCounted(t *testing.T) {
	onEach(t, func(t *testing.T, b *bundle) {
		b.dead(1600)
		registry := prometheus.NewRegistry()
		jobs := operate.NewJobs(operate.JobsConfig{Operator: b.Operator, Board: whole.Of(b.cache).Fleet,
			Registerer: registry, Log: testkit.Logger(t)})
		defer jobs.Close()
		require.Equal(t, map[string]float64{}, counted(t, registry))
		job, err := jobs.Start(t.Context(), operate.ActRetry, operate.Selection{Filter: users}, 1600, ann)
		require.NoError(t, err)
		require.Equal(t, operate.JobDone, ends(t, jobs, job.ID).State)
		require.NoError(t, jobs.Close())
		require.Equal(t, map[string]float64{"retry done": 1601}, counted(t, registry), "records, and the action")
	})
}

// counted returns the sums of the counters that are not 0, by the values of their labels.
func counted(t *testing.T, g prometheus.Gatherer) map[string]float64 {
	t.Helper()
	families, err := g.Gather()
	require.NoError(t, err)
	sums := map[string]float64{}
	series := 0
	for _, f := range families {
		for _, m := range f.GetMetric() {
			series++
			if v := m.GetCounter().GetValue(); v != 0 {
				sums[m.GetLabel()[0].GetValue()+" "+m.GetLabel()[1].GetValue()] += v
			}
		}
	}
	require.Equal(t, 2*4*3, series)
	return sums
}
