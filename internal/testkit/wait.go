package testkit

import (
	"testing"
	"time"
)

// Patience is how long [Eventually] waits. It is long because a busy machine is slow;
// a test that passes never waits for it.
const Patience = 60 * time.Second

// Eventually waits until cond is true and fails the test after [Patience], saying what
// it waited for. Call it from the test's own goroutine.
func Eventually(t testing.TB, what string, cond func() bool) {
	t.Helper()
	Within(t, Patience, what, cond)
}

// Within is [Eventually] with a bound of its own, for a promise that names a time.
func Within(t testing.TB, bound time.Duration, what string, cond func() bool) {
	t.Helper()
	deadline := time.Now().Add(bound)
	pause := time.Millisecond
	for !cond() {
		if time.Now().After(deadline) {
			t.Fatalf("still not true after %s: %s", bound, what)
		}
		time.Sleep(pause)
		pause = min(2*pause, 50*time.Millisecond)
	}
}
