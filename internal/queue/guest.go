package queue

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/hibiken/asynq"
)

// Guest runs sync tasks on the program's own asynq server. It replaces a [Server] but takes no tasks from the queue
// itself: the program registers its handler. Before Start and after Shutdown it defers every task.
type Guest struct {
	log *slog.Logger

	mu     sync.Mutex // guards the rest
	handle func(ctx context.Context, t Task) error
	tasks  sync.WaitGroup // in progress; Shutdown waits for them
}

// NewGuest returns a guest that is not started.
func NewGuest(log *slog.Logger) *Guest { return &Guest{log: log} }

// notWorking is how long a task is deferred while the guest is not started.
const notWorking = time.Second

// ProcessTask implements [asynq.Handler].
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

// Start begins to pass tasks to the function.
func (g *Guest) Start(handle func(ctx context.Context, t Task) error) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.handle = handle
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
