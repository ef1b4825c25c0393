package queue

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"
)

// Defaults of a [ServerConfig].
const (
	DefaultConcurrency     = 8
	DefaultPollInterval    = 50 * time.Millisecond
	DefaultShutdownTimeout = 45 * time.Second
)

// Bounds of the wait before a failed task, as opposed to a [Later], is retried. They can be short: after the
// partition's flag has expired the sweeper enqueues another task anyway.
const (
	retryBase = time.Second
	retryCap  = 15 * time.Second
)

// ServerConfig says which queues a [Server] takes tasks from, and its limits. Only RedisURL and Queues are required.
type ServerConfig struct {
	RedisURL        string                // as for the cache; can be another Redis
	Over            redis.UniversalClient // the caller's client instead, which is not closed
	Prefix          string                // as for [NewClient]
	Concurrency     int                   // tasks that run at once; 0: DefaultConcurrency
	PollInterval    time.Duration         // time between polls of empty queues; 0: DefaultPollInterval
	Queues          map[string]int        // weight by queue name, without the prefix; at least 1 each
	ShutdownTimeout time.Duration         // how long Shutdown waits for running tasks; 0: DefaultShutdownTimeout
	Log             *slog.Logger          // nil: slog.Default()
}

// delayedInterval is how often asynq looks for delayed tasks that are due: often enough to keep flush.delay and the
// retry time of held records, and seldom enough for a Redis that is paid per command, if the server itself polls
// seldom.
func (c ServerConfig) delayedInterval() time.Duration {
	poll := cmp.Or(c.PollInterval, DefaultPollInterval)
	return max(min(5*poll, 5*time.Second), poll)
}

// unreadTries is how often workers that cannot read a task leave it to others, which takes about a minute and a half.
const unreadTries = 10

// Server takes sync tasks from their queues and runs a function for each.
type Server struct {
	redis redis.UniversalClient // nil if the connections are the caller's
	asynq *asynq.Server
	log   *slog.Logger
}

// NewServer returns a server that is not started. It connects at Start; the error reports an invalid setting.
func NewServer(cfg ServerConfig) (*Server, error) {
	queues := make(map[string]int, len(cfg.Queues))
	for q, weight := range cfg.Queues {
		if weight < 1 {
			return nil, fmt.Errorf("queue %s: weight %d is not at least 1", q, weight)
		}
		queues[name(cfg.Prefix, q)] = weight
	}
	if len(queues) == 0 {
		return nil, errors.New("a queue server needs at least one queue")
	}
	log := cmp.Or(cfg.Log, slog.Default())
	s := &Server{log: log}
	rdb := cfg.Over
	if rdb == nil {
		var err error
		if rdb, err = connect(cfg.RedisURL); err != nil {
			return nil, err
		}
		if s.redis = rdb; cfg.PollInterval >= thriftFrom {
			rdb.AddHook(thrift{})
		}
	}
	s.asynq = asynq.NewServerFromRedisClient(rdb, asynq.Config{
		Concurrency:              cmp.Or(cfg.Concurrency, DefaultConcurrency),
		Queues:                   queues,
		TaskCheckInterval:        cmp.Or(cfg.PollInterval, DefaultPollInterval),
		DelayedTaskCheckInterval: cfg.delayedInterval(),
		ShutdownTimeout:          cmp.Or(cfg.ShutdownTimeout, DefaultShutdownTimeout),
		RetryDelayFunc:           retryDelay,
		IsFailure:                IsFailure,
		ErrorHandler:             asynq.ErrorHandlerFunc(s.report),
		Logger:                   &asynqLog{log: log},
		LogLevel:                 asynq.InfoLevel,
	})
	return s, nil
}

// Start begins to run the function for tasks, many at once, and returns. The function's result decides about the task:
// nil ends it, a [Later] retries it after its time, any other error is a failure and retries it after a short backoff.
// A task that cannot be decoded is of another build: it is a failure, so that a worker of that build gets it, and
// dropped with a log line after a few of them. The sweeper enqueues another task if the partition needs a flush. The
// function's context ends after [TaskTimeout], or when asynq has lost the task; it does not end at Shutdown.
func (s *Server) Start(handle func(ctx context.Context, t Task) error) error {
	mux := handler(handle, s.log)
	if err := s.asynq.Start(mux); err != nil {
		return fmt.Errorf("start the queue server: %w", err)
	}
	return nil
}

func handler(handle func(ctx context.Context, t Task) error, log *slog.Logger) asynq.HandlerFunc {
	return func(ctx context.Context, m *asynq.Task) error {
		t, err := parse(m.Payload())
		if err != nil || m.Type() != TypeSync {
			retried, _ := asynq.GetRetryCount(ctx)
			return unread(retried, m, log)
		}
		return handle(ctx, t)
	}
}

// unread leaves a task that this build cannot read to others, by an error, as long as it was not tried too often.
func unread(retried int, m *asynq.Task, log *slog.Logger) error {
	if retried < unreadTries {
		return fmt.Errorf("a task of another build, of type %q, cannot be read", m.Type())
	}
	log.Error("task dropped: no worker could read it", "type", m.Type(), "task", string(m.Payload()))
	return nil
}

// Shutdown stops taking tasks, waits up to ShutdownTimeout for the running ones and closes the connections. A task that
// runs longer goes back to its queue while its function still runs. A server cannot be started again.
func (s *Server) Shutdown() {
	s.asynq.Shutdown()
	if s.redis == nil {
		return
	}
	if err := s.redis.Close(); err != nil && !errors.Is(err, redis.ErrClosed) {
		s.log.Warn("queue connections not closed", "error", err)
	}
}

// report logs a task's failure. It must not panic: asynq does not recover from one here.
func (s *Server) report(_ context.Context, m *asynq.Task, err error) {
	attrs := []any{"task", string(m.Payload()), "error", err}
	if IsFailure(err) {
		s.log.Error("sync task failed", attrs...)
		return
	}
	s.log.Debug("sync task deferred", attrs...)
}

// IsFailure reports to asynq whether an error counts as a retry.
func IsFailure(err error) bool {
	var later Later
	return err != nil && !errors.As(err, &later)
}

// retryDelay returns the time until a task is retried: the time of a [Later], or a backoff of which half is random, so
// that tasks that failed together are spread.
func retryDelay(retried int, err error, _ *asynq.Task) time.Duration {
	var later Later
	if errors.As(err, &later) {
		return notBefore(max(later.After, 0))
	}
	d := min(retryBase<<min(retried, 10), retryCap)
	return d/2 + rand.N(d/2)
}
