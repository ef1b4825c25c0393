package health_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/internal/health"
)

// What answers nothing is named: the name server, the address, or the server itself.
func TestHintsOfTimeouts(t *testing.T) {
	t.Parallel()
	dial := func(err error) error {
		return fmt.Errorf("%w: %w", context.DeadlineExceeded, &net.OpError{Op: "dial", Net: "tcp", Err: err})
	}
	for want, err := range map[string]error{
		"name of the host":      dial(&net.DNSError{Err: "i/o timeout", Name: "db", IsTimeout: true}),
		"or the name server":    dial(&net.DNSError{Err: "server misbehaving", Name: "db", IsTemporary: true}),
		"nothing answers at":    dial(os.ErrDeadlineExceeded),
		"takes the connection ": context.DeadlineExceeded,
	} {
		require.Contains(t, health.RedisHint(err, "redis.url"), want)
		require.Contains(t, health.DatabaseHint(err), want)
	}
}
