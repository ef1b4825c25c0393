package hammer

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
)

// tally counts what happened, for the report, and keeps the first violations. It is safe
// for concurrent use.
type tally struct {
	mu       sync.Mutex // guards what follows
	counts   map[string]int
	wrong    []string
	recovery time.Duration // the longest time from the end of all faults until the database had everything
}

func newTally() *tally { return &tally{counts: map[string]int{}} }

func (t *tally) add(what string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.counts[what]++
}

func (t *tally) now() map[string]int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return maps.Clone(t.counts)
}

func (t *tally) recovered(after time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.recovery = max(t.recovery, after)
}

// check keeps a violation.
func (t *tally) check(err error) {
	if err == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.counts["violation"]++
	if len(t.wrong) < 20 {
		t.wrong = append(t.wrong, err.Error())
	}
}

func (t *tally) violations() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.Join(t.wrong, "\n")
}

func (t *tally) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	var b strings.Builder
	for _, what := range slices.Sorted(maps.Keys(t.counts)) {
		fmt.Fprintf(&b, "%-32s %d\n", what, t.counts[what])
	}
	fmt.Fprintf(&b, "%-32s %s\n", "longest recovery", t.recovery.Round(10*time.Millisecond))
	return b.String()
}
