package testkit

import (
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"
)

// ChaosTime is how long a test that looks for rare interleavings goes on: short, or
// the time in TESTKIT_CHAOS, which `make chaos` sets. Such a test has Chaos in its
// name.
func ChaosTime(t testing.TB, short time.Duration) time.Duration {
	t.Helper()
	text := os.Getenv("TESTKIT_CHAOS")
	if text == "" {
		return short
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		t.Fatalf("TESTKIT_CHAOS: %v", err)
	}
	return d
}

// Random returns the source of a test's random choices. Its seed is new each time, is
// told when the test fails, and can be given in TESTKIT_SEED to repeat them.
func Random(t testing.TB) *rand.Rand {
	t.Helper()
	seed := rand.Uint64()
	if text := os.Getenv("TESTKIT_SEED"); text != "" {
		var err error
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatalf("TESTKIT_SEED: %v", err)
		}
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("repeat with TESTKIT_SEED=%d", seed)
		}
	})
	return rand.New(rand.NewPCG(seed, 0))
}
