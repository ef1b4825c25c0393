package web

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/afterwrite/afterwrite/internal/operate"
	"github.com/afterwrite/afterwrite/schema"
	"github.com/afterwrite/afterwrite/store/ledger"
)

// bulk is an action on many letters: the operator's Retry or Discard.
type bulk func(ctx context.Context, s operate.Selection, by ledger.Actor) (operate.Report, error)

// Job is bulk work that outlives its request. It ends with its process; a repeat of the
// action resumes it.
type Job struct {
	ID     string         `json:"id"`
	Action string         `json:"action"`
	State  string         `json:"state"` // running, done, stopped or failed
	Actor  ledger.Actor   `json:"-"`
	Began  time.Time      `json:"began_at"`
	Ended  *time.Time     `json:"ended_at"`
	Report operate.Report `json:"report"`
	Error  string         `json:"error,omitempty"`
	stop   context.CancelFunc
}

// jobs are those of this process: the running ones, and the last of those that ended.
type jobs struct {
	mu     sync.Mutex // guards list, what is in it, and closed
	list   []*Job     // the oldest first
	closed bool
	wg     sync.WaitGroup
}

func newJobs() *jobs { return &jobs{} }

// start begins a job, or returns ErrBusy where enough of them run.
func (j *jobs) start(action string, do bulk, s operate.Selection, selected int, by ledger.Actor) (Job, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	running := 0
	for _, one := range j.list {
		if one.Ended == nil {
			running++
		}
	}
	if j.closed || running >= MaxRunning {
		return Job{}, schema.ErrBusy
	}
	j.forget()
	ctx, stop := context.WithCancel(context.Background())
	job := &Job{ID: rand.Text(), Action: action, State: "running", Actor: by, Began: time.Now().UTC(),
		Report: operate.Report{Selected: selected}, stop: stop}
	j.list = append(j.list, job)
	s.OnStep = func(r operate.Report) { j.change(func() { job.Report = r }) }
	j.wg.Go(func() {
		defer stop()
		r, err := do(ctx, s, by)
		j.change(func() { job.end(r, err) })
	})
	return *job, nil
}

// forget makes room for one more; the caller holds mu. Running jobs are fewer than MaxJobs.
func (j *jobs) forget() {
	if len(j.list) < MaxJobs {
		return
	}
	oldest := slices.IndexFunc(j.list, func(one *Job) bool { return one.Ended != nil })
	j.list = slices.Delete(j.list, oldest, oldest+1)
}

func (j *jobs) change(fn func()) {
	j.mu.Lock()
	defer j.mu.Unlock()
	fn()
}

func (job *Job) end(r operate.Report, err error) {
	now := time.Now().UTC()
	job.Ended, job.Report, job.State = &now, r, "done"
	switch {
	case errors.Is(err, context.Canceled):
		job.State = "stopped"
	case err != nil:
		job.State, job.Error = "failed", problemOf(err).Detail
	}
}

// get returns a job as it is now, and whether it is known.
func (j *jobs) get(id string) (Job, bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, one := range j.list {
		if one.ID == id {
			return *one, true
		}
	}
	return Job{}, false
}

// all returns the jobs, the newest first.
func (j *jobs) all() []Job {
	j.mu.Lock()
	defer j.mu.Unlock()
	list := make([]Job, len(j.list))
	for i, one := range j.list {
		list[i] = *one
	}
	slices.SortStableFunc(list, func(a, b Job) int { return -cmp.Compare(a.Began.UnixNano(), b.Began.UnixNano()) })
	return list
}

func (j *jobs) close() {
	j.change(func() {
		j.closed = true
		for _, one := range j.list {
			one.stop()
		}
	})
	j.wg.Wait()
}
