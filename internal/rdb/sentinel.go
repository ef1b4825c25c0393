package rdb

import (
	"context"
	"net"
	"sync"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"
)

// former is the hook of a client of sentinels that keeps it off a former master. A master that was frozen or cut off
// while another took over still thinks that it is the master, until a sentinel tells it some seconds later: what it
// answers is old, and what it accepts is lost. The client library closes its connections to it as it learns of the
// other master. It misses one that is being opened then, which waits for its greeting. So when the greeting has
// arrived, a second connection is opened and closed again: it goes to the master of now.
type former struct{ timeout time.Duration }

// formerError ends a connection to a former master. It is a network error that is no timeout: what may be repeated is.
type formerError struct{ at net.Addr }

func (e formerError) Error() string { return e.at.String() + " is not the master any more" }

func (formerError) Timeout() bool   { return false }
func (formerError) Temporary() bool { return true }

// DialHook checks each connection after its greeting.
func (f former) DialHook(next redis.DialHook) redis.DialHook {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := next(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		c := &greeted{Conn: conn, check: sync.OnceValue(func() error {
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), f.timeout)
			defer cancel()
			other, err := next(ctx, network, addr)
			if err != nil {
				return err
			}
			defer other.Close()
			if other.RemoteAddr().String() != conn.RemoteAddr().String() {
				return formerError{conn.RemoteAddr()}
			}
			return nil
		})}
		if raw, ok := conn.(syscall.Conn); ok {
			return struct {
				*greeted
				syscall.Conn // by which the pool sees that an idle connection is closed
			}{c, raw}, nil
		}
		return c, nil
	}
}

// ProcessHook leaves commands unchanged.
func (former) ProcessHook(next redis.ProcessHook) redis.ProcessHook { return next }

// ProcessPipelineHook leaves pipelines unchanged.
func (former) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

// greeted is a connection that is checked once the server has answered.
type greeted struct {
	net.Conn
	check func() error
}

// Read returns the error of the check in the place of what a former master has answered.
func (c *greeted) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if n == 0 {
		return 0, err
	}
	if former := c.check(); former != nil {
		return 0, former
	}
	return n, err
}
