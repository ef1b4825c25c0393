package queue

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hibiken/asynq"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/afterwrite/afterwrite/internal/testkit"
	"github.com/afterwrite/afterwrite/schema"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, testkit.Goroutines())
}

type bundle struct {
	url, prefix string
	client      *Client
	inspector   *Inspector
	entity      *schema.Entity
}

func setup(t *testing.T) *bundle {
	t.Helper()
	t.Parallel()
	b := &bundle{url: testkit.SharedRedis(t).URL(), prefix: testkit.Prefix(t)}
	b.entity = &schema.Entity{Name: "user", Fields: []schema.Field{{Name: "name", Type: schema.String}}}
	require.NoError(t, b.entity.Init())
	var err error
	b.client, err = NewClient(b.url, b.prefix)
	require.NoError(t, err)
	t.Cleanup(func() { _ = b.client.Close() })
	b.inspector, err = Inspect(b.url, b.prefix)
	require.NoError(t, err)
	t.Cleanup(func() { _ = b.inspector.Close() })
	return b
}

func (b *bundle) order(partition int, generation int64) schema.Order {
	return schema.Order{Entity: b.entity, Partition: partition, Generation: generation}
}

func (b *bundle) serve(t *testing.T, handle func(context.Context, Task) error) *Server {
	t.Helper()
	s, err := NewServer(ServerConfig{
		RedisURL: b.url, Prefix: b.prefix, PollInterval: 5 * time.Millisecond,
		Queues: map[string]int{"default": 1}, Log: testkit.Logger(t),
	})
	require.NoError(t, err)
	require.NoError(t, s.Start(handle))
	t.Cleanup(s.Shutdown)
	return s
}

func (b *bundle) size(t *testing.T) Size {
	t.Helper()
	sizes, err := b.inspector.Sizes(t.Context())
	require.NoError(t, err)
	require.Len(t, sizes, 1)
	return sizes[0]
}

func TestAnOrderReachesAWorkerAndLeavesNothingBehind(t *testing.T) {
	b := setup(t)
	got := make(chan Task, 1)
	b.serve(t, func(_ context.Context, task Task) error { got <- task; return nil })
	require.NoError(t, b.client.Enqueue(t.Context(), b.order(3, 7)))
	require.Equal(t, Task{Entity: "user", Partition: 3, Generation: 7}, <-got)
	testkit.Eventually(t, "the task is gone", func() bool { return b.size(t) == Size{Queue: "default"} })
}

func TestAnOrderGivenTwiceIsOneTask(t *testing.T) {
	b := setup(t)
	for range 3 {
		require.NoError(t, b.client.Enqueue(t.Context(), b.order(3, 7)))
	}
	require.NoError(t, b.client.Enqueue(t.Context(), b.order(3, 8)))
	require.EqualValues(t, 2, b.size(t).Pending)
}

func TestAnOrderWaitsItsDelay(t *testing.T) {
	b := setup(t)
	start := time.Now()
	ran := make(chan time.Duration, 1)
	b.serve(t, func(context.Context, Task) error { ran <- time.Since(start); return nil })
	o := b.order(0, 1)
	o.Delay = 300 * time.Millisecond
	require.NoError(t, b.client.Enqueue(t.Context(), o))
	require.GreaterOrEqual(t, <-ran, o.Delay)
}

func TestLaterIsNoFailure(t *testing.T) {
	b := setup(t)
	var runs atomic.Int32
	b.serve(t, func(context.Context, Task) error {
		if runs.Add(1) < 4 {
			return fmt.Errorf("flush: %w", Later{Err: errors.New("database is away"), After: 5 * time.Millisecond})
		}
		return Later{Err: errors.New("database is away"), After: time.Hour}
	})
	require.NoError(t, b.client.Enqueue(t.Context(), b.order(0, 1)))
	var waiting []Waiting
	testkit.Eventually(t, "the task is put off for an hour", func() bool {
		var err error
		waiting, err = b.inspector.Tasks("default", "retry", 10)
		require.NoError(t, err)
		return len(waiting) == 1 && time.Until(waiting[0].Next) > 50*time.Minute
	})
	require.EqualValues(t, 4, runs.Load())
	require.Zero(t, waiting[0].Retried)
	require.Contains(t, waiting[0].Err, "database is away")
	require.Equal(t, Task{Entity: "user", Generation: 1}, waiting[0].Task)
}

func TestAPanicIsAFailureAndTheTaskStays(t *testing.T) {
	b := setup(t)
	b.serve(t, func(context.Context, Task) error { panic("boom") })
	require.NoError(t, b.client.Enqueue(t.Context(), b.order(0, 1)))
	testkit.Eventually(t, "the task waits for its next try", func() bool {
		waiting, err := b.inspector.Tasks("default", "retry", 10)
		require.NoError(t, err)
		return len(waiting) == 1 && waiting[0].Retried == 1 && strings.Contains(waiting[0].Err, "boom")
	})
}

// A task that cannot be read is left to the workers of the build that left it, and dropped where there are none.
func TestATaskThatCannotBeReadIsLeftToOthers(t *testing.T) {
	b := setup(t)
	s := b.serve(t, func(context.Context, Task) error { t.Error("handled"); return nil })
	tasks := []*asynq.Task{
		asynq.NewTask(TypeSync, []byte(`{"partition":"x"}`)), asynq.NewTask("afterwrite:later", []byte(`{}`)),
	}
	for _, m := range tasks {
		_, err := b.client.asynq.EnqueueContext(t.Context(), m, asynq.Queue(name(b.prefix, "default")),
			asynq.MaxRetry(tries))
		require.NoError(t, err)
	}
	testkit.Eventually(t, "both wait for another try", func() bool { return b.size(t).Retry == 2 })
	s.Shutdown()

	others := asynq.NewServerFromRedisClient(b.client.redis, asynq.Config{
		Queues: map[string]int{name(b.prefix, "default"): 1}, TaskCheckInterval: 5 * time.Millisecond,
		DelayedTaskCheckInterval: 20 * time.Millisecond, LogLevel: asynq.FatalLevel,
	})
	var read atomic.Int32
	require.NoError(t, others.Start(asynq.HandlerFunc(func(context.Context, *asynq.Task) error {
		read.Add(1)
		return nil
	})))
	defer others.Shutdown()
	testkit.Eventually(t, "the other build has read both", func() bool { return read.Load() == 2 })

	for _, m := range tasks {
		require.Error(t, unread(unreadTries-1, m, testkit.Logger(t)))
		require.NoError(t, unread(unreadTries, m, testkit.Logger(t)))
	}
}

func TestShutdownWaitsForRunningTasks(t *testing.T) {
	b := setup(t)
	started, release := make(chan struct{}), make(chan struct{})
	var ended atomic.Bool
	s := b.serve(t, func(ctx context.Context, _ Task) error {
		close(started)
		<-release
		ended.Store(ctx.Err() == nil)
		return nil
	})
	require.NoError(t, b.client.Enqueue(t.Context(), b.order(0, 1)))
	<-started
	time.AfterFunc(100*time.Millisecond, func() { close(release) })
	s.Shutdown()
	require.True(t, ended.Load(), "the task ended by itself, its context alive")
}

// The sizes are read from asynq's keys, so a change of asynq's layout must show.
func TestSizesAreAsynqsOwn(t *testing.T) {
	b := setup(t)
	require.NoError(t, b.client.Enqueue(t.Context(), b.order(0, 1)))
	require.NoError(t, b.client.Enqueue(t.Context(), b.order(1, 1)))
	later := b.order(2, 1)
	later.Delay = time.Hour
	require.NoError(t, b.client.Enqueue(t.Context(), later))
	full := name(b.prefix, "default")
	require.NoError(t, b.inspector.asynq.ArchiveTask(full, "user/1/1"))
	require.NoError(t, b.inspector.asynq.PauseQueue(full))
	info, err := b.inspector.asynq.GetQueueInfo(full)
	require.NoError(t, err)
	size := b.size(t)
	after, err := b.inspector.asynq.GetQueueInfo(full)
	require.NoError(t, err)
	require.Positive(t, size.Latency)
	require.GreaterOrEqual(t, size.Latency, info.Latency-time.Second)
	require.LessOrEqual(t, size.Latency, after.Latency+time.Second)
	size.Latency = 0
	require.Equal(t, Size{
		Queue: "default", Pending: int64(info.Pending), Active: int64(info.Active), Scheduled: int64(info.Scheduled),
		Retry: int64(info.Retry), Archived: int64(info.Archived), Paused: info.Paused,
	}, size)
	require.Equal(t, Size{Queue: "default", Pending: 1, Scheduled: 1, Archived: 1, Paused: true}, size)
}

func TestProcessesOfThisPrefixAreListed(t *testing.T) {
	b := setup(t)
	other := setupBeside(t, b)
	other.serve(t, func(context.Context, Task) error { return nil })
	release := make(chan struct{})
	b.serve(t, func(context.Context, Task) error { <-release; return nil })
	t.Cleanup(func() { close(release) })
	require.NoError(t, b.client.Enqueue(t.Context(), b.order(5, 1)))
	testkit.Eventually(t, "one process runs the task", func() bool {
		ps, err := b.inspector.Processes()
		require.NoError(t, err)
		return len(ps) == 1 && slices.Equal(ps[0].Queues, []string{"default"}) &&
			slices.Equal(ps[0].Running, []Task{{Entity: "user", Partition: 5, Generation: 1}})
	})
}

// setupBeside is another deployment on the same Redis, whose prefix begins with b's.
func setupBeside(t *testing.T, b *bundle) *bundle {
	t.Helper()
	other := *b
	other.prefix = b.prefix + ":b"
	var err error
	other.client, err = NewClient(b.url, other.prefix)
	require.NoError(t, err)
	t.Cleanup(func() { _ = other.client.Close() })
	return &other
}

func TestPrefixesKeepDeploymentsApart(t *testing.T) {
	b := setup(t)
	other := setupBeside(t, b)
	require.NoError(t, b.client.Enqueue(t.Context(), b.order(0, 1)))
	require.NoError(t, other.client.Enqueue(t.Context(), b.order(0, 1)))
	require.EqualValues(t, 1, b.size(t).Pending)
}

func TestEnqueueIsBoundedWhenRedisIsAway(t *testing.T) {
	t.Parallel()
	server := testkit.Redis(t)
	client, err := NewClient(server.URL(), "aw")
	require.NoError(t, err)
	t.Cleanup(func() { _ = client.Close() })
	e := &schema.Entity{Name: "user", Fields: []schema.Field{{Name: "name", Type: schema.String}}}
	require.NoError(t, e.Init())
	server.Pause()
	defer server.Resume()
	start := time.Now()
	require.Error(t, client.Enqueue(t.Context(), schema.Order{Entity: e, Generation: 1}))
	require.Less(t, time.Since(start), 3*enqueueTimeout)
}

func TestAServerOutlivesItsRedis(t *testing.T) {
	t.Parallel()
	redis := testkit.Redis(t, testkit.AppendFsync("always"))
	b := &bundle{url: redis.URL(), prefix: "aw", entity: &schema.Entity{
		Name: "user", Fields: []schema.Field{{Name: "name", Type: schema.String}}}}
	require.NoError(t, b.entity.Init())
	var err error
	b.client, err = NewClient(b.url, b.prefix)
	require.NoError(t, err)
	t.Cleanup(func() { _ = b.client.Close() })
	ran := make(chan Task, 1)
	b.serve(t, func(_ context.Context, task Task) error { ran <- task; return nil })
	redis.Kill()
	require.Error(t, b.client.Enqueue(t.Context(), b.order(0, 1)))
	redis.Start()
	testkit.Eventually(t, "the order is taken", func() bool {
		return b.client.Enqueue(t.Context(),
			b.order(0, 2)) == nil
	})
	require.EqualValues(t, 2, (<-ran).Generation)
}

func TestRetryDelayIsBounded(t *testing.T) {
	t.Parallel()
	for retried := range 100 {
		d := retryDelay(retried, errors.New("x"), nil)
		require.Positive(t, d)
		require.LessOrEqual(t, d, retryCap)
	}
	later := fmt.Errorf("x: %w", Later{Err: errors.New("y"), After: time.Minute})
	require.Equal(t, notBefore(time.Minute), retryDelay(3, later, nil))
}

func TestAsynqsComplaintsAreThinnedOut(t *testing.T) {
	t.Parallel()
	l := &asynqLog{log: testkit.Logger(t)}
	now := time.Now()
	require.True(t, l.due("Dequeue error", now))
	require.False(t, l.due("Dequeue error", now.Add(time.Second)))
	require.True(t, l.due("Failed to write server state", now.Add(time.Second)))
	require.True(t, l.due("Dequeue error", now.Add(quiet)))
}

func TestNewServerRefusesWhatCannotBe(t *testing.T) {
	t.Parallel()
	for want, cfg := range map[string]ServerConfig{
		"at least one queue": {RedisURL: "redis://127.0.0.1:1"},
		"weight 0":           {RedisURL: "redis://127.0.0.1:1", Queues: map[string]int{"a": 0}},
		"redis url":          {RedisURL: "http://127.0.0.1", Queues: map[string]int{"a": 1}},
	} {
		_, err := NewServer(cfg)
		require.ErrorContains(t, err, want)
	}
}

// Without a worker a partition's flag lapses again and again, and each time another task is enqueued: at most one of
// them waits. What runs is not touched.
func TestAtMostOneTaskOfAPartitionWaits(t *testing.T) {
	b := setup(t)
	other, err := NewClient(b.url, b.prefix)
	require.NoError(t, err)
	t.Cleanup(func() { _ = other.Close() })
	b.client.quiet, other.quiet = 0, 0 // as if the flag had lapsed in between
	for generation := range int64(50) {
		for _, c := range []*Client{b.client, other} {
			require.NoError(t, c.Enqueue(t.Context(), b.order(3, 2*generation+1)))
		}
		require.NoError(t, other.Enqueue(t.Context(), b.order(3, 2*generation+2)))
		require.NoError(t, b.client.Enqueue(t.Context(), b.order(4, generation+1)))
	}
	require.NoError(t, b.client.Enqueue(t.Context(), b.order(5, 0)))
	require.EqualValues(t, 3, b.size(t).Pending, "one of each partition, and the wake-up")

	running, release := make(chan Task, 10), make(chan struct{})
	b.serve(t, func(_ context.Context, task Task) error {
		running <- task
		<-release
		return nil
	})
	for range 3 {
		<-running
	}
	require.NoError(t, b.client.Enqueue(t.Context(), b.order(3, 101)))
	close(release)
	require.Equal(t, Task{Entity: "user", Partition: 3, Generation: 101}, <-running, "it follows the one that ran")
	testkit.Eventually(t, "all have run", func() bool { return b.size(t) == Size{Queue: "default"} })
}

// Deferred tasks run as soon as they are woken.
func TestDeferredTasksAreWoken(t *testing.T) {
	b := setup(t)
	n, err := b.client.Wake(t.Context(), "default")
	require.NoError(t, err)
	require.Zero(t, n, "a queue without a task is none for asynq")
	var runs atomic.Int32
	b.serve(t, func(context.Context, Task) error {
		if runs.Add(1) <= 3 {
			return Later{Err: errors.New("database is away"), After: time.Hour}
		}
		return nil
	})
	for partition := range 3 {
		require.NoError(t, b.client.Enqueue(t.Context(), b.order(partition, 1)))
	}
	testkit.Eventually(t, "all are deferred", func() bool { return b.size(t).Retry == 3 })
	n, err = b.client.Wake(t.Context(), "default")
	require.NoError(t, err)
	require.Equal(t, 3, n)
	testkit.Eventually(t, "all have run", func() bool { return b.size(t) == Size{Queue: "default"} })
}
