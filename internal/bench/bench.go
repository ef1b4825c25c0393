package bench

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/afterwrite/afterwrite/internal/config"
)

// Options say what to measure and where. All are required.
type Options struct {
	// Config names Redis, the database, and the addresses of the API and the worker. It contains the entities of
	// [Configuration].
	Config *config.Config
	Start  Starter

	Runs    int           // turns of each way
	Time    time.Duration // of one turn
	Callers []int         // numbers of concurrent callers of the accept section
	Backlog int           // pending records that are drained
	Hot     int           // writes on the hot records
	Only    []string      // names of sections; empty: all

	Progress func(done, total int, what string)
}

// Starter starts this program again with the arguments, on the configuration of the Options. The process ends with this
// one.
type Starter func(ctx context.Context, args ...string) (Process, error)

// Process is a process of the run.
type Process interface {
	PID() int
	Kill() // immediately, and waits until the process has ended; repeating it does nothing
}

// section is a group of measurements that are made together.
type section struct {
	name string
	what string
	run  func(*run, context.Context) error
}

var sections = []section{
	{"accept", "accepted writes, nothing flushed", (*run).accept},
	{"flushing", "accepted writes while all are flushed", (*run).flushing},
	{"latency", "latency at half of the library's load", (*run).latency},
	{"http", "HTTP puts and batches", (*run).http},
	{"reads", "reads of cached records", (*run).reads},
	{"space", "Redis bytes of a pending record", (*run).space},
	{"rows", "persisted rows, end to end", (*run).rows},
	{"lag", "time from acceptance to row", (*run).lag},
	{"hot", "coalescing on hot records", (*run).hot},
	{"drain", "drain of a filled backlog", (*run).drain},
}

// Sections returns the names that [Options].Only can contain.
func Sections() []string {
	names := make([]string, len(sections))
	for i, s := range sections {
		names[i] = s.name
	}
	return names
}

// run is one run of the benchmark.
type run struct {
	Options
	*place
	report Report
	done   int
	total  int
	what   string
}

// Run measures. If ctx ends, the report contains what was measured until then.
func Run(ctx context.Context, o Options) (Report, error) {
	chosen := slices.DeleteFunc(slices.Clone(sections), func(s section) bool {
		return len(o.Only) > 0 && !slices.Contains(o.Only, s.name)
	})
	if len(chosen) == 0 {
		return Report{}, fmt.Errorf("no section %s; there are %s", strings.Join(o.Only, ", "),
			strings.Join(Sections(), ", "))
	}
	p, err := newPlace(ctx, o.Config)
	if err != nil {
		return Report{}, err
	}
	defer p.close()
	r := &run{Options: o, place: p, total: len(chosen)}
	r.report.Began = time.Now().UTC()
	r.report.LoadBefore = load()
	if r.report.Machine, err = p.machine(ctx); err != nil {
		return r.report, err
	}
	for _, s := range chosen {
		r.what = s.what
		if err = s.run(r, ctx); err != nil {
			err = fmt.Errorf("%s: %w", s.name, err)
			break
		}
		if err = p.clean(ctx); err != nil {
			break
		}
		r.done++
	}
	r.report.LoadAfter = load()
	r.report.Took = time.Since(r.report.Began)
	return r.report, err
}

func (r *run) progress(detail string) {
	if r.Progress != nil {
		r.Progress(r.done, r.total, r.what+": "+detail)
	}
}

// way is one way to do what a section measures.
type way struct {
	name string
	// turn measures once. It returns the values by the name of the measurement.
	turn func(ctx context.Context) (map[string]float64, error)
}

// alternate gives each way its turn, once per run, and adds the values to the measurements of the report. Before each
// turn the place is emptied, so that no way inherits another's records.
func (r *run) alternate(ctx context.Context, figures []Figure, ways ...way) error {
	for turn := range r.Runs {
		for _, w := range ways {
			r.progress(fmt.Sprintf("%s, run %d of %d", w.name, turn+1, r.Runs))
			if err := r.clean(ctx); err != nil {
				return err
			}
			runtime.GC()
			values, err := w.turn(ctx)
			if err != nil {
				return fmt.Errorf("%s: %w", w.name, err)
			}
			for i := range figures {
				if v, ok := values[figures[i].Name]; ok {
					figures[i].add(w.name, v)
				}
			}
		}
	}
	for i := range figures {
		figures[i].compare()
	}
	r.report.Figures = append(r.report.Figures, figures...)
	return nil
}
