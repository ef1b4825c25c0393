package dashboard

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/afterwrite/afterwrite/cache/pending"
	"github.com/afterwrite/afterwrite/dashboard/internal/chart"
	"github.com/afterwrite/afterwrite/dashboard/internal/filter"
	"github.com/afterwrite/afterwrite/dashboard/internal/format"
	"github.com/afterwrite/afterwrite/dashboard/internal/groups"
	"github.com/afterwrite/afterwrite/internal/health"
	"github.com/afterwrite/afterwrite/store/ledger"
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

// level says how much a finding matters, as a page shows it: by a mark and a word, never by
// colour alone.
type level health.Level

func (l level) String() string { return health.Level(l).String() }

// Class names the level in app.css.
func (l level) Class() string { return [...]string{"fine", "warning", "failure"}[l] }

// Mark is the sign that stands beside the word.
func (l level) Mark() string { return [...]string{"✓", "!", "✕"}[l] }

// finding is one sentence about the state of the system.
type finding struct {
	Level level
	Text  string
	Hint  string
}

// shown are findings as a page shows them. Their causes may name hosts and quote anything:
// the page has them cut, beside what they are of.
func shown(found []health.Finding) []finding {
	list := make([]finding, len(found))
	for i, f := range found {
		list[i] = finding{level(f.Level), format.Cut(f.Text), f.Hint}
	}
	return list
}

// verdict answers the one question of the overview, whether accepted writes reach the
// database, in one sentence: the gravest finding. The others follow it.
func (s *snapshot) verdict(why reasons) (first finding, rest []finding) {
	judged := s.State
	judged.Entities = slices.Clone(s.Entities)
	for i := range judged.Entities {
		judged.Entities[i].Why = why[judged.Entities[i].Entity.Name]
	}
	found := shown(judged.Findings())
	if len(found) == 0 {
		return s.allIsWell(), nil
	}
	slices.SortStableFunc(found, func(a, b finding) int { return int(b.Level - a.Level) })
	return found[0], found[1:]
}

func (s *snapshot) allIsWell() finding {
	total := s.Total()
	switch {
	case total.Accepted == 0:
		return finding{Text: "Nothing has been written yet."}
	case total.Pending == 0:
		return finding{Text: "All accepted writes are in the database."}
	}
	return finding{Text: fmt.Sprintf("All writes are reaching the database, %s behind.",
		format.Age(s.At, total.OldestPending))}
}

// levelOf judges an entity, or one of its partitions.
func levelOf(e health.Entity, now time.Time, working bool) level {
	return level(health.Worst(e.Findings(now, working)))
}

// working reports whether a worker is alive, as far as is known.
func (s *snapshot) working() bool { return s.Workers() > 0 || s.ProcessesErr != nil }

// lagsInfo is what workers call their lags of the last minute.
const lagsInfo = "lags"

// lags are the times within which half, and 99 %, of what was persisted in the last
// minute got there; zero where nothing was.
func (s *snapshot) lags() (half, most time.Duration) {
	var sum pending.Lags
	for _, p := range s.Processes {
		one := pending.ParseLags(p.Info[lagsInfo])
		sum.Merge(&one)
	}
	return sum.Quantile(.5), sum.Quantile(.99)
}

// reasons say by entity what most of its refused writes were refused for, as the end of a
// sentence: ": unique email".
type reasons map[string]string

// reasons reads them from the groups as far as they are counted.
func (d *dashboard) reasons(ctx context.Context, s *snapshot) reasons {
	t := s.Total()
	found := reasons{}
	if d.Letters == nil || d.Records == nil || t.Held+t.Dead == 0 {
		return found
	}
	most := map[string]int{}
	for _, f := range []groups.Key{heldOf(filter.Filter{}), {Filter: ledger.LetterFilter{State: ledger.StateWaiting}}} {
		of, _, err := d.groupings.Of(ctx, f, time.Time{})
		if err != nil {
			continue // the pages of the refused say so
		}
		for _, g := range of.Groups {
			if g.Count > most[g.Entity] {
				most[g.Entity] = g.Count
				found[g.Entity] = ": " + strings.TrimSpace(string(g.Refusal.Kind)+" "+
					cmp.Or(g.Refusal.Column, g.Refusal.Constraint))
			}
		}
	}
	return found
}

// sample is what the charts keep of it.
func (s *snapshot) sample() chart.Sample {
	t := s.Total()
	lag := int64(0)
	if !t.OldestPending.IsZero() {
		lag = max(s.At.Sub(t.OldestPending), 0).Milliseconds()
	}
	half, most := s.lags()
	return chart.Sample{
		Half: half.Milliseconds(), Most: most.Milliseconds(),
		Accepted: t.Accepted, Persisted: t.Persisted, Superseded: t.Superseded, Pending: t.Pending, Held: t.Held,
		Dead: t.Dead, Lag: lag, Hits: s.Redis.Hits, Misses: s.Redis.Misses,
	}
}
