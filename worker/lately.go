package worker

import (
	"sync"
	"time"

	"github.com/afterwrite/afterwrite/cache/pending"
)

// Every heartbeat carries the lags of the last minute. The status pages add up those of all workers to show a current
// quantile, which counters since the start cannot give.
const (
	latelyStep  = 5 * time.Second
	latelySteps = 12
)

// lately collects the lags of the last minute.
type lately struct {
	mu    sync.Mutex // guards the rest
	steps [latelySteps]latelyPart
}

// latelyPart holds the lags of one step.
type latelyPart struct {
	number int64
	lags   pending.Lags
}

func (l *lately) add(lags *pending.Lags, now time.Time) {
	number := now.UnixNano() / int64(latelyStep)
	l.mu.Lock()
	defer l.mu.Unlock()
	step := &l.steps[number%latelySteps]
	if step.number != number {
		*step = latelyPart{number: number}
	}
	step.lags.Merge(lags)
}

// sum adds up the lags of the last minute.
func (l *lately) sum(now time.Time) pending.Lags {
	number := now.UnixNano() / int64(latelyStep)
	l.mu.Lock()
	defer l.mu.Unlock()
	var sum pending.Lags
	for i := range l.steps {
		if l.steps[i].number > number-latelySteps {
			sum.Merge(&l.steps[i].lags)
		}
	}
	return sum
}
