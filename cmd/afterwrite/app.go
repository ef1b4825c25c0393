package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/redis/go-redis/v9"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/term"

	"github.com/afterwrite/afterwrite/internal/config"
	"github.com/afterwrite/afterwrite/internal/logs"
	"github.com/afterwrite/afterwrite/internal/process"
)

// Exit codes.
const (
	exitOK      = 0
	exitFailure = 1
	exitUsage   = 2 // wrong usage, or a configuration that cannot be used
)

// streams are what the program has of the system.
type streams struct {
	in       io.Reader
	out, err io.Writer
	env      []string
}

func system() streams { return streams{os.Stdin, os.Stdout, os.Stderr, os.Environ()} }

// app is one run of the program: its streams, and the flags that every command takes.
type app struct {
	streams
	configFile string
	logLevel   string
	json       bool
	log        *slog.Logger
	started    bool // usage was right and a command has begun
}

// errUsage is matched by errors that deserve exit code 2 and a hint at the help.
var errUsage = errors.New("wrong usage")

// errReported ends a command with exit code 1 whose results already say why.
var errReported = errors.New("reported")

func usagef(format string, args ...any) error {
	return fmt.Errorf("%w: %s", errUsage, fmt.Sprintf(format, args...))
}

// run runs the command line and returns the exit code. The first SIGINT or SIGTERM ends
// the command's context; after that the system's own handling is back, so a second
// one ends the process at once.
func run(args []string, s streams) int {
	ctx, cancel := untilSignal()
	defer cancel()
	a := &app{streams: s}
	root := a.root()
	root.SetArgs(args)
	root.SetIn(s.in)
	root.SetOut(s.out)
	root.SetErr(s.err)
	return a.exitCode(root.ExecuteContext(ctx))
}

// untilSignal returns a context that ends at the first SIGINT or SIGTERM. The system's own
// handling is back before it ends, so whoever sees the end may send the second.
func untilSignal() (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(context.Background())
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		select {
		case s := <-signals:
			signal.Stop(signals)
			if s == os.Interrupt {
				cancel(process.ErrInterrupted)
			}
		case <-ctx.Done():
			signal.Stop(signals)
		}
		cancel(nil)
	}()
	return ctx, func() { cancel(nil) }
}

func (a *app) exitCode(err error) int {
	switch {
	case err == nil:
		return exitOK
	case errors.Is(err, errReported):
		return exitFailure
	case errors.Is(err, errUsage), !a.started:
		fmt.Fprintf(a.err, "afterwrite: %s\nRun the command with --help for its usage.\n",
			strings.TrimPrefix(err.Error(), errUsage.Error()+": "))
		return exitUsage
	case errors.Is(err, config.ErrInvalid), errors.Is(err, process.ErrConfig):
		fmt.Fprintln(a.err, err)
		return exitUsage
	}
	fmt.Fprintf(a.err, "afterwrite: %s\n", reasonOf(err))
	return exitFailure
}

// reasonOf is the text of an error; a signal is told as what it is.
func reasonOf(err error) string {
	if errors.Is(err, context.Canceled) {
		return "interrupted"
	}
	return err.Error()
}

func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:           "afterwrite",
		Short:         "A write-behind system for SQL databases",
		Long:          "Afterwrite accepts writes at Redis speed, persists them to a SQL database in batches soon\nafter, and answers every read with the newest accepted state.",
		Example:       "  afterwrite dev                        # everything in one process, to try it\n  afterwrite config example > afterwrite.yaml\n  afterwrite migrate && afterwrite api",
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          cobra.NoArgs,
		RunE:          needsSubcommand,
		PersistentPreRunE: func(*cobra.Command, []string) error {
			a.started = true
			return a.startLog()
		},
	}
	root.SetFlagErrorFunc(dashed(nil))
	flags := root.PersistentFlags()
	flags.StringVar(&a.configFile, "config", "",
		"configuration `FILE` (default $AFTERWRITE_CONFIG, else ./afterwrite.yaml)")
	flags.StringVar(&a.logLevel, "log-level", "",
		"debug, info, warn or error (default $AFTERWRITE_LOG_LEVEL, else info)")
	root.AddCommand(
		a.devCommand(), a.apiCommand(), a.workerCommand(), a.dashboardCommand(),
		a.initCommand(), a.migrateCommand(), a.configCommand(), a.doctorCommand(), a.versionCommand(),
		a.recordCommand(), a.flushCommand(), a.fsckCommand(), a.invalidateCommand(), a.cacheCommand(), a.rankCommand(),
		a.loadCommand(),
		a.statusCommand(), a.planCommand(), a.healthcheckCommand(), a.metricsCommand(), a.pauseCommand(),
		a.resumeCommand(), a.auditCommand(),
		a.pairCommand(), a.acknowledgeCommand(),
		a.heldCommand(), a.deadCommand(), a.jobsCommand(), a.retryPolicyCommand(), a.tokenCommand(), a.benchCommand(),
	)
	root.SetHelpCommand(helpCommand())
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd("completion")
	for _, c := range root.Commands() {
		if c.Name() != "completion" {
			continue
		}
		c.Example = "  source <(afterwrite completion bash)"
		c.RunE, c.Args = needsSubcommand, cobra.NoArgs
		for _, shell := range c.Commands() {
			shell.Example = "  afterwrite completion " + shell.Name()
		}
	}
	return root
}

// dashed words the error of an argument that begins with - and was taken for a flag. Where
// such an argument is never right, refuse says so; else, or where it is nil, it is given
// after --.
func dashed(refuse func(arg string) error) func(c *cobra.Command, err error) error {
	return func(c *cobra.Command, err error) error {
		unknown, ok := errors.AsType[*pflag.NotExistError](err)
		if !ok || unknown.GetSpecifiedShortnames() == "" || !strings.Contains(c.Use, " ") {
			return err
		}
		arg := "-" + unknown.GetSpecifiedShortnames()
		if refuse != nil {
			return refuse(arg)
		}
		return usagef("%s is not a flag; what begins with - and is none comes after --: %s -- %s",
			arg, c.CommandPath(), strings.TrimPrefix(c.Use, c.Name()+" "))
	}
}

// helpCommand is cobra's own, but for a command that there is not: that is wrong usage.
func helpCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "help [COMMAND]",
		Short:   "Help about a command",
		Example: "  afterwrite help record get",
		RunE: func(c *cobra.Command, args []string) error {
			about, rest, err := c.Root().Find(args)
			if err != nil || len(rest) > 0 {
				return usagef("no command %q", strings.Join(args, " "))
			}
			about.InitDefaultHelpFlag()
			return about.Help()
		},
	}
}

// needsSubcommand ends a command that does nothing by itself. Its help is no result, so
// it goes where errors go.
func needsSubcommand(c *cobra.Command, _ []string) error {
	c.SetOut(c.ErrOrStderr())
	if err := c.Help(); err != nil {
		return err
	}
	return usagef("%s needs a command", c.CommandPath())
}

// withJSON gives a command that prints results the flag --json.
func (a *app) withJSON(c *cobra.Command) *cobra.Command {
	c.Flags().BoolVar(&a.json, "json", false, "print JSON")
	return c
}

// startLog makes the log of the process: text on a terminal, else JSON.
func (a *app) startLog() error {
	var level slog.Level
	text, from := cmp.Or(a.logLevel, config.LogLevel(a.env), "info"), "--log-level"
	if a.logLevel == "" {
		from = config.EnvLogLevel
	}
	if err := level.UnmarshalText([]byte(text)); err != nil {
		return usagef("%s %q is not debug, info, warn or error", from, text)
	}
	o := &slog.HandlerOptions{Level: level, ReplaceAttr: withUnits}
	if isTerminal(a.err) {
		a.log = slog.New(logs.Bounded(slog.NewTextHandler(a.err, o)))
	} else {
		a.log = slog.New(logs.Bounded(slog.NewJSONHandler(a.err, o)))
	}
	slog.SetDefault(a.log)
	redis.SetLogger(redisLog{a.log})
	return nil
}

// withUnits prints a duration as 1.5s where JSON would have a bare number of nanoseconds.
func withUnits(_ []string, attr slog.Attr) slog.Attr {
	if attr.Value.Kind() == slog.KindDuration {
		attr.Value = slog.StringValue(attr.Value.Duration().String())
	}
	return attr
}

// redisLog takes what the Redis client says of its connections, which it would else
// print by itself. Whoever uses a connection gets an error and says what it meant.
type redisLog struct{ log *slog.Logger }

func (l redisLog) Printf(ctx context.Context, format string, v ...any) {
	l.log.DebugContext(ctx, "redis client", "said", fmt.Sprintf(format, v...))
}

func isTerminal(w any) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}
