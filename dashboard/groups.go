package dashboard

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/afterwrite/afterwrite/store/ledger"
)

// Grouping reads every letter or held record of a filter, so with a million of them it
// takes seconds. A page does not wait for that: it shows the groups as they were a moment ago, or says that
// they are being counted, and a new count is announced to the open pages.
const (
	groupPatience = 100 * time.Millisecond // of a page, for a new count
	groupReuse    = 10                     // a count is shown again for so many times as long as it took
	groupFresh    = time.Second            // and for so long where nothing has changed
	groupTimeout  = time.Minute
	groupCheap    = time.Second // a count that takes no longer is not shown again once something has changed
	maxGroupings  = 64          // filters whose groups are remembered
)

// grouped says what is grouped: dead letters, or held records.
type grouped struct {
	held   bool
	filter ledger.LetterFilter
}

// groups are what was counted. They are not changed once they are made.
type groups struct {
	groups []ledger.LetterGroup
	whole  bool // nothing was left out
}

// groupings are the groups of the filters that were looked at lately.
type groupings struct {
	mu  sync.Mutex // guards the rest
	all map[grouped]*grouping
	age int // raised where what is counted has changed
}

// grouping is the groups of one filter.
type grouping struct {
	found   groups
	err     error
	read    time.Time // zero: never
	age     int       // of groupings when the reading began
	took    time.Duration
	missed  bool          // a page did not wait for the reading that is under way
	reading chan struct{} // closed when the reading that is under way ends; nil: none is
}

func newGroupings() *groupings { return &groupings{all: map[grouped]*grouping{}} }

// groupsOf returns the filter's groups, and whether they are known yet. It waits for a new
// count until a time, zero for not at all, and leaves it to go on.
func (d *dashboard) groupsOf(ctx context.Context, f grouped, until time.Time) (groups, bool, error) {
	g := d.groupings
	g.mu.Lock()
	one, reading := d.count(f)
	if reading == nil {
		defer g.mu.Unlock()
		return one.found, true, one.err
	}
	if one.took > groupPatience {
		until = time.Time{} // it is not known in time this time either
	}
	g.mu.Unlock()
	select {
	case <-reading:
	case <-time.After(time.Until(until)):
	case <-ctx.Done():
		return groups{}, false, ctx.Err()
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	one.missed = one.reading != nil
	return one.found, !one.read.IsZero(), one.err
}

// beginGroups has the groups counted that the caller asks for later.
func (d *dashboard) beginGroups(f grouped) {
	d.groupings.mu.Lock()
	defer d.groupings.mu.Unlock()
	d.count(f)
}

// count returns a filter's groups, and where they are too old to be shown again what is
// closed when they have been counted; the caller holds the lock.
func (d *dashboard) count(f grouped) (*grouping, <-chan struct{}) {
	g := d.groupings
	one := g.entry(f)
	age := time.Since(one.read)
	switch {
	case one.read.IsZero():
	case one.age == g.age && age < max(groupReuse*one.took, groupFresh), one.took > groupCheap &&
		age < groupReuse*one.took:
		return one, nil
	}
	if one.reading == nil {
		one.reading = make(chan struct{})
		d.Go(func(process context.Context) { d.readGroups(process, f, one) })
	}
	return one, one.reading
}

// changed is told where an operator, or a worker, has changed what is counted.
func (g *groupings) changed() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.age++
}

// entry finds or makes room for a filter; the caller holds the lock.
func (g *groupings) entry(f grouped) *grouping {
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
	for _, f := range []grouped{heldOf(filter{}), {filter: ledger.LetterFilter{State: ledger.StateWaiting}}} {
		of, _, err := d.groupsOf(ctx, f, time.Time{})
		if err != nil {
			continue // the pages of the refused say so
		}
		for _, g := range of.groups {
			if g.Count > most[g.Entity] {
				most[g.Entity] = g.Count
				found[g.Entity] = ": " + strings.TrimSpace(string(g.Refusal.Kind)+" "+
					cmp.Or(g.Refusal.Column, g.Refusal.Constraint))
			}
		}
	}
	return found
}

func (d *dashboard) group(ctx context.Context, f grouped) (groups, error) {
	if f.held {
		return d.heldGroups(ctx, f.filter)
	}
	list, err := d.Letters.Groups(ctx, f.filter, maxGroups)
	return groups{list, len(list) < maxGroups}, err
}

func (d *dashboard) readGroups(ctx context.Context, f grouped, one *grouping) {
	ctx, cancel := context.WithTimeout(ctx, groupTimeout)
	defer cancel()
	start := time.Now()
	d.groupings.mu.Lock()
	age := d.groupings.age
	d.groupings.mu.Unlock()
	found, err := d.group(ctx, f)
	d.groupings.mu.Lock()
	news := one.read.IsZero() || one.err != nil || one.found.whole != found.whole ||
		!slices.Equal(one.found.groups, found.groups)
	one.found, one.err, one.read, one.took = found, err, time.Now(), time.Since(start)
	one.age = age
	close(one.reading)
	one.reading = nil
	// Pages that are told come again: only of something new, or they would for ever.
	missed := news && one.missed || one.age != d.groupings.age
	one.missed = false
	d.groupings.mu.Unlock()
	if missed {
		d.pulse.tell("groups " + start.String())
	}
}
