package values

import (
	"context"
	"embed"
	"sync"

	"github.com/afterwrite/afterwrite/cache/internal/flight"
	"github.com/afterwrite/afterwrite/cache/internal/shared"
	"github.com/afterwrite/afterwrite/internal/gather"
)

//go:embed lua/*.lua
var sources embed.FS

// Cache is the cache beside whose records values are kept: a *cache.Cache.
type Cache interface {
	Shared() *shared.State
}

// store is what the values of one cache share.
type store struct {
	*shared.State
	metrics    *metrics
	locals     *locals
	loads      flight.Group                   // one load a value in this process, see load.go
	glances    *gather.Keyed[string, *glance] // looks at values that callers share, see look.go
	raws       *gather.Combiner[*rawValue]    // reads of values that share round trips, see look.go
	refreshes  chan struct{}                  // a place for each refresh that may run
	refreshing sync.Map                       // keys that are being refreshed here
}

func of(c Cache) *store {
	state := c.Shared()
	return state.Values(func() any {
		s := &store{State: state, metrics: newMetrics(state.Metrics), locals: newLocals(state), glances: newGlances(),
			refreshes: make(chan struct{}, maxRefreshes)}
		s.raws = gather.New(shared.Trips, s.askRaw)
		return s
	}).(*store)
}

// maxRefreshes bounds the refreshes of one process; more are not begun.
const maxRefreshes = 64

// behind runs do, a refresh of some keys, behind the caller, where not too many run. A key
// that is being refreshed already is left to that. Close waits for it.
func (s *store) behind(keys []string, do func()) {
	mine := keys[:0:0]
	for _, key := range keys {
		if _, running := s.refreshing.LoadOrStore(key, true); !running {
			mine = append(mine, key)
		}
	}
	end := func() {
		for _, key := range mine {
			s.refreshing.Delete(key)
		}
	}
	if len(mine) == 0 {
		return
	}
	select {
	case s.refreshes <- struct{}{}:
	default:
		s.metrics.skipped.Inc()
		end()
		return
	}
	ran := s.Bus.Go(func(context.Context) {
		defer func() { <-s.refreshes }()
		defer end()
		do()
	})
	if !ran {
		end()
		<-s.refreshes
	}
}
