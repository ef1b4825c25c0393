package rdb

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/afterwrite/afterwrite/schema"
)

// Full reports whether Redis refused a command because its memory is at the limit and nothing may be evicted: records
// that are not persisted fill it. Acks still work then, because they only free memory.
func Full(err error) bool { return says(err, "OOM") }

// says reports whether an answer of Redis has a code: at its beginning, or within the message in which Redis 6 quotes
// the error of a command of a script.
func says(err error, code string) bool {
	return redis.HasErrorPrefix(err, code) ||
		redis.HasErrorPrefix(err, "ERR Error running script") && strings.Contains(err.Error(), "-"+code+" ")
}

// refusal returns the named error of an answer by which Redis refuses every write, or nil.
func refusal(err error) error {
	if Full(err) {
		return schema.ErrRedisFull
	}
	for _, code := range []string{"READONLY", "NOREPLICAS", "MISCONF"} {
		if says(err, code) {
			return schema.ErrRedisReadOnly
		}
	}
	return nil
}

// Fault wraps an error of Redis or of the connection, for a command that changes nothing or can be repeated. It matches
// ErrUnavailable, and ErrRedisFull or ErrRedisReadOnly if it is one of these; if the caller cancelled, it does not.
func Fault(what string, err error) error {
	if errors.Is(err, context.Canceled) {
		return fmt.Errorf("%s: %w", what, err)
	}
	return unavailable(what, err)
}

// OnceFault wraps an error of a script that is never sent again. If Redis answered or was never reached, nothing was
// written, and the error is as for [Fault]. Otherwise it is ErrOutcomeUnknown: the script may have run, wholly or in
// part.
func OnceFault(what string, err error) error {
	if Answered(err) && !brokenOff(err) || neverSent(err) {
		return unavailable(what, err)
	}
	return fmt.Errorf("%s: %w: %w", what, schema.ErrOutcomeUnknown, err)
}

// unavailable joins an error of Redis with the named errors of package schema.
func unavailable(what string, err error) error {
	if named := refusal(err); named != nil {
		return fmt.Errorf("%s: %w: %w: %w", what, schema.ErrUnavailable, named, err)
	}
	return fmt.Errorf("%s: %w: %w", what, schema.ErrUnavailable, err)
}

// brokenOff reports whether a script ended at an error that may have come after its first write: it met a key that
// another program created, or a command that its user is not allowed to call. Redis refuses a script for Redis's own
// state at the script's first write.
func brokenOff(err error) bool {
	return strings.Contains(err.Error(), "user_script") && refusal(err) == nil
}

// Answered reports whether the error is Redis's own reply.
func Answered(err error) bool {
	var reply redis.Error
	return errors.As(err, &reply)
}

// TimedOut reports whether a command ran out of its own time or its context's.
func TimedOut(err error) bool {
	var n net.Error
	return errors.Is(err, context.DeadlineExceeded) || (errors.As(err, &n) && n.Timeout())
}

// unsentError is the error of a connection that was not made: no command was sent on it.
type unsentError struct{ error }

func (e unsentError) Unwrap() error { return e.error }

// unsent is the hook of a client that marks the error of a dial: of the network, TLS, or sentinels that do not answer.
type unsent struct{}

// DialHook implements [redis.Hook].
func (unsent) DialHook(next redis.DialHook) redis.DialHook {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := next(ctx, network, addr)
		if err != nil {
			return nil, unsentError{err}
		}
		return conn, nil
	}
}

// ProcessHook leaves commands unchanged.
func (unsent) ProcessHook(next redis.ProcessHook) redis.ProcessHook { return next }

// ProcessPipelineHook leaves pipelines unchanged.
func (unsent) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

func neverSent(err error) bool {
	var op *net.OpError
	if errors.As(err, &op) && op.Op == "dial" || errors.As(err, new(unsentError)) {
		return true
	}
	return errors.Is(err, redis.ErrPoolTimeout) || errors.Is(err, redis.ErrPoolExhausted) ||
		errors.Is(err, redis.ErrClosed)
}
