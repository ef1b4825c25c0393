package operate

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/afterwrite/afterwrite/internal/fleet"
	"github.com/afterwrite/afterwrite/schema"
	"github.com/afterwrite/afterwrite/store/ledger"
)

// Action is what is done with many dead letters or held records. The text is what API, commands and audit call it.
type Action string

// The actions.
const (
	ActRetry       Action = "retry"
	ActDiscard     Action = "discard"
	ActRetryHeld   Action = "held.retry"
	ActDiscardHeld Action = "held.discard"
)

// Held reports whether the action is about held records, not dead letters.
func (a Action) Held() bool { return strings.HasPrefix(string(a), "held.") }

func (a Action) known() bool {
	return a == ActRetry || a == ActDiscard || a == ActRetryHeld || a == ActDiscardHeld
}

// Verb is retry or discard.
func (a Action) Verb() string { return strings.TrimPrefix(string(a), "held.") }

// Do is one action on a selection: [Operator.Retry], Discard, RetryHeld or DiscardHeld.
func (m *Operator) Do(ctx context.Context, a Action, s Selection, by ledger.Actor) (Report, error) {
	switch a {
	case ActRetry:
		return m.Retry(ctx, s, by)
	case ActDiscard:
		return m.Discard(ctx, s, by)
	case ActRetryHeld:
		return m.RetryHeld(ctx, s, by)
	case ActDiscardHeld:
		return m.DiscardHeld(ctx, s, by)
	}
	return Report{}, fmt.Errorf("no action %q", a)
}

// JobState is where a job stands.
type JobState string

// The states of a job.
const (
	JobRunning     JobState = "running"
	JobStopping    JobState = "stopping"    // asked to stop; it ends after its step
	JobInterrupted JobState = "interrupted" // its process has ended; the next API or dashboard goes on with it
	JobDone        JobState = "done"
	JobStopped     JobState = "stopped"
	JobFailed      JobState = "failed"
)

// Job is an action on many that outlives its request, as every process reports it.
type Job struct {
	ID        string
	Action    Action
	Filter    ledger.LetterFilter // of the selection; zero where letters are named
	Named     int                 // letters that the selection names
	Actor     ledger.Actor
	Began     time.Time
	Ended     time.Time // zero: it has not
	State     JobState
	StoppedBy string
	Resumed   int    // times that another process went on with it
	Runner    string // the process that runs it; "" after its end
	Report    Report
	Error     string // why it failed, or why its last step will be tried again
}

// Open reports whether the job has not ended.
func (j Job) Open() bool { return j.Ended.IsZero() }

// Errors of jobs.
var (
	ErrNoJob = errors.New("no such job: ended jobs are forgotten after a hundred others")
	// ErrTooManyJobs reports that as many jobs as may be have not ended.
	ErrTooManyJobs = errors.New("four bulk actions are running; wait for one, or stop it")
)

// Board keeps jobs where every process finds them. A [fleet.Fleet] is one.
type Board interface {
	AddJob(ctx context.Context, j fleet.Job, life time.Duration) (bool, error)
	SaveJob(ctx context.Context, id, runner, at string, life time.Duration) (stop string, mine bool, err error)
	EndJob(ctx context.Context, id, runner, at string) error
	TakeJob(ctx context.Context, runner, is string, others []string, life time.Duration) (fleet.Job, error)
	StopJob(ctx context.Context, id, by string) (bool, error)
	Jobs(ctx context.Context) ([]fleet.Job, time.Time, error)
	Now(ctx context.Context) (time.Time, error)
}

// JobsConfig says what [Jobs] work with. Operator and Board are required.
type JobsConfig struct {
	Operator *Operator
	Board    Board
	Life     time.Duration // of a runner's lease; 0: 10 s
	Patience time.Duration // a step that fails is tried again for so long; 0: 10 min
	Log      *slog.Logger  // nil: slog.Default()

	Registerer prometheus.Registerer // nil: no metrics
}

// Jobs are the bulk actions of all processes on one Redis. This process runs those that it begins, and goes on with
// those of processes that have ended, see [Jobs.Take]. It is safe for concurrent use. Close it.
type Jobs struct {
	JobsConfig
	runner  string
	runs    runs
	metrics metrics
}

// NewJobs returns the jobs of a board.
func NewJobs(cfg JobsConfig) *Jobs {
	cfg.Life = cmp.Or(cfg.Life, 10*time.Second)
	cfg.Patience = cmp.Or(cfg.Patience, 10*time.Minute)
	cfg.Log = cmp.Or(cfg.Log, slog.Default())
	j := &Jobs{JobsConfig: cfg, runner: fleet.NewID(), metrics: newMetrics(cfg.Registerer)}
	j.runs.ctx, j.runs.cancel = context.WithCancel(context.Background())
	return j
}

// form begins what is kept of a job. A build leaves jobs of another form to processes that know it, see also [resume].
const form = "1 "

// jobIs is what a job is, kept as long as the job is.
type jobIs struct {
	Action Action              `json:"action"`
	Filter ledger.LetterFilter `json:"filter"`
	Named  int                 `json:"named,omitempty"`
	Actor  ledger.Actor        `json:"actor"`
	Began  time.Time           `json:"began"`
}

// jobWork is the rest of the selection, dropped at the end.
type jobWork struct {
	Numbers []int64 `json:"numbers,omitempty"`
	Rate    int     `json:"rate,omitempty"`
	Restore bool    `json:"restore,omitempty"`
}

// jobAt is how far a job is.
type jobAt struct {
	Progress
	Resumed   int       `json:"resumed,omitempty"`
	State     JobState  `json:"state,omitempty"` // of the end
	Ended     time.Time `json:"ended,omitzero"`
	StoppedBy string    `json:"stopped_by,omitempty"`
	Error     string    `json:"error,omitempty"`
}

// packed is v as the board keeps it.
func packed(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // plain fields cannot fail
	}
	return string(b)
}

// List returns the jobs of all processes, the newest first.
func (j *Jobs) List(ctx context.Context) ([]Job, error) {
	kept, now, err := j.Board.Jobs(ctx)
	if err != nil {
		return nil, err
	}
	list := make([]Job, 0, len(kept))
	for _, k := range kept {
		if job, ok := jobOf(k, now); ok {
			list = append(list, job)
		}
	}
	slices.SortStableFunc(list, func(a, b Job) int { return b.Began.Compare(a.Began) })
	return list, nil
}

// Get returns a job, or ErrNoJob.
func (j *Jobs) Get(ctx context.Context, id string) (Job, error) {
	list, err := j.List(ctx)
	if err != nil {
		return Job{}, err
	}
	i := slices.IndexFunc(list, func(one Job) bool { return one.ID == id })
	if i < 0 {
		return Job{}, fmt.Errorf("%w (%q)", ErrNoJob, id)
	}
	return list[i], nil
}

// Stop asks a job to stop, wherever it runs, and returns it. It ends after its step; a job that has ended stays as it
// is. The audit names who stopped it.
func (j *Jobs) Stop(ctx context.Context, id string, by ledger.Actor) (Job, error) {
	if job, err := j.Get(ctx, id); err != nil || !job.Open() || job.StoppedBy != "" {
		return job, err
	}
	asked, err := j.Board.StopJob(ctx, id, by.Name)
	if err != nil {
		return Job{}, err
	}
	if asked {
		err := j.Operator.Note(ctx, ledger.AuditEntry{Actor: by, Action: "job.stop", Detail: map[string]any{"job": id}})
		if err != nil {
			job, failed := j.Get(ctx, id)
			return job, cmp.Or(failed, err)
		}
	}
	return j.Get(ctx, id)
}

// jobOf reads what the board keeps; false where another build wrote it.
func jobOf(k fleet.Job, now time.Time) (Job, bool) {
	var is jobIs
	var at jobAt
	written, known := strings.CutPrefix(k.Is, form)
	if !known || json.Unmarshal([]byte(written), &is) != nil || json.Unmarshal([]byte(k.At), &at) != nil {
		return Job{}, false
	}
	job := Job{ID: k.ID, Action: is.Action, Filter: is.Filter, Named: is.Named, Actor: is.Actor, Began: is.Began,
		Ended: at.Ended, State: at.State, StoppedBy: cmp.Or(at.StoppedBy, k.Stop), Resumed: at.Resumed,
		Runner: k.Runner, Report: at.Report, Error: at.Error}
	switch {
	case !job.Open():
	case k.Stop != "":
		job.State = JobStopping
	case !now.Before(k.Till):
		job.State = JobInterrupted
	default:
		job.State = JobRunning
	}
	return job, true
}

// newJob names a job and bounds its selection to what is there now, so that a process that goes on with it acts on no
// more.
func (j *Jobs) newJob(ctx context.Context, a Action, s Selection, by ledger.Actor) (*run, error) {
	now, err := j.Board.Now(ctx)
	if err != nil {
		return nil, err
	}
	at := jobAt{Progress: s.From}
	switch {
	case a.Held():
		if s.Filter.Until.IsZero() || s.Filter.Until.After(now) {
			s.Filter.Until = now.Add(time.Millisecond) // what is refused again is not tried once more
		}
	case len(s.Numbers) == 0:
		newest, err := j.Operator.letters.Letters(ctx, s.waiting(), 0, 1)
		if err != nil {
			return nil, err
		}
		if len(newest) > 0 {
			at.Cursor = newest[0].Number + 1
		}
	}
	if at.Selected < 1 {
		return nil, schema.Invalid("expect", "selects nothing")
	}
	s.Expect = 0 // counted before
	return &run{id: strings.ToLower(rand.Text()[:10]), selection: s, at: at,
		is: jobIs{Action: a, Filter: s.Filter, Named: len(s.Numbers), Actor: by, Began: now.UTC()}}, nil
}
