package operate

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/afterwrite/afterwrite/internal/fleet"
	"github.com/afterwrite/afterwrite/schema"
	"github.com/afterwrite/afterwrite/store/ledger"
)

// runs are the jobs that this process runs.
type runs struct {
	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	mu     sync.Mutex // guards closed against wg, and unread
	closed bool
	wg     sync.WaitGroup
	unread []string // jobs that are left to other builds
}

// run is a job that this process runs.
type run struct {
	id        string
	is        jobIs
	selection Selection

	mu     sync.Mutex // guards the rest, and one save at a time
	at     jobAt
	stop   string             // who asked it to stop
	lost   bool               // another process has it
	cancel context.CancelFunc // ends the action after its step
}

// Reasons for which an action ends before its end.
var (
	errLost = errors.New("another process goes on with the job")
	errStop = errors.New("the job was asked to stop")
)

// Start begins an action beside the request and returns its job. n is the number that the selection was counted to be.
// The error is ErrTooManyJobs where enough of them have not ended, in whatever process.
func (j *Jobs) Start(ctx context.Context, a Action, s Selection, n int, by ledger.Actor) (Job, error) {
	s.From.Selected = n
	r, err := j.newJob(ctx, a, s, by)
	if err != nil {
		return Job{}, err
	}
	if err := j.add(ctx, r); err != nil {
		return Job{}, err
	}
	if !j.begin(r) {
		return Job{}, schema.ErrBusy // it stops; another process takes the job
	}
	return j.Get(ctx, r.id)
}

// Run is Start for a command: it returns at the end, and stops the job where ctx ends. onStep may be nil.
func (j *Jobs) Run(ctx context.Context, a Action, s Selection, n int, by ledger.Actor) (Report, error) {
	s.From.Selected = n
	r, err := j.newJob(ctx, a, s, by)
	if err != nil {
		return Report{}, err
	}
	if err := j.add(ctx, r); err != nil {
		return Report{Selected: n}, err
	}
	report, err := j.act(ctx, r)
	switch {
	case errors.Is(err, errLost):
		return report, err
	case errors.Is(err, errStop):
		err = context.Canceled
		fallthrough
	default:
		if ctx.Err() != nil && r.stop == "" {
			r.stop = by.Name
		}
		ending, cancel := finish(ctx)
		defer cancel()
		return report, errors.Join(err, j.end(ending, r, err))
	}
}

func (j *Jobs) add(ctx context.Context, r *run) error {
	s := r.selection
	ok, err := j.Board.AddJob(ctx, fleet.Job{ID: r.id, Is: form + packed(r.is), At: packed(r.at), Runner: j.runner,
		Work: packed(jobWork{s.Numbers, s.Rate, s.Restore})}, j.Life)
	if err == nil && !ok {
		err = ErrTooManyJobs
	}
	return err
}

// Take goes on with a job whose process has ended, if there is one. Call it every second or two.
func (j *Jobs) Take(ctx context.Context) error {
	j.runs.mu.Lock()
	others := slices.Clone(j.runs.unread)
	j.runs.mu.Unlock()
	taken, err := j.Board.TakeJob(ctx, j.runner, form, others, j.Life)
	if err != nil || taken.ID == "" {
		return err
	}
	r := resume(taken)
	if r == nil {
		others = append(others, taken.ID)
		j.runs.mu.Lock()
		j.runs.unread = others[max(0, len(others)-fleet.MaxJobs):]
		j.runs.mu.Unlock()
		j.Log.WarnContext(ctx, "a bulk action of another build cannot be read; it is left to a process that can",
			"job", taken.ID)
		_, _, err := j.Board.SaveJob(ctx, taken.ID, j.runner, taken.At, 0)
		return err
	}
	j.Log.InfoContext(ctx, "going on with a bulk action whose process has ended", "job", r.id, "action", r.is.Action,
		"done", r.at.Done)
	j.begin(r)
	return nil
}

// resume reads a job that was taken over. It returns nil where another build wrote what this one does not know: a
// filter that is read by halves selects more.
func resume(k fleet.Job) *run {
	r := &run{id: k.ID, stop: k.Stop}
	var work jobWork
	for text, into := range map[string]any{strings.TrimPrefix(k.Is, form): &r.is, k.Work: &work, k.At: &r.at} {
		d := json.NewDecoder(strings.NewReader(text))
		d.DisallowUnknownFields()
		if d.Decode(into) != nil {
			return nil
		}
	}
	if !r.is.Action.known() {
		return nil
	}
	r.at.Resumed++
	r.selection = Selection{Numbers: work.Numbers, Filter: r.is.Filter, Rate: work.Rate, Restore: work.Restore}
	return r
}

// begin runs a job beside its caller, unless this process stops.
func (j *Jobs) begin(r *run) bool {
	j.runs.mu.Lock()
	defer j.runs.mu.Unlock()
	if j.runs.closed {
		return false
	}
	j.runs.wg.Go(func() { j.keepOn(r) })
	return true
}

// Close leaves the jobs to other processes, once each has finished its step.
func (j *Jobs) Close() error {
	j.runs.mu.Lock()
	j.runs.closed = true
	j.runs.mu.Unlock()
	j.runs.cancel()
	j.runs.wg.Wait()
	return nil
}

// keepOn runs a job to its end. A step that fails is tried again, since the next one would fail as well.
func (j *Jobs) keepOn(r *run) {
	ctx := j.runs.ctx
	for since := time.Now(); ; {
		before := r.at.Progress.Report
		report, err := j.act(ctx, r)
		if after := r.at.Progress.Report; after.Done+after.Stale+after.Failed > before.Done+before.Stale+before.Failed {
			since = time.Now()
		}
		switch {
		case errors.Is(err, errLost):
			return
		case ctx.Err() != nil:
			ctx, cancel := finish(ctx)
			defer cancel()
			_ = j.save(ctx, r, 0) // its lease expires otherwise
			return
		case err == nil || errors.Is(err, errStop) || errors.Is(err, schema.ErrInvalid) ||
			errors.Is(err, ErrTooManyHeld) || time.Since(since) > j.Patience:
			j.Log.InfoContext(ctx, "bulk action ended", "job", r.id, "action", r.is.Action, "user", r.is.Actor.Name,
				"selected", report.Selected, "done", report.Done, "stale", report.Stale, "failed", report.Failed,
				"error", err)
			for j.end(ctx, r, err) != nil && j.pause(ctx) {
			}
			return
		}
		j.Log.WarnContext(ctx, "a step of a bulk action failed; it will be tried again", "job", r.id, "error", err)
		r.mu.Lock()
		r.at.Error = brief(err)
		r.mu.Unlock()
		_ = j.save(ctx, r, j.Life)
		j.pause(ctx)
	}
}

// pause waits a second and reports whether this process goes on.
func (j *Jobs) pause(ctx context.Context) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(time.Second):
		return true
	}
}

// act does the action from where it is, and saves each step. The error is errStop or errLost where that ended it.
func (j *Jobs) act(ctx context.Context, r *run) (Report, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	r.mu.Lock()
	r.cancel = cancel
	s := r.selection
	s.From = r.at.Progress
	stop := r.stop
	r.mu.Unlock()
	if stop != "" {
		return s.From.Report, errStop
	}
	given := s.OnStep
	s.OnStep = func(p Progress) {
		r.mu.Lock()
		j.metrics.tried(r.is.Action, r.at.Report, p.Report)
		r.at.Progress, r.at.Error = p, ""
		r.mu.Unlock()
		_ = j.save(ctx, r, j.Life) // the beat repeats it
		if given != nil {
			given(p)
		}
	}
	var beating sync.WaitGroup
	beating.Go(func() { j.beat(ctx, r) })
	report, err := j.Operator.Do(ctx, r.is.Action, s, r.is.Actor)
	cancel()
	beating.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.lost:
		return report, errLost
	case err == nil || r.stop != "":
		j.metrics.tried(r.is.Action, r.at.Report, report)
		r.at.Report = report
		if err != nil {
			err = errStop
		}
	}
	return report, err
}

// beat keeps the lease of a job and notices that it should stop.
func (j *Jobs) beat(ctx context.Context, r *run) {
	tick := time.NewTicker(min(j.Life/4, time.Second))
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			_ = j.save(ctx, r, j.Life) // Redis's trouble is the action's too
		}
	}
}

// save stores how far a job is, and ends its action where it should stop or another process has it.
func (j *Jobs) save(ctx context.Context, r *run, life time.Duration) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	stop, mine, err := j.Board.SaveJob(context.WithoutCancel(ctx), r.id, j.runner, packed(r.at), life)
	if err != nil {
		return err
	}
	if stop != "" {
		r.stop = stop
	}
	r.lost = !mine
	if (r.lost || r.stop != "") && r.cancel != nil {
		r.cancel()
	}
	return nil
}

// end ends a job, err being what its action returned.
func (j *Jobs) end(ctx context.Context, r *run, err error) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	now, failed := j.Board.Now(ctx)
	if failed != nil {
		return failed
	}
	r.at.Ended, r.at.State, r.at.Error = now.UTC(), JobDone, ""
	switch {
	case err == nil:
	case r.stop != "":
		r.at.State, r.at.StoppedBy = JobStopped, r.stop
	default:
		r.at.State, r.at.Error = JobFailed, brief(err)
	}
	if err := j.Board.EndJob(ctx, r.id, j.runner, packed(r.at)); err != nil {
		return err
	}
	j.metrics.ended.WithLabelValues(string(r.is.Action), string(r.at.State)).Inc()
	return nil
}

// brief bounds the text of an error.
func brief(err error) string {
	text := err.Error()
	return strings.ToValidUTF8(text[:min(len(text), 500)], "")
}
