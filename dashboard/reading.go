package dashboard

import (
	"context"
	"sync"
	"time"

	"github.com/afterwrite/afterwrite/internal/health"
)

// snapshot is everything that the pages show, read at about one moment.
type snapshot struct{ health.State }

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

func (d *dashboard) sources() health.Sources {
	return health.Sources{Entities: d.Entities, Redis: d.Cache, Database: d.Store, Queues: d.Queues, Depths: d.Depths}
}

func (d *dashboard) read(ctx context.Context) *snapshot {
	return &snapshot{health.Read(ctx, d.sources())}
}

// depthAge is how long the depths of a state are shown again: reading them costs a write.
const depthAge = 15 * time.Second

// depths shares the depths of the state among all viewers.
type depths struct {
	mu   sync.Mutex
	last *health.Deep
	took time.Time
}

// examined is the snapshot with its depths.
func (d *dashboard) examined(ctx context.Context) *snapshot {
	s := &snapshot{d.snapshot(ctx).State}
	d.depths.mu.Lock()
	defer d.depths.mu.Unlock()
	if time.Since(d.depths.took) >= depthAge {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), d.Timeout)
		defer cancel()
		s.Look(ctx, d.sources())
		d.depths.last, d.depths.took = s.Deep, time.Now()
	}
	s.Deep = d.depths.last
	return s
}

// forget has the next viewer see what was changed a moment ago.
func (d *depths) forget() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.took = time.Time{}
}
