package refused

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/afterwrite/afterwrite/cmd/afterwrite/internal/cli"
	"github.com/afterwrite/afterwrite/internal/operate"
	"github.com/afterwrite/afterwrite/internal/operate/web"
)

func (a *app) jobsCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "jobs",
		Short: "List, watch and stop bulk actions, in whatever process they run",
		Long: `Bulk retries and discards of dead letters and held records are jobs. Commands, the admin API
and the dashboard list the same ones. If the process of a job ends, another API or dashboard goes
on with it; until one runs, the job is interrupted. A hundred jobs that have ended are kept.`,
		Example: "  afterwrite jobs\n  afterwrite jobs show x3k9qa2mfp --follow\n  afterwrite jobs stop x3k9qa2mfp",
		Args:    cobra.NoArgs,
		RunE:    func(c *cobra.Command, _ []string) error { return a.listJobs(c.Context()) },
	}
	var follow bool
	show := &cobra.Command{
		Use:     "show ID",
		Short:   "Show how far a job is",
		Long:    "Shows how far a job is. The exit code is 1 for a job that failed or was stopped.",
		Example: "  afterwrite jobs show x3k9qa2mfp --follow",
		Args:    cobra.ExactArgs(1),
		RunE:    func(c *cobra.Command, args []string) error { return a.showJob(c.Context(), args[0], follow) },
	}
	show.Flags().BoolVar(&follow, "follow", false, "wait until the job has ended")
	stop := &cobra.Command{
		Use:     "stop ID",
		Short:   "Stop a job after its step",
		Long:    "Asks a job to stop, in whatever process it runs. It ends after its step, and a repeat of its\naction resumes it. The audit names who stopped it.",
		Example: "  afterwrite jobs stop x3k9qa2mfp",
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			return a.withJobs(func(jobs *operate.Jobs) error {
				job, err := jobs.Stop(c.Context(), args[0], a.Actor())
				if err := a.Audited(err); err != nil {
					return err
				}
				return a.printJob(job)
			})
		},
	}
	c.AddCommand(a.WithJSON(show), a.WithJSON(stop))
	return a.WithJSON(c)
}

// withJobs runs fn with the jobs of all processes.
func (a *app) withJobs(fn func(*operate.Jobs) error) error {
	p, err := a.Joined()
	if err != nil {
		return err
	}
	defer p.Close()
	jobs, err := p.Jobs()
	if err != nil {
		return err
	}
	return fn(jobs)
}

func (a *app) listJobs(ctx context.Context) error {
	return a.withJobs(func(jobs *operate.Jobs) error {
		list, err := jobs.List(ctx)
		if err != nil {
			return err
		}
		return a.PrintTable(web.JobsOf(list), jobRows(list...))
	})
}

// showJob prints a job, where follow says so once it has ended.
func (a *app) showJob(ctx context.Context, id string, follow bool) error {
	return a.withJobs(func(jobs *operate.Jobs) error {
		job, err := jobs.Get(ctx, id)
		if err != nil {
			return err
		}
		progress := a.Bar(int64(job.Report.Selected), job.Action.Verb())
		for follow && job.Open() {
			progress.At(int64(job.Report.Done + job.Report.Stale + job.Report.Failed))
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(500 * time.Millisecond):
			}
			// A Redis that does not respond for a moment ends no job.
			if now, err := jobs.Get(ctx, id); err == nil {
				job = now
			} else if errors.Is(err, operate.ErrNoJob) {
				return err
			}
		}
		progress.Done()
		if err := a.printJob(job); err != nil {
			return err
		}
		if job.State == operate.JobFailed || job.State == operate.JobStopped {
			return cli.ErrReported
		}
		return nil
	})
}

func (a *app) printJob(job operate.Job) error {
	if a.JSON {
		return a.PrintJSON(web.JobOf(job))
	}
	if err := cli.Table(a.Out, jobRows(job)); err != nil {
		return err
	}
	for _, e := range job.Report.Errors {
		fmt.Fprintln(a.Err, e)
	}
	if job.Error != "" {
		fmt.Fprintln(a.Err, job.Error)
	}
	return nil
}

func jobRows(jobs ...operate.Job) [][]string {
	rows := [][]string{{"id", "action", "state", "selected", "done", "stale", "failed", "by", "began", "ended",
		"runs in"}}
	for _, j := range jobs {
		r := j.Report
		rows = append(rows, []string{j.ID, string(j.Action), string(j.State), strconv.Itoa(r.Selected),
			strconv.Itoa(r.Done), strconv.Itoa(r.Stale), strconv.Itoa(r.Failed), j.Actor.Name, cli.Moment(j.Began),
			cli.Moment(j.Ended), cmp.Or(j.Runner, "–")})
	}
	return rows
}
