package queue

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/hibiken/asynq"
)

// Guest runs sync tasks on the program's own asynq server. It replaces a [Server] but takes no tasks from the queue
// itself: the program registers its handler. Before Start and after Shutdown it defers every task, but for those that
// the program's server takes shortly before the first Start: asynq looks for deferred tasks each five seconds.
type Guest struct {
	log *slog.Logger

	started chan struct{} // closed by the first Start

	mu     sync.Mutex // guards the rest
	handle func(ctx context.Context, t Task) error
	first  time.Time      // when the first task came before Start
	tasks  sync.WaitGroup // in progress; Shutdown waits for them
}

// NewGuest returns a guest that is not started.
func NewGuest(log *slog.Logger) *Guest { return &Guest{log: log, started: make(chan struct{})} }

const (
	// notWorking is how long a task is deferred while the guest is not started.
	notWorking = time.Second
	// startTime is how long after the first task those before Start wait for it.
	startTime = 5 * time.Second
)

// ProcessTask implements [asynq.Handler].
func (g *Guest) ProcessTask(ctx context.Context, m *asynq.Task) error {
	g.await(ctx)
	g.mu.Lock()
	handle := g.handle
	if handle == nil {
		g.mu.Unlock()
		return Later{Err: errNotWorking, After: notWorking}
	}
	g.tasks.Add(1)
	g.mu.Unlock()
	defer g.tasks.Done()
	return handler(handle, g.log)(ctx, m)
}

// await waits for the first Start, where that may be about to come.
func (g *Guest) await(ctx context.Context) {
	g.mu.Lock()
	if g.first.IsZero() {
		g.first = time.Now()
	}
	left := startTime - time.Since(g.first)
	g.mu.Unlock()
	if left <= 0 {
		return // the program may never start it, and its server has other tasks
	}
	timeout := time.NewTimer(left)
	defer timeout.Stop()
	select {
	case <-g.started:
	case <-timeout.C:
	case <-ctx.Done():
	}
}

// Start begins to pass tasks to the function.
func (g *Guest) Start(handle func(ctx context.Context, t Task) error) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.handle = handle
	select {
	case <-g.started:
	default:
		close(g.started)
	}
	return nil
}

// Shutdown defers every further task and waits for the tasks in progress.
func (g *Guest) Shutdown() {
	g.mu.Lock()
	g.handle = nil
	g.mu.Unlock()
	g.tasks.Wait()
}

// RetryDelay returns the retry delays for the configuration of a server that has a [Guest]: a sync task's own delay,
// and other's, or asynq's default if other is nil, for every other task.
func RetryDelay(other asynq.RetryDelayFunc) asynq.RetryDelayFunc {
	if other == nil {
		other = asynq.DefaultRetryDelayFunc
	}
	return func(retried int, err error, m *asynq.Task) time.Duration {
		if m.Type() != TypeSync {
			return other(retried, err, m)
		}
		return retryDelay(retried, err, m)
	}
}

// Name returns a queue's name in asynq.
func Name(prefix, queue string) string { return name(prefix, queue) }
