package web

import (
	"net/http"
	"time"

	"github.com/afterwrite/afterwrite/internal/operate"
	"github.com/afterwrite/afterwrite/internal/problem"
	"github.com/afterwrite/afterwrite/schema"
	"github.com/afterwrite/afterwrite/store/ledger"
)

// Job is bulk work that outlives its request, in whatever process it runs.
type Job struct {
	ID        string           `json:"id"`
	Action    operate.Action   `json:"action"`
	State     operate.JobState `json:"state"`
	Actor     string           `json:"actor"`
	Began     time.Time        `json:"began_at"`
	Ended     *time.Time       `json:"ended_at"`
	Runner    string           `json:"runner,omitempty"`     // the process that runs it
	Resumed   int              `json:"resumed"`              // times that another process went on with it
	StoppedBy string           `json:"stopped_by,omitempty"` // who asked it to stop
	Report    operate.Report   `json:"report"`
	Error     string           `json:"error,omitempty"`
}

// JobOf is the view of a job.
func JobOf(j operate.Job) Job {
	v := Job{ID: j.ID, Action: j.Action, State: j.State, Actor: j.Actor.Name, Began: j.Began, Runner: j.Runner,
		Resumed: j.Resumed, StoppedBy: j.StoppedBy, Report: j.Report, Error: j.Error}
	if !j.Open() {
		v.Ended = &j.Ended
	}
	return v
}

// JobsOf is the view of jobs.
func JobsOf(jobs []operate.Job) []Job {
	list := make([]Job, len(jobs))
	for i, j := range jobs {
		list[i] = JobOf(j)
	}
	return list
}

func (a *Admin) listJobs(r *http.Request, _ ledger.Actor, _ http.Header) (int, any, error) {
	if err := queryOf(r).end(); err != nil {
		return 0, nil, err
	}
	jobs, err := a.jobs.List(r.Context())
	return http.StatusOK, map[string]any{"jobs": JobsOf(jobs)}, err
}

func (a *Admin) job(r *http.Request, _ ledger.Actor, _ http.Header) (int, any, error) {
	job, err := a.jobs.Get(r.Context(), r.PathValue("id"))
	return http.StatusOK, JobOf(job), err
}

// stopJob asks a job to stop, in whatever process it runs; it ends after its step.
func (a *Admin) stopJob(r *http.Request, by ledger.Actor, _ http.Header) (int, any, error) {
	job, err := a.jobs.Stop(r.Context(), r.PathValue("id"), by)
	return http.StatusAccepted, JobOf(job), err
}

var errNoJob = &problem.Problem{Name: "no-job", Code: http.StatusNotFound, Title: "No such job",
	Detail: "there is no such job; those that ended long ago are forgotten"}

func tooManyJobs() *problem.Problem {
	p := problem.Of(schema.ErrBusy)
	p.Detail = operate.ErrTooManyJobs.Error()
	p.RetryAfter = 10
	return p
}
