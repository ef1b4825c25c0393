package queue

import (
	"context"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// thriftFrom is the poll interval from which a server counts as one that must be cheap,
// on a Redis that is paid by the command.
const thriftFrom = 10 * time.Second

// thrift leaves out the figures that asynq publishes of a server, three commands each five
// seconds whatever its settings: nothing but [Inspector.Processes] reads them. Leases of
// tasks and all else go their way.
type thrift struct{}

// figures reports whether a command publishes them.
func figures(cmd redis.Cmder) bool {
	args := cmd.Args()
	text := func(i int) string {
		if i >= len(args) {
			return ""
		}
		s, _ := args[i].(string)
		return s
	}
	switch strings.ToLower(cmd.Name()) {
	case "zadd":
		return text(1) == "asynq:servers" || text(1) == "asynq:workers"
	case "evalsha", "eval":
		return strings.HasPrefix(text(3), "asynq:servers:{")
	}
	return false
}

// DialHook leaves dialling alone.
func (thrift) DialHook(next redis.DialHook) redis.DialHook { return next }

// ProcessHook drops figures.
func (thrift) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if figures(cmd) {
			return nil
		}
		return next(ctx, cmd)
	}
}

// ProcessPipelineHook leaves pipelines alone: asynq publishes nothing in one.
func (thrift) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}
