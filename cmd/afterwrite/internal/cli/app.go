// Package cli is what every command of afterwrite stands on: its streams and flags, its log, the configuration and the
// parts that it names, what is asked and what is printed.
//
//	app.go      one run of the program, and its exit code
//	command.go  what cobra is told
//	parts.go    the configuration, and the parts of a process
//	input.go    what is read, until a signal
//	ask.go      confirmations, and whom the audit names
//	print.go    tables, JSON, progress and words
package cli

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
	"golang.org/x/term"

	"github.com/afterwrite/afterwrite/internal/config"
	"github.com/afterwrite/afterwrite/internal/logs"
	"github.com/afterwrite/afterwrite/internal/operate"
	"github.com/afterwrite/afterwrite/internal/process"
)

// Exit codes.
const (
	ExitOK      = 0
	ExitFailure = 1
	ExitUsage   = 2 // wrong usage, or a configuration that cannot be used
)

// Streams are what the program has of the system.
type Streams struct {
	In       io.Reader
	Out, Err io.Writer
	Env      []string
}

// System is the streams of the process.
func System() Streams { return Streams{os.Stdin, os.Stdout, os.Stderr, os.Environ()} }

// App is one run of the program: its streams, and the flags that every command takes.
type App struct {
	Streams
	Build      Build
	ConfigFile string
	LogLevel   string
	JSON       bool
	Log        *slog.Logger
	Started    bool // usage was right and a command has begun
}

// ErrUsage is matched by errors that deserve exit code 2 and a hint at the help.
var ErrUsage = errors.New("wrong usage")

// ErrReported ends a command with exit code 1 whose results already say why.
var ErrReported = errors.New("reported")

// Audited is nil for an action that is done but not in the audit, and says so. Other errors it returns.
func (a *App) Audited(err error) error {
	if !errors.Is(err, operate.ErrNotAudited) {
		return err
	}
	fmt.Fprintf(a.Err, "warning: %s\n", ReasonOf(err))
	return nil
}

// Usagef is an error of wrong usage.
func Usagef(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrUsage, fmt.Sprintf(format, args...))
}

// UntilSignal returns a context that ends at the first SIGINT or SIGTERM. The system's own
// handling is back before it ends, so a second signal ends the process at once.
func UntilSignal() (context.Context, context.CancelFunc) {
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

// ExitCode says what is wrong, and returns the exit code of an error.
func (a *App) ExitCode(err error) int {
	switch {
	case err == nil:
		return ExitOK
	case errors.Is(err, ErrReported):
		return ExitFailure
	case errors.Is(err, ErrUsage), !a.Started:
		fmt.Fprintf(a.Err, "afterwrite: %s\nRun the command with --help for its usage.\n",
			strings.TrimPrefix(err.Error(), ErrUsage.Error()+": "))
		return ExitUsage
	case errors.Is(err, config.ErrInvalid), errors.Is(err, process.ErrConfig):
		fmt.Fprintln(a.Err, err)
		return ExitUsage
	}
	fmt.Fprintf(a.Err, "afterwrite: %s\n", ReasonOf(err))
	return ExitFailure
}

// ReasonOf is the text of an error; a signal is told as what it is.
func ReasonOf(err error) string {
	if errors.Is(err, context.Canceled) {
		return "interrupted"
	}
	return err.Error()
}

// StartLog makes the log of the process: text on a terminal, else JSON.
func (a *App) StartLog() error {
	var level slog.Level
	text, from := cmp.Or(a.LogLevel, config.LogLevel(a.Env), "info"), "--log-level"
	if a.LogLevel == "" {
		from = config.EnvLogLevel
	}
	if err := level.UnmarshalText([]byte(text)); err != nil {
		return Usagef("%s %q is not debug, info, warn or error", from, text)
	}
	o := &slog.HandlerOptions{Level: level, ReplaceAttr: withUnits}
	if w := Raw(a.Err); IsTerminal(w) {
		a.Log = slog.New(logs.Bounded(slog.NewTextHandler(w, o)))
	} else {
		a.Log = slog.New(logs.Bounded(slog.NewJSONHandler(w, o)))
	}
	slog.SetDefault(a.Log)
	redis.SetLogger(redisLog{a.Log})
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
// print by itself. The caller of a connection gets an error and reports what it meant.
type redisLog struct{ log *slog.Logger }

func (l redisLog) Printf(ctx context.Context, format string, v ...any) {
	l.log.DebugContext(ctx, "redis client", "said", fmt.Sprintf(format, v...))
}

// IsTerminal reports whether a stream is a terminal.
func IsTerminal(w any) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}
