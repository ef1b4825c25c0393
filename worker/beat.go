package worker

import (
	"context"
	"strconv"
	"sync"
	"time"

	"github.com/afterwrite/afterwrite/cache/pending"
	"github.com/afterwrite/afterwrite/internal/fleet"
)

const (
	kind = "worker"
	// A worker reports that it is alive every beatEvery; if it sweeps less often than that, as seldom as beatSeldom. A
	// report counts for that time plus the margin.
	beatEvery  = 3 * time.Second
	beatSeldom = 30 * time.Second
	beatMargin = 7 * time.Second
)

func (w *Worker) beatEvery() time.Duration { return max(beatEvery, min(w.sweepInterval, beatSeldom)) }

// beat reports that this worker is alive until ctx ends, and then that it has left.
func (w *Worker) beat(ctx context.Context) {
	tick := time.NewTicker(w.beatEvery())
	defer tick.Stop()
	for {
		w.sayAlive(ctx)
		select {
		case <-tick.C:
		case <-ctx.Done():
			ctx, cancel := finish(ctx)
			defer cancel()
			if err := w.cache.Leave(ctx, kind, w.id); err != nil {
				w.log.Debug("leave failed", "error", err)
			}
			return
		}
	}
}

func (w *Worker) sayAlive(ctx context.Context) {
	if err := w.cache.Beat(ctx, kind, w.id, w.info(), w.beatEvery()+beatMargin); err != nil && ctx.Err() == nil {
		w.log.Debug("beat failed", "error", err)
	}
}

// info is what the status page shows of this worker.
func (w *Worker) info() map[string]string {
	lags := w.lately.sum(time.Now())
	info := map[string]string{
		"lags":             lags.String(),
		"started":          w.started.UTC().Format(time.RFC3339),
		"busy":             strconv.FormatInt(w.busy.Load(), 10),
		"version":          w.version,
		fleet.TroubleInfo:  w.tellTroubles(),
		fleet.DatabaseInfo: w.gate.trouble(),
		fleet.UnknownInfo:  w.tellUnknown(),
		fleet.FieldsInfo:   w.fields,
		fleet.MembersInfo:  "1",
	}
	if w.checkPairing != nil {
		if err := w.checkPairing(); err != nil {
			info[fleet.PairingInfo] = err.Error()
		}
	}
	return info
}

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
