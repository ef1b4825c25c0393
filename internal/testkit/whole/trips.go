package whole

import (
	"context"
	"sync/atomic"

	"github.com/redis/go-redis/v9"
)

// Trips is a hook of a Redis client that counts round trips. It is safe for concurrent use.
type Trips struct {
	N    atomic.Int64
	Gone atomic.Pointer[context.CancelFunc] // if set, it ends a caller whose script was run
}

// DialHook leaves dialling unchanged.
func (*Trips) DialHook(next redis.DialHook) redis.DialHook { return next }

// ProcessHook counts a command.
func (h *Trips) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		h.N.Add(1)
		err := next(ctx, cmd)
		if gone := h.Gone.Load(); gone != nil && cmd.Name() == "evalsha" && h.Gone.CompareAndSwap(gone, nil) {
			(*gone)()
			cmd.SetErr(context.Canceled)
			return context.Canceled
		}
		return err
	}
}

// ProcessPipelineHook counts a pipeline as one round trip.
func (h *Trips) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		h.N.Add(1)
		return next(ctx, cmds)
	}
}

// Of counts the round trips of do.
func (h *Trips) Of(do func()) int64 {
	before := h.N.Load()
	do()
	return h.N.Load() - before
}
