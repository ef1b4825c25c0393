package fleet

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/afterwrite/afterwrite/internal/layout"
	"github.com/afterwrite/afterwrite/internal/rdb"
)

var (
	jobAddScript  = layout.Load(sources, "job_add")
	jobSaveScript = layout.Load(sources, "job_save")
	jobTakeScript = layout.Load(sources, "job_take")
	jobStopScript = layout.Load(sources, "job_stop")
)

// Bounds of the jobs of all processes.
const (
	MaxJobs  = 4   // that have not ended
	KeptJobs = 100 // that have ended
)

// Job is long work that outlives its request. It is kept in Redis, so that every process reports it, any can ask it to
// stop, and another goes on with it if its runner ends. Is, Work and At are the texts of the package that runs it.
type Job struct {
	ID     string
	Is     string    // what it is, kept after its end
	Work   string    // what it works on, dropped at its end
	At     string    // how far it is
	Runner string    // the process that runs it, or ran it last; "": it has ended
	Till   time.Time // the end of the runner's lease, by Redis's clock
	Stop   string    // who asked it to stop; "": no request
}

func (f *Fleet) jobKeys() []string {
	return []string{f.prefix.Shared("jobs"), f.prefix.Shared("jobs:open"), f.prefix.Shared("jobs:ended")}
}

// AddJob adds a job for its runner, whose lease ends after life. It reports whether there was room: at most [MaxJobs]
// have not ended.
func (f *Fleet) AddJob(ctx context.Context, j Job, life time.Duration) (bool, error) {
	n, err := f.redis.RunInt(ctx, jobAddScript, f.jobKeys()[:2], j.ID, j.Is, j.Work, j.At, j.Runner, layout.MS(life),
		MaxJobs)
	return n == 1, err
}

// SaveJob stores how far a job is and extends its runner's lease; a life of 0 leaves the job to other processes. It
// returns who asked the job to stop, and whether the job is the runner's still: another took it if the lease expired.
func (f *Fleet) SaveJob(ctx context.Context, id, runner, at string, life time.Duration) (stop string, mine bool,
	err error) {
	return f.saveJob(ctx, id, runner, at, layout.MS(life))
}

// EndJob ends a job of a runner. The [KeptJobs] that ended last are kept.
func (f *Fleet) EndJob(ctx context.Context, id, runner, at string) error {
	_, _, err := f.saveJob(ctx, id, runner, at, "end")
	return err
}

func (f *Fleet) saveJob(ctx context.Context, id, runner, at string, life any) (stop string, mine bool, err error) {
	reply, err := f.redis.RunAny(ctx, jobSaveScript, f.jobKeys(), id, runner, at, life, KeptJobs)
	if err != nil {
		return "", false, err
	}
	stop, mine = reply.(string)
	return stop, mine, nil
}

// TakeJob gives a runner a job that no process runs, whose Is begins with is and whose id is not one of others. An
// empty ID says that there is none.
func (f *Fleet) TakeJob(ctx context.Context, runner, is string, others []string, life time.Duration) (Job, error) {
	args := []any{runner, layout.MS(life), is}
	for _, id := range others {
		args = append(args, id)
	}
	got, err := f.redis.Run(ctx, jobTakeScript, f.jobKeys()[:2], args...)
	if err != nil || len(got) < 5 {
		return Job{}, err
	}
	return Job{ID: layout.Text(got[0]), Is: layout.Text(got[1]), Work: layout.Text(got[2]), At: layout.Text(got[3]),
		Stop: layout.Text(got[4]), Runner: runner}, nil
}

// StopJob asks a job to stop and reports whether it had not ended.
func (f *Fleet) StopJob(ctx context.Context, id, by string) (bool, error) {
	n, err := f.redis.RunInt(ctx, jobStopScript, f.jobKeys()[:2], id, by)
	return n == 1, err
}

// Jobs returns the jobs that have not ended and those that ended last, by id, and the time of Redis.
func (f *Fleet) Jobs(ctx context.Context) ([]Job, time.Time, error) {
	fields, err := f.redis.HGetAll(ctx, f.jobKeys()[0]).Result()
	if err != nil {
		return nil, time.Time{}, rdb.Fault("jobs", err)
	}
	now, err := f.Now(ctx)
	if err != nil {
		return nil, now, err
	}
	byID := map[string]*Job{}
	for name, text := range fields {
		id, field, _ := strings.Cut(name, "/")
		if byID[id] == nil {
			byID[id] = &Job{ID: id}
		}
		switch j := byID[id]; field {
		case "is":
			j.Is = text
		case "work":
			j.Work = text
		case "at":
			j.At = text
		case "stop":
			j.Stop = text
		case "run":
			var till string
			till, j.Runner, _ = strings.Cut(text, " ")
			ms, _ := strconv.ParseInt(till, 10, 64) // written by our script
			j.Till = time.UnixMilli(ms)
		}
	}
	all := make([]Job, 0, len(byID))
	for _, j := range byID {
		all = append(all, *j)
	}
	slices.SortFunc(all, func(a, b Job) int { return strings.Compare(a.ID, b.ID) })
	return all, now, nil
}

// Now is the time of Redis.
func (f *Fleet) Now(ctx context.Context) (time.Time, error) {
	now, err := f.redis.Time(ctx).Result()
	if err != nil {
		return now, rdb.Fault("time", err)
	}
	return now, nil
}
