package dashboard

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/afterwrite/afterwrite/internal/operate"
)

// Bounds of the bulk actions of a process.
const (
	maxRunning = 4
	maxJobs    = 50 // kept, the running ones included
)

var errBusy = errors.New("four bulk actions are running here; wait for one, or stop it")

// jobState is a bulk action as a page shows it.
type jobState struct {
	Number  int64
	Do      string
	Held    bool // it is about held records, not dead letters
	Which   string
	By      string
	Started time.Time
	Ended   time.Time // zero while it runs
	Report  operate.Report
	Err     error
	Stopped bool
}

// Noun is what the action is about.
func (j jobState) Noun() string { return nounOf(j.Held, int64(j.Report.Selected)) }

// Running reports whether the action goes on.
func (j jobState) Running() bool { return j.Ended.IsZero() }

// Left counts what it has not come to.
func (j jobState) Left() int64 {
	return int64(max(j.Report.Selected-j.Report.Done-j.Report.Stale-j.Report.Failed, 0))
}

// Percent is how far it has come.
func (j jobState) Percent() int {
	if j.Report.Selected == 0 {
		return 100
	}
	return int(100 - 100*j.Left()/int64(j.Report.Selected))
}

// job is a bulk action under way.
type job struct {
	jobState
	cancel context.CancelFunc
}

// jobs are the bulk actions of this process, the newest last.
type jobs struct {
	mu   sync.Mutex // guards the rest, the jobs' states included
	last int64
	all  []*job
}

func newJobs() *jobs { return &jobs{} }

// add makes room and numbers a new job.
func (j *jobs) add(one *job) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	running := 0
	for _, other := range j.all {
		if other.Running() {
			running++
		}
	}
	if running >= maxRunning {
		return errBusy
	}
	if len(j.all) >= maxJobs {
		i := slices.IndexFunc(j.all, func(o *job) bool { return !o.Running() })
		j.all = slices.Delete(j.all, i, i+1)
	}
	j.last++
	one.Number = j.last
	j.all = append(j.all, one)
	return nil
}

// list returns the jobs that run or ended in the last hour, the newest first.
func (j *jobs) list() []jobState {
	j.mu.Lock()
	defer j.mu.Unlock()
	var states []jobState
	for _, one := range slices.Backward(j.all) {
		if one.Running() || time.Since(one.Ended) < time.Hour {
			states = append(states, one.jobState)
		}
	}
	return states[:min(len(states), 5)]
}

// change alters a job and returns its state.
func (j *jobs) change(one *job, how func(*job)) jobState {
	j.mu.Lock()
	defer j.mu.Unlock()
	how(one)
	return one.jobState
}

func (j *jobs) find(number string) (*job, bool) {
	n, err := strconv.ParseInt(number, 10, 64)
	j.mu.Lock()
	defer j.mu.Unlock()
	i := slices.IndexFunc(j.all, func(o *job) bool { return o.Number == n })
	if err != nil || i < 0 {
		return nil, false
	}
	return j.all[i], true
}

// start begins a bulk action beside the request.
func (d *dashboard) start(s selection, expect int, by person) (jobState, error) {
	one := &job{jobState: jobState{Do: s.do, Held: s.held, Which: s.which(), By: by.Name, Started: time.Now(),
		Report: operate.Report{Selected: expect}}}
	ctx, cancel := context.WithCancel(context.Background())
	one.cancel = cancel
	if err := d.jobs.add(one); err != nil {
		cancel()
		return jobState{}, err
	}
	chosen := s.mends(expect)
	chosen.OnStep = func(r operate.Report) { d.jobs.change(one, func(o *job) { o.Report = r }) }
	d.Go(func(process context.Context) {
		defer context.AfterFunc(process, cancel)()
		defer cancel()
		report, err := d.does(ctx, s, chosen, by.actor())
		state := d.jobs.change(one, func(o *job) { o.Report, o.Err, o.Ended = report, err, time.Now() })
		d.Log.InfoContext(process, "bulk action ended", "do", s.do, "what", state.Noun(), "which", s.which(), "user",
			by.Name,
			"selected", state.Report.Selected, "done", report.Done, "stale", report.Stale, "failed", report.Failed,
			"error", err)
		d.groupings.changed()
		d.pulse.tell("job " + strconv.FormatInt(state.Number, 10))
	})
	return d.jobs.change(one, func(*job) {}), nil
}

func (d *dashboard) job(w http.ResponseWriter, r *http.Request) {
	one, ok := d.jobs.find(r.PathValue("number"))
	if !ok {
		d.fail(w, r, http.StatusNotFound, "This process knows no such bulk action. What it has done is in the audit.")
		return
	}
	state := d.jobs.change(one, func(*job) {})
	p := page{Title: "Bulk " + state.Do, At: time.Now(), Body: state}
	if state.Running() {
		p.Refresh = 1
	}
	d.render(w, r, http.StatusOK, "job", p)
}

func (d *dashboard) stopJob(w http.ResponseWriter, r *http.Request) {
	one, ok := d.jobs.find(r.PathValue("number"))
	if !ok {
		d.notFound(w, r)
		return
	}
	d.jobs.change(one, func(o *job) {
		o.Stopped = o.Stopped || o.Running()
		o.cancel()
	})
	redirect(w, r, "jobs/"+r.PathValue("number"))
}
