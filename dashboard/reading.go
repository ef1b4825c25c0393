package dashboard

import (
	"context"
	"sync"
	"time"

	"github.com/afterwrite/afterwrite/cache/pending"
	"github.com/afterwrite/afterwrite/internal/fleet"
	"github.com/afterwrite/afterwrite/internal/inspect"
	"github.com/afterwrite/afterwrite/internal/queue"
	"github.com/afterwrite/afterwrite/schema"
)

// snapshot is everything that the pages show, read at about one moment. What could not
// be read has its error beside it.
type snapshot struct {
	at        time.Time // by Redis's clock where it answers, which dates the figures
	redis     inspect.Health
	redisErr  error
	database  time.Duration // latency of a ping
	dbErr     error
	entities  []entityFigures // in the order of the configuration
	processes []fleet.Process
	aliveErr  error
	queues    []queue.Size
	queueErr  error
}

type entityFigures struct {
	entity     *schema.Entity
	partitions []pending.Stats
	total      pending.Stats
	err        error
}

// lag is the age of the oldest write that the database has not seen.
func (f entityFigures) lag(now time.Time) time.Duration {
	if f.total.OldestPending.IsZero() {
		return 0
	}
	return max(now.Sub(f.total.OldestPending), 0)
}

// reading shares one snapshot among all viewers.
type reading struct {
	// mu is held while a snapshot is read, so viewers who come meanwhile wait for it,
	// at most the timeout, instead of reading their own.
	mu   sync.Mutex
	last *snapshot
	took time.Time
}

// snapshot returns figures that are at most MaxAge old when they are asked for. A
// viewer who leaves does not spoil the reading for the others.
func (d *dashboard) snapshot(ctx context.Context) *snapshot {
	d.reading.mu.Lock()
	defer d.reading.mu.Unlock()
	if d.reading.last != nil && time.Since(d.reading.took) < d.MaxAge {
		return d.reading.last
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), d.Timeout)
	defer cancel()
	d.reading.last = d.read(ctx)
	d.reading.took = time.Now()
	return d.reading.last
}

// forget lets the next viewer see what was changed a moment ago.
func (r *reading) forget() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.last = nil
}

// statsAtOnce is the number of entities whose figures are read side by side.
const statsAtOnce = 8

func (d *dashboard) read(ctx context.Context) *snapshot {
	s := &snapshot{at: time.Now(), entities: make([]entityFigures, len(d.Entities))}
	var parts sync.WaitGroup
	parts.Go(func() {
		start := time.Now()
		s.dbErr = d.Store.Ping(ctx)
		s.database = time.Since(start)
	})
	parts.Go(func() { s.processes, s.aliveErr = d.Cache.Alive(ctx) })
	parts.Go(func() { s.redis, s.redisErr = d.Cache.Check(ctx) })
	if d.Queues != nil {
		parts.Go(func() { s.queues, s.queueErr = d.Queues.Sizes(ctx) })
	}
	for first := range min(statsAtOnce, len(d.Entities)) {
		parts.Go(func() {
			for i := first; i < len(d.Entities); i += statsAtOnce {
				f := entityFigures{entity: d.Entities[i]}
				f.partitions, f.err = d.Cache.Stats(ctx, f.entity)
				f.total = pending.Total(f.partitions)
				s.entities[i] = f
			}
		})
	}
	parts.Wait()
	if !s.redis.Clock.IsZero() {
		s.at = s.redis.Clock
	}
	return s
}
