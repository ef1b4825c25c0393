package dashboard

import (
	"context"
	"sync"
	"time"

	"github.com/afterwrite/afterwrite/store"
)

// Grouping reads every letter of a filter, so with a million of them it takes seconds. A
// page does not wait for that: it shows the groups as they were a moment ago, or says that
// they are being counted, and a new count is announced to the open pages.
const (
	groupPatience = 150 * time.Millisecond // of a page, for a new count
	groupReuse    = 10                     // a count is shown again for so many times as long as it took
	groupTimeout  = time.Minute
	maxGroupings  = 64 // filters whose groups are remembered
)

// groupings are the groups of the filters that were looked at lately.
type groupings struct {
	mu  sync.Mutex // guards the rest
	all map[store.LetterFilter]*grouping
}

// grouping is the groups of one filter.
type grouping struct {
	groups  []store.LetterGroup
	err     error
	read    time.Time // zero: never
	took    time.Duration
	reading chan struct{} // closed when the reading that is under way ends; nil: none is
}

func newGroupings() *groupings { return &groupings{all: map[store.LetterFilter]*grouping{}} }

// groupsOf returns the filter's groups, and whether they are known yet.
func (d *dashboard) groupsOf(ctx context.Context, f store.LetterFilter) ([]store.LetterGroup, bool, error) {
	g := d.groupings
	g.mu.Lock()
	one := g.entry(f)
	if !one.read.IsZero() && time.Since(one.read) < groupReuse*one.took {
		defer g.mu.Unlock()
		return one.groups, true, one.err
	}
	if one.reading == nil {
		one.reading = make(chan struct{})
		d.Go(func(process context.Context) { d.readGroups(process, f, one) })
	}
	reading := one.reading
	g.mu.Unlock()
	select {
	case <-reading:
	case <-time.After(groupPatience):
	case <-ctx.Done():
		return nil, false, ctx.Err()
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	return one.groups, !one.read.IsZero(), one.err
}

// entry finds or makes room for a filter; the caller holds the lock.
func (g *groupings) entry(f store.LetterFilter) *grouping {
	if one := g.all[f]; one != nil {
		return one
	}
	for other, one := range g.all {
		if len(g.all) >= maxGroupings && one.reading == nil {
			delete(g.all, other)
		}
	}
	g.all[f] = &grouping{}
	return g.all[f]
}

func (d *dashboard) readGroups(ctx context.Context, f store.LetterFilter, one *grouping) {
	ctx, cancel := context.WithTimeout(ctx, groupTimeout)
	defer cancel()
	start := time.Now()
	groups, err := d.Letters.Groups(ctx, f, maxGroups)
	d.groupings.mu.Lock()
	one.groups, one.err, one.read, one.took = groups, err, time.Now(), time.Since(start)
	close(one.reading)
	one.reading = nil
	slow := one.took > groupPatience
	d.groupings.mu.Unlock()
	if slow {
		d.pulse.tell("groups " + start.String())
	}
}
