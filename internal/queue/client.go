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

// enqueueTimeout bounds one enqueue. The write that asked for it is accepted already
// and the sweeper repairs a lost order, so nobody should wait long for this one.
const enqueueTimeout = 2 * time.Second

// Client enqueues sync tasks. It is safe for concurrent use.
type Client struct {
	redis  redis.UniversalClient
	given  bool // redis is the caller's
	asynq  *asynq.Client
	prefix string
}

// NewClient returns a client of the queues of a prefix. It connects when first used;
// the error reports a URL that cannot be read.
func NewClient(redisURL, prefix string) (*Client, error) {
	rdb, err := connect(redisURL)
	if err != nil {
		return nil, err
	}
	return &Client{redis: rdb, asynq: asynq.NewClientFromRedisClient(rdb), prefix: prefix}, nil
}

// NewClientOver is NewClient on connections of the caller's, which it does not close.
func NewClientOver(rdb redis.UniversalClient, prefix string) *Client {
	return &Client{redis: rdb, given: true, asynq: asynq.NewClientFromRedisClient(rdb), prefix: prefix}
}

// Enqueue orders a flush, to start after the order's delay, up to a second later and
// never earlier. An order that is enqueued
// already, in whatever state, is a success. On an error the order may have been
// enqueued or not; the caller may repeat it or leave the partition to the sweeper.
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

// Ping reports whether the queue's Redis answers.
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
