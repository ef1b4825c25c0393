package queue

import (
	"context"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// thriftFrom is the poll interval from which a server is assumed to use a Redis that is paid per command, and saves
// commands.
const thriftFrom = 10 * time.Second

// thrift drops the server information that asynq publishes with three commands every five seconds, whatever its
// settings: only [Inspector.Processes] reads it. All other commands, such as the leases of tasks, pass.
type thrift struct{}

// figures reports whether a command publishes server information.
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

// DialHook leaves dialling unchanged.
func (thrift) DialHook(next redis.DialHook) redis.DialHook { return next }

// ProcessHook drops the server information.
func (thrift) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if figures(cmd) {
			return nil
		}
		return next(ctx, cmd)
	}
}

// ProcessPipelineHook leaves pipelines unchanged: asynq publishes nothing in a pipeline.
func (thrift) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}
