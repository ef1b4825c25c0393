package queue

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"
)

// Size says how many sync tasks one queue holds, by state.
type Size struct {
	Queue     string        // without the prefix
	Pending   int64         // waiting for a free worker
	Active    int64         // running
	Scheduled int64         // enqueued for a later time
	Retry     int64         // deferred or failed, retried later
	Archived  int64         // archived by an operator; harmless
	Paused    bool          // paused with asynq's tools: no task is taken from the queue
	Latency   time.Duration // age of the oldest pending task; 0 if there is none
}

// Process is a process that runs tasks.
type Process struct {
	ID      string
	Host    string
	PID     int
	Started time.Time
	Slots   int      // tasks that it can run at once
	Queues  []string // without the prefix
	Running []Task
}

// Waiting is a sync task in a queue, with the reason if it was deferred.
type Waiting struct {
	Task    Task
	Queue   string // without the prefix
	State   string // pending, active, scheduled, retry or archived
	Next    time.Time
	Retried int    // counted failures
	Err     string // the last error, or ""
}

// States are the states that [Inspector.Tasks] lists.
var States = []string{"pending", "active", "scheduled", "retry", "archived"}

// MaxTasks bounds what [Inspector.Tasks] returns.
const MaxTasks = 1000

// Inspector reads the queues of a prefix. It is safe for concurrent use.
type Inspector struct {
	redis  redis.UniversalClient
	given  bool // redis is the caller's connection
	asynq  *asynq.Inspector
	prefix string
}

// Inspect returns an inspector. It connects on first use; the error reports an invalid URL.
func Inspect(redisURL, prefix string) (*Inspector, error) {
	rdb, err := connect(redisURL)
	if err != nil {
		return nil, err
	}
	return &Inspector{redis: rdb, asynq: asynq.NewInspectorFromRedisClient(rdb), prefix: prefix}, nil
}

// InspectOver is Inspect on the caller's connections, which it does not close.
func InspectOver(rdb redis.UniversalClient, prefix string) *Inspector {
	return &Inspector{redis: rdb, given: true, asynq: asynq.NewInspectorFromRedisClient(rdb), prefix: prefix}
}

// Close closes the connections.
func (i *Inspector) Close() error {
	if i.given {
		return nil
	}
	return i.redis.Close()
}

// Queues returns the names of the queues that ever contained a task, without the prefix, sorted.
func (i *Inspector) Queues(ctx context.Context) ([]string, error) {
	all, err := i.redis.SMembers(ctx, "asynq:queues").Result()
	if err != nil {
		return nil, fmt.Errorf("list queues: %w", err)
	}
	var queues []string
	for _, full := range all {
		if q, ok := unprefixed(i.prefix, full); ok {
			queues = append(queues, q)
		}
	}
	slices.Sort(queues)
	return queues, nil
}

// Sizes returns the size of every queue in one round trip per queue. It does not use asynq's own queue information,
// which asks Redis for memory statistics: those are slow on long queues and forbidden on some hosted Redis.
func (i *Inspector) Sizes(ctx context.Context) ([]Size, error) {
	queues, err := i.Queues(ctx)
	if err != nil {
		return nil, err
	}
	sizes := make([]Size, len(queues))
	for n, q := range queues {
		if sizes[n], err = i.size(ctx, q); err != nil {
			return nil, fmt.Errorf("size of queue %s: %w", q, err)
		}
	}
	return sizes, nil
}

func (i *Inspector) size(ctx context.Context, q string) (Size, error) {
	key := func(part string) string { return "asynq:{" + name(i.prefix, q) + "}:" + part }
	p := i.redis.Pipeline()
	pending, active := p.LLen(ctx, key("pending")), p.LLen(ctx, key("active"))
	scheduled, retry, archived := p.ZCard(ctx, key("scheduled")), p.ZCard(ctx, key("retry")),
		p.ZCard(ctx, key("archived"))
	paused := p.Exists(ctx, key("paused"))
	oldest := p.LIndex(ctx, key("pending"), -1)
	if _, err := p.Exec(ctx); err != nil && !errors.Is(err, redis.Nil) {
		return Size{}, err
	}
	s := Size{
		Queue: q, Pending: pending.Val(), Active: active.Val(), Scheduled: scheduled.Val(),
		Retry: retry.Val(), Archived: archived.Val(), Paused: paused.Val() > 0,
	}
	if oldest.Val() == "" {
		return s, nil
	}
	since, err := i.redis.HGet(ctx, key("t:"+oldest.Val()), "pending_since").Result()
	if errors.Is(err, redis.Nil) {
		return s, nil // the task was taken meanwhile
	}
	if err != nil {
		return Size{}, err
	}
	if ns, err := strconv.ParseInt(since, 10, 64); err == nil {
		s.Latency = max(time.Since(time.Unix(0, ns)), 0)
	}
	return s, nil
}

// Processes returns the live processes that take tasks from this prefix's queues. A killed process is listed for up to
// 10 seconds more.
func (i *Inspector) Processes() ([]Process, error) {
	servers, err := i.asynq.Servers()
	if err != nil {
		return nil, fmt.Errorf("list queue servers: %w", err)
	}
	var ps []Process
	for _, s := range servers {
		p := Process{ID: s.ID, Host: s.Host, PID: s.PID, Started: s.Started, Slots: s.Concurrency}
		for full := range s.Queues {
			if q, ok := unprefixed(i.prefix, full); ok {
				p.Queues = append(p.Queues, q)
			}
		}
		if len(p.Queues) == 0 {
			continue
		}
		slices.Sort(p.Queues)
		for _, w := range s.ActiveWorkers {
			if t, err := parse(w.TaskPayload); err == nil {
				p.Running = append(p.Running, t)
			}
		}
		ps = append(ps, p)
	}
	slices.SortFunc(ps, func(a, b Process) int {
		return strings.Compare(fmt.Sprint(a.Host, a.PID, a.ID), fmt.Sprint(b.Host, b.PID, b.ID))
	})
	return ps, nil
}

// Tasks returns up to limit tasks of a queue in one of the [States], in the order in which they run. The limit is at
// most [MaxTasks].
func (i *Inspector) Tasks(queue, state string, limit int) ([]Waiting, error) {
	list := map[string]func(string, ...asynq.ListOption) ([]*asynq.TaskInfo, error){
		"pending":   i.asynq.ListPendingTasks,
		"active":    i.asynq.ListActiveTasks,
		"scheduled": i.asynq.ListScheduledTasks,
		"retry":     i.asynq.ListRetryTasks,
		"archived":  i.asynq.ListArchivedTasks,
	}[state]
	if list == nil {
		return nil, fmt.Errorf("list tasks: no state %q; the states are %v", state, States)
	}
	infos, err := list(name(i.prefix, queue), asynq.PageSize(min(max(limit, 1), MaxTasks)), asynq.Page(1))
	if errors.Is(err, asynq.ErrQueueNotFound) {
		return nil, nil // no task was ever enqueued
	}
	if err != nil {
		return nil, fmt.Errorf("list %s tasks of queue %s: %w", state, queue, err)
	}
	var tasks []Waiting
	for _, in := range infos {
		t, err := parse(in.Payload)
		if err != nil {
			continue
		}
		tasks = append(tasks, Waiting{
			Task: t, Queue: queue, State: state, Next: in.NextProcessAt, Retried: in.Retried, Err: in.LastErr,
		})
	}
	return tasks, nil
}
