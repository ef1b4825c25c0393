package dashboard

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/afterwrite/afterwrite/dashboard/internal/filter"
	"github.com/afterwrite/afterwrite/internal/operate"
	"github.com/afterwrite/afterwrite/store/ledger"
)

// Jobs are the bulk actions of all processes. An [operate.Jobs] is one.
type Jobs interface {
	Start(ctx context.Context, a operate.Action, s operate.Selection, n int, by ledger.Actor) (operate.Job, error)
	List(ctx context.Context) ([]operate.Job, error)
	Get(ctx context.Context, id string) (operate.Job, error)
	Stop(ctx context.Context, id string, by ledger.Actor) (operate.Job, error)
}

// maxJobs bounds the bulk actions that a page lists.
const maxJobs = 5

// jobState is a bulk action as a page shows it.
type jobState struct{ operate.Job }

// Noun is what the action is about.
func (j jobState) Noun() string { return nounOf(j.Action.Held(), int64(j.Report.Selected)) }

// Which says in words what is selected.
func (j jobState) Which() string {
	switch f := (filter.Filter{LetterFilter: j.Filter}); {
	case j.Named > 0:
		return "picked one by one"
	case j.Action.Held():
		return f.HeldWords()
	default:
		return f.Words()
	}
}

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

// Class is the colour of its state, and Mark its sign.
func (j jobState) Class() string {
	switch j.State {
	case operate.JobFailed:
		return "failure"
	case operate.JobDone, operate.JobStopped:
		return "fine"
	}
	return "warning"
}

func (j jobState) Mark() string {
	return map[operate.JobState]string{operate.JobDone: "✓", operate.JobStopped: "■", operate.JobFailed: "✕",
		operate.JobInterrupted: "!"}[j.State]
}

// jobsNow returns the jobs that have not ended, or did in the last hour, the newest first. A page is shown without them
// where Redis does not respond.
func (d *dashboard) jobsNow(ctx context.Context) []jobState {
	all, err := d.Jobs.List(ctx)
	if err != nil {
		d.Log.DebugContext(ctx, "bulk actions were not read", "error", err)
	}
	var states []jobState
	for _, one := range all {
		if len(states) < maxJobs && (one.Open() || time.Since(one.Ended) < time.Hour) {
			states = append(states, jobState{one})
		}
	}
	return states
}

// actionOf is what a selection has done with what it selects.
func actionOf(s selection) operate.Action {
	a := operate.Action(s.do)
	if s.held {
		a = "held." + a
	}
	return a
}

func (d *dashboard) job(w http.ResponseWriter, r *http.Request) {
	one, err := d.Jobs.Get(r.Context(), r.PathValue("id"))
	switch {
	case errors.Is(err, operate.ErrNoJob):
		d.fail(w, r, http.StatusNotFound, "There is no such bulk action. What it has done is in the audit.")
		return
	case err != nil:
		d.broken(w, r, "show a bulk action", err)
		return
	}
	p := page{Title: "Bulk " + one.Action.Verb(), At: time.Now(), Body: jobState{one}}
	if one.Open() {
		p.Refresh = 1
	} else {
		d.groupings.Changed()
	}
	d.render(w, r, http.StatusOK, "job", p)
}

func (d *dashboard) stopJob(w http.ResponseWriter, r *http.Request) {
	id := r.PathValue("id")
	switch _, err := d.Jobs.Stop(r.Context(), id, who(r).actor()); {
	case errors.Is(err, operate.ErrNoJob):
		d.notFound(w, r)
	case !operate.Done(err):
		d.broken(w, r, "stop a bulk action", err)
	default:
		redirect(w, r, "jobs/"+id)
	}
}
