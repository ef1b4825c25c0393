package queue

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"github.com/afterwrite/afterwrite/internal/layout"
	"github.com/afterwrite/afterwrite/schema"
)

// enqueueTimeout bounds one enqueue. The write that needs it is accepted already and the sweeper repairs a lost order,
// so a caller should not wait long for the queue.
const enqueueTimeout = 2 * time.Second

// Client enqueues sync tasks. It is safe for concurrent use.
type Client struct {
	redis     redis.UniversalClient
	given     bool // redis is the caller's connection
	asynq     *asynq.Client
	inspector *asynq.Inspector
	prefix    string
	quiet     time.Duration // see quietFor

	mu   sync.Mutex           // guards last
	last map[string]time.Time // when this client enqueued a partition's last task
}

// quietFor is how long a client has enqueued no task of a partition when it looks for the task before. If no worker
// takes tasks, a partition's scheduled flag lapses, and the next write or sweep enqueues another task: without an end
// to the task before, a queue grows for as long as there is no worker. It is shorter than the life of a flag.
const quietFor = layout.DefaultFlagMargin / 2

func newClient(rdb redis.UniversalClient, given bool, prefix string) *Client {
	return &Client{redis: rdb, given: given, asynq: asynq.NewClientFromRedisClient(rdb),
		inspector: asynq.NewInspectorFromRedisClient(rdb), prefix: prefix, quiet: quietFor,
		last: map[string]time.Time{}}
}

// NewClient returns a client of the queues of a prefix. It connects on first use; the error reports an invalid URL.
func NewClient(redisURL, prefix string) (*Client, error) {
	rdb, err := connect(redisURL)
	if err != nil {
		return nil, err
	}
	return newClient(rdb, false, prefix), nil
}

// NewClientOver is NewClient on the caller's connections, which it does not close.
func NewClientOver(rdb redis.UniversalClient, prefix string) *Client {
	return newClient(rdb, true, prefix)
}

// Enqueue enqueues the sync task of an order, to start after the order's delay: up to a second later and never earlier.
// If the task is already enqueued, in any state, that is a success. After an error the task may have been enqueued or
// not; the caller can repeat the call or leave the partition to the sweeper.
func (c *Client) Enqueue(ctx context.Context, o schema.Order) error {
	ctx, cancel := context.WithTimeout(ctx, enqueueTimeout)
	defer cancel()
	m, err := message(c.prefix, o)
	if err != nil {
		return err
	}
	_, err = c.asynq.EnqueueContext(ctx, m)
	if err != nil && !errors.Is(err, asynq.ErrTaskIDConflict) {
		return fmt.Errorf("enqueue sync task %s: %w", o.TaskID(), err)
	}
	if c.wasQuiet(o) {
		// A task that waits is stale now; asynq deletes none that runs.
		before := o
		before.Generation--
		_ = c.inspector.DeleteTask(name(c.prefix, o.Entity.Flush.Queue), before.TaskID())
	}
	return nil
}

// wasQuiet notes the enqueue of a task and reports whether it is the partition's first for a while. A wake-up has one
// id and cannot be there twice.
func (c *Client) wasQuiet(o schema.Order) bool {
	if o.Generation == 0 {
		return false
	}
	partition := o.Entity.Name + "/" + strconv.Itoa(o.Partition)
	now := time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	quiet := now.Sub(c.last[partition]) >= c.quiet
	c.last[partition] = now
	return quiet
}

// Wake has the deferred tasks of a queue run immediately, and returns how many there were.
func (c *Client) Wake(ctx context.Context, queue string) (int, error) {
	full := name(c.prefix, queue)
	if there, err := c.redis.SIsMember(ctx, "asynq:queues", full).Result(); err != nil || !there {
		return 0, err // without an error it has had no task yet
	}
	n, err := c.inspector.RunAllRetryTasks(full)
	if err != nil {
		return n, fmt.Errorf("wake the deferred tasks of %s: %w", queue, err)
	}
	return n, nil
}

// Ping reports whether the queue's Redis responds.
func (c *Client) Ping(ctx context.Context) error {
	if err := c.redis.Ping(ctx).Err(); err != nil {
		return fmt.Errorf("ping the queue: %w", err)
	}
	return nil
}

// Close closes the connections.
func (c *Client) Close() error {
	if c.given {
		return nil
	}
	return c.redis.Close()
}
