package queue

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/hibiken/asynq"
)

// Guest runs sync tasks on an asynq server of the program's. It stands where a [Server] does,
// but takes no tasks itself: its handler, which the program registers, is given them. Before
// Start and after Shutdown a task is put off.
type Guest struct {
	log *slog.Logger

	mu     sync.Mutex // guards the rest
	handle func(ctx context.Context, t Task) error
	tasks  sync.WaitGroup // that run; Shutdown waits for them
}

// NewGuest returns a guest that is not started.
func NewGuest(log *slog.Logger) *Guest { return &Guest{log: log} }

// notWorking is how long a task is put off that nothing here works on.
const notWorking = time.Second

// ProcessTask is of [asynq.Handler].
func (g *Guest) ProcessTask(ctx context.Context, m *asynq.Task) error {
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

// Start begins to hand tasks to the function.
func (g *Guest) Start(handle func(ctx context.Context, t Task) error) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.handle = handle
	return nil
}

// Shutdown puts off every further task, and waits for those that run.
func (g *Guest) Shutdown() {
	g.mu.Lock()
	g.handle = nil
	g.mu.Unlock()
	g.tasks.Wait()
}

// RetryDelay is the time until a task is tried again, for the configuration of a server that
// has a [Guest]: that of a sync task's own, else what other says, or asynq's default.
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

// Name is a queue's name in asynq.
func Name(prefix, queue string) string { return name(prefix, queue) }
