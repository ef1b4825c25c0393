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

// Full reports whether Redis has refused a command because its memory is at its limit and
// nothing may be evicted: what is not persisted fills it. Acks still work then, for they
// only take away.
func Full(err error) bool { return says(err, "OOM") }

// says reports whether an answer of Redis has a code: at its beginning, or where Redis 6
// quotes the command of a script that it refused.
func says(err error, code string) bool {
	return redis.HasErrorPrefix(err, code) ||
		redis.HasErrorPrefix(err, "ERR Error running script") && strings.Contains(err.Error(), "-"+code+" ")
}

// refusal names what an answer of Redis says of any write, or is nil.
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

// Fault names an error of Redis or of the way to it, for a command that changes nothing or
// may be repeated: ErrUnavailable, and ErrRedisFull or ErrRedisReadOnly where it is one; the
// error of a caller that gave up stays as it is.
func Fault(what string, err error) error {
	if errors.Is(err, context.Canceled) {
		return fmt.Errorf("%s: %w", what, err)
	}
	return unavailable(what, err)
}

// OnceFault names an error of a script that is never sent again. It is that of [Fault] where
// Redis answered, or was never reached: nothing was written. Otherwise it is
// ErrOutcomeUnknown: the script may have run, whole or in part.
func OnceFault(what string, err error) error {
	if Answered(err) && !brokenOff(err) || neverSent(err) {
		return unavailable(what, err)
	}
	return fmt.Errorf("%s: %w: %w", what, schema.ErrOutcomeUnknown, err)
}

// unavailable joins an error of Redis with the names that callers know it by.
func unavailable(what string, err error) error {
	if named := refusal(err); named != nil {
		return fmt.Errorf("%s: %w: %w: %w", what, schema.ErrUnavailable, named, err)
	}
	return fmt.Errorf("%s: %w: %w", what, schema.ErrUnavailable, err)
}

// brokenOff reports whether a script ended at an error that may have come after its first
// write: it met a key that another program made, or a command that its user may not call.
// What Redis refuses of a script's writes for its own state, it refuses at the first.
func brokenOff(err error) bool {
	return strings.Contains(err.Error(), "user_script") && refusal(err) == nil
}

// Answered reports whether the error is Redis's own reply.
func Answered(err error) bool {
	var reply redis.Error
	return errors.As(err, &reply)
}

// TimedOut reports whether the time of a command was over, or that of its context.
func TimedOut(err error) bool {
	var n net.Error
	return errors.Is(err, context.DeadlineExceeded) || (errors.As(err, &n) && n.Timeout())
}

func neverSent(err error) bool {
	var op *net.OpError
	if errors.As(err, &op) && op.Op == "dial" {
		return true
	}
	return errors.Is(err, redis.ErrPoolTimeout) || errors.Is(err, redis.ErrPoolExhausted) || errors.Is(err, redis.ErrClosed)
}
