package testkit

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// Prefix returns a key prefix that no other test has, so that tests share a Redis
// without meeting. It names an asynq queue as well as a key.
func Prefix(t testing.TB) string {
	t.Helper()
	return fmt.Sprintf("t%012x", rand.Uint64()>>16)
}
