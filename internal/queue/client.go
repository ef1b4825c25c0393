package queue

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"github.com/afterwrite/afterwrite/schema"
)

// enqueueTimeout bounds one enqueue. The write that needs it is accepted already and the sweeper repairs a lost order,
// so a caller should not wait long for the queue.
const enqueueTimeout = 2 * time.Second

// Client enqueues sync tasks. It is safe for concurrent use.
type Client struct {
	redis  redis.UniversalClient
	given  bool // redis is the caller's connection
	asynq  *asynq.Client
	prefix string
}

// NewClient returns a client of the queues of a prefix. It connects on first use; the error reports an invalid URL.
func NewClient(redisURL, prefix string) (*Client, error) {
	rdb, err := connect(redisURL)
	if err != nil {
		return nil, err
	}
	return &Client{redis: rdb, asynq: asynq.NewClientFromRedisClient(rdb), prefix: prefix}, nil
}

// NewClientOver is NewClient on the caller's connections, which it does not close.
func NewClientOver(rdb redis.UniversalClient, prefix string) *Client {
	return &Client{redis: rdb, given: true, asynq: asynq.NewClientFromRedisClient(rdb), prefix: prefix}
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
	return nil
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
