package rdb_test

import (
	"context"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/internal/rdb"
)

// unanswered is a name server that is away: the first question fails, and the next ones wait.
type unanswered struct {
	asked atomic.Int32
}

func (u *unanswered) DialHook(redis.DialHook) redis.DialHook {
	return func(ctx context.Context, _, _ string) (net.Conn, error) {
		if u.asked.Add(1) > 1 {
			<-ctx.Done()
		}
		return nil, &net.OpError{Op: "dial", Err: &net.DNSError{Err: "i/o timeout", Name: "redis", IsTimeout: true}}
	}
}

func (*unanswered) ProcessHook(next redis.ProcessHook) redis.ProcessHook { return next }

func (*unanswered) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

// A command whose time is over while it waits for a connection says why there was none, and not why there was none for
// an earlier command.
func TestACommandWithoutConnectionSaysWhy(t *testing.T) {
	t.Parallel()
	c, err := rdb.Open(rdb.Config{URL: "redis://redis:1", Timeout: time.Minute, Hooks: []redis.Hook{new(unanswered)}})
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Close() })
	ping := func() error {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		return c.Ping(ctx).Err()
	}
	first := ping()
	require.ErrorIs(t, first, context.DeadlineExceeded)
	require.ErrorAs(t, first, new(*net.DNSError))
	require.Equal(t, context.DeadlineExceeded, ping())
}
