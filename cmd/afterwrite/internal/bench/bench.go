// Package bench is the command that measures this machine, with package internal/bench.
package bench

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/pprof"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/afterwrite/afterwrite/cmd/afterwrite/internal/cli"
	"github.com/afterwrite/afterwrite/cmd/afterwrite/internal/local"
	"github.com/afterwrite/afterwrite/internal/bench"
	"github.com/afterwrite/afterwrite/internal/config"
)

// app is a run of the program, with the commands of this package.
type app struct{ *cli.App }

// Command returns the command bench.
func Command(a *cli.App) *cobra.Command { return (&app{a}).benchCommand() }

// benchFlags are the flags of the bench command.
type benchFlags struct {
	redis, database string
	runs, backlog   int
	hot             int
	seconds         float64
	callers         []int
	only            []string
	quick           bool
	svg, profile    string
	plan            string
}

func (a *app) benchCommand() *cobra.Command {
	var f benchFlags
	c := &cobra.Command{
		Use:   "bench",
		Short: "Measure this machine, beside other ways to do the same",
		Long: `Measures accepted writes, persisted rows, reads, latencies, lag and memory on this machine,
beside plain Redis commands, a gorm upsert per request, the write-behind that people write
by hand, and an asynq task per write. The ways take turns; ratios are told turn by turn.

Without --redis it starts a redis-server with an append-only file that is synced every
second, and without --database it makes a SQLite file, both in a temporary directory,
which the next run removes where one was killed. On a Redis or a database of yours it keeps to
keys that begin with "` + bench.Prefix + `" and tables that begin with "bench_afterwrite", and removes them.

With --plan FILE it measures what afterwrite plan computes with, and nothing else.

Sections for --only: ` + strings.Join(bench.Sections(), ", ") + ".",
		Example: "  afterwrite bench --quick\n  afterwrite bench --quick --plan rates.json\n  afterwrite bench --database postgres://user@host/name --svg chart.svg\n  afterwrite bench --only accept,http --seconds 5 --json > bench.json",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if f.quick {
				f.hurry(c)
			}
			if err := f.forPlan(c); err != nil {
				return err
			}
			return a.bench(c.Context(), f)
		},
	}
	flags := c.Flags()
	flags.StringVar(&f.redis, "redis", "", "`URL` of the Redis to measure on (default: one of its own)")
	flags.StringVar(&f.database, "database", "",
		"`URL` of the database to measure on (default: a SQLite file of its own)")
	flags.IntVar(&f.runs, "runs", 5, "turns of every way")
	flags.Float64Var(&f.seconds, "seconds", 2, "of one turn")
	flags.IntSliceVar(&f.callers, "callers", []int{1, 10, 50, 256}, "numbers of concurrent callers")
	flags.IntVar(&f.backlog, "backlog", 1_000_000, "pending records to drain")
	flags.IntVar(&f.hot, "hot", 1_000_000, "writes on the hot records")
	flags.StringSliceVar(&f.only, "only", nil, "sections to measure (default all)")
	flags.BoolVar(&f.quick, "quick", false, "a few minutes: short turns, few of them, small backlogs")
	flags.StringVar(&f.profile, "profile", "", "write a CPU profile of the callers' process to this `FILE`")
	flags.StringVar(&f.svg, "svg", "", "write a chart to this `FILE`")
	flags.StringVar(&f.plan, "plan", "", "measure what a plan needs, and write it to this `FILE` for plan --rates")
	c.AddCommand(a.benchPart("serve", cobra.NoArgs), a.benchPart("consume",
		cobra.MatchAll(cobra.ExactArgs(1), cobra.OnlyValidArgs)))
	return a.WithJSON(c)
}

// hurry shortens what the command line does not say.
func (f *benchFlags) hurry(c *cobra.Command) {
	short := benchFlags{runs: 3, seconds: 0.5, callers: []int{1, 50}, backlog: 100_000, hot: 100_000}
	for name, set := range map[string]func(){
		"runs": func() { f.runs = short.runs }, "seconds": func() { f.seconds = short.seconds },
		"callers": func() { f.callers = short.callers }, "backlog": func() { f.backlog = short.backlog },
		"hot": func() { f.hot = short.hot },
	} {
		if !c.Flags().Changed(name) {
			set()
		}
	}
}

// forPlan chooses what a plan needs.
func (f *benchFlags) forPlan(c *cobra.Command) error {
	if f.plan == "" {
		return nil
	}
	for _, name := range []string{"only", "callers"} {
		if c.Flags().Changed(name) {
			return cli.Usagef("--plan chooses sections and callers by itself: leave out --%s", name)
		}
	}
	f.only, f.callers = bench.PlanSections(), []int{bench.PlanCallers}
	if !c.Flags().Changed("backlog") {
		f.backlog = min(f.backlog, 200_000)
	}
	return nil
}

func (f *benchFlags) check() error {
	if f.runs < 1 || f.seconds <= 0 || f.backlog < 1000 || f.hot < 1 || len(f.callers) == 0 ||
		slices.Min(f.callers) < 1 {
		return cli.Usagef("--runs, --seconds, --callers and --hot are at least 1, --backlog 1000")
	}
	for _, name := range f.only {
		if !slices.Contains(bench.Sections(), name) {
			return cli.Usagef("--only: no section %q; there are %s", name, strings.Join(bench.Sections(), ", "))
		}
	}
	return nil
}

// benchPart is a process of the benchmark beside it, no command for people.
func (a *app) benchPart(name string, args cobra.PositionalArgs) *cobra.Command {
	return &cobra.Command{
		Use: name, Hidden: true, Args: args, ValidArgs: []string{"obvious", "tasks", "example"},
		Short:   "A process that afterwrite bench starts",
		Example: "  afterwrite bench --quick",
		RunE: func(c *cobra.Command, args []string) error {
			settings, err := a.Settings()
			if err != nil {
				return err
			}
			if name == "serve" {
				return bench.Serve(c.Context(), settings)
			}
			return bench.Consume(c.Context(), settings, args[0])
		},
	}
}

func (a *app) bench(ctx context.Context, f benchFlags) error {
	if err := f.check(); err != nil {
		return err
	}
	dir, lock, err := benchDir()
	if err != nil {
		return err
	}
	defer lock.Close()
	defer os.RemoveAll(dir)
	quiet := slog.New(slog.DiscardHandler) // the parts log each flush, which is not what is measured
	slog.SetDefault(quiet)
	redis, err := benchRedis(ctx, quiet, f.redis, dir, lock)
	if err != nil {
		return err
	}
	defer redis.Stop()
	file, c, err := benchConfig(dir, redis.URL, cmp.Or(f.database, "sqlite://"+filepath.Join(dir, "bench.db")))
	if err != nil {
		return err
	}
	stop, err := profiling(f.profile)
	if err != nil {
		return err
	}
	defer stop()
	progress := a.Bar(0, "")
	report, err := bench.Run(ctx, bench.Options{
		Config: c, Start: starter(file, filepath.Join(dir, "log"), lock),
		Runs: f.runs, Time: time.Duration(f.seconds * float64(time.Second)), Callers: f.callers,
		Backlog: f.backlog, Hot: f.hot, Only: f.only,
		Progress: func(done, total int, what string) {
			progress.ChangeMax(total)
			progress.Describe(what)
			progress.At(int64(done))
		},
	})
	progress.Done()
	if err != nil {
		err = errors.Join(err, said(filepath.Join(dir, "log")))
	}
	if err == nil && f.plan != "" {
		kind, _, _ := strings.Cut(cmp.Or(f.database, "sqlite:"), ":")
		err = report.Plan(strings.Replace(kind, "postgresql", "postgres", 1)).Write(f.plan)
	}
	return errors.Join(err, a.printBench(report, f.svg))
}

// profiling begins a CPU profile of this process, if a file is named.
func profiling(file string) (stop func(), err error) {
	if file == "" {
		return func() {}, nil
	}
	out, err := os.Create(file)
	if err != nil {
		return nil, fmt.Errorf("write the profile: %w", err)
	}
	if err := pprof.StartCPUProfile(out); err != nil {
		return nil, fmt.Errorf("write the profile: %w", err)
	}
	return func() { pprof.StopCPUProfile(); _ = out.Close() }, nil
}

func (a *app) printBench(r bench.Report, svg string) error {
	if svg != "" {
		if err := os.WriteFile(svg, r.SVG(), 0o644); err != nil {
			return fmt.Errorf("write the chart: %w", err)
		}
	}
	if a.JSON {
		return a.PrintJSON(r)
	}
	m := r.Machine
	fmt.Fprintf(a.Out, "%s, %d CPUs, %s, %s; Redis %s, appendonly %s, appendfsync %s; %s\nload before %s, after %s; took %s\n\n",
		cmp.Or(m.CPU, m.System), m.CPUs, m.System, m.Go, m.Redis, m.Settings["appendonly"], m.Settings["appendfsync"],
		m.Database,
		cmp.Or(r.LoadBefore, "–"), cmp.Or(r.LoadAfter, "–"), r.Took.Round(time.Second))
	return cli.Table(a.Out, r.Table())
}

// benchRedis is the Redis that --redis names, or a child with the settings of production.
func benchRedis(ctx context.Context, log *slog.Logger, address, dir string, lock *os.File) (local.Redis, error) {
	if address != "" {
		return local.Redis{URL: address, Stop: func() {}}, local.Ping(ctx, address)
	}
	program, err := exec.LookPath("redis-server")
	if err != nil {
		return local.Redis{}, errors.New("redis-server is not installed; install it, or name a Redis with --redis")
	}
	return local.ChildRedis(ctx, log, program, filepath.Join(dir, "redis"), lock)
}

// benchConfig writes the configuration of every process of the benchmark.
func benchConfig(dir, redis, database string) (file string, c *config.Config, err error) {
	text := strings.Replace(bench.Configuration, "redis: {", fmt.Sprintf("redis: {url: %q, ", redis), 1)
	text += fmt.Sprintf("database: {url: %q}\n", database)
	for _, name := range []string{"api", "worker", "dashboard"} {
		port, err := local.FreePort()
		if err != nil {
			return "", nil, err
		}
		text += fmt.Sprintf("%s: {addr: \"127.0.0.1:%d\"%s}\n", name, port,
			map[string]string{"api": ", pprof: true", "worker": ", pprof: true"}[name])
	}
	file = filepath.Join(dir, "afterwrite.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		return "", nil, fmt.Errorf("write the configuration: %w", err)
	}
	c, err = config.Load(file, nil)
	return file, c, err
}

// starter starts this program on a configuration, saying only what goes wrong.
func starter(file, log string, lock *os.File) bench.Starter {
	return func(ctx context.Context, args ...string) (bench.Process, error) {
		self, err := os.Executable()
		if err != nil {
			return nil, err
		}
		out, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
		if err != nil {
			return nil, err
		}
		defer out.Close()
		cmd := exec.Command(self, append(args, "--config", file, "--log-level", "warn")...)
		cmd.Stdout, cmd.Stderr = out, out
		cmd.Env = slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, config.EnvPrefix) })
		cmd.ExtraFiles = []*os.File{lock}
		exited, err := local.Start(cmd, syscall.SIGKILL)
		if err != nil {
			return nil, fmt.Errorf("start %s: %w", strings.Join(args, " "), err)
		}
		return &benchProcess{cmd.Process, exited}, ctx.Err()
	}
}

// benchProcess is a child of the benchmark.
type benchProcess struct {
	process *os.Process
	exited  <-chan struct{}
}

func (p *benchProcess) PID() int { return p.process.Pid }

// Kill needs no patience: what the process had to do is done, and its traces are wiped.
func (p *benchProcess) Kill() {
	_ = p.process.Kill() // it may have ended already
	<-p.exited
}

// said is the end of what the processes of the benchmark wrote, as an error.
func said(log string) error {
	f, err := os.Open(log)
	if err != nil {
		return nil
	}
	defer f.Close()
	text, _ := io.ReadAll(io.LimitReader(f, 1<<20))
	if len(text) == 0 {
		return nil
	}
	return fmt.Errorf("its processes said:\n%s", text[max(0, len(text)-2000):])
}
