package testkit

import (
	"context"
	"fmt"
	"runtime/pprof"
	"strconv"
	"strings"
	"sync"
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

// Label runs do in a goroutine that [Labelled] finds by its name.
func Label(all *sync.WaitGroup, name string, do func()) {
	all.Go(func() { pprof.Do(context.Background(), pprof.Labels("test", name), func(context.Context) { do() }) })
}

// Labelled counts the goroutines of a label that wait in a function, as stacks name it: "flight.(*Group).Do".
func Labelled(name, in string) int {
	var b strings.Builder
	_ = pprof.Lookup("goroutine").WriteTo(&b, 1)
	n := 0
	for stack := range strings.SplitSeq(b.String(), "\n\n") {
		count, rest, _ := strings.Cut(strings.TrimSpace(stack), " @")
		_, frames, _ := strings.Cut(rest, "\n#\t0x")
		top, _, _ := strings.Cut(frames, "\n")
		if strings.Contains(rest, fmt.Sprintf("%q", name)) && strings.Contains(top, in+"+") {
			some, _ := strconv.Atoi(count[strings.LastIndex(count, "\n")+1:]) // a head comes before the first
			n += some
		}
	}
	return n
}
