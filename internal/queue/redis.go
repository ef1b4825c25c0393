package queue

import (
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/afterwrite/afterwrite/internal/rdb"
)

// commandTimeout bounds one command of the queue.
const commandTimeout = 3 * time.Second

// connect returns a client of the queue's Redis, which may be the cache's. It dials on first use. Unlike the cache's
// write scripts, asynq's commands can be repeated after a lost reply: a task's id admits it only once.
func connect(url string) (redis.UniversalClient, error) {
	opts, err := rdb.ParseURL(url)
	if err != nil {
		return nil, fmt.Errorf("queue: %w", err)
	}
	opts.ContextTimeoutEnabled = true
	opts.DialTimeout = commandTimeout
	opts.ReadTimeout = commandTimeout
	opts.WriteTimeout = commandTimeout
	opts.DialerRetries = 1 // a repeated command dials again; otherwise the retries multiply
	return rdb.Connect(opts), nil
}
