// Package groups counts refused records by their error, beside the pages that show the counts.
package groups

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/afterwrite/afterwrite/store/ledger"
)

// Grouping reads every letter or held record of a filter, so with a million of them it
// takes seconds. A page does not wait for that: it shows the groups as they were a moment ago, or says that
// they are being counted, and a new count is announced to the open pages.
const (
	Patience     = 100 * time.Millisecond // of a page, for a new count
	groupReuse   = 10                     // a count is shown again for so many times as long as it took
	groupFresh   = time.Second            // and for so long where nothing has changed
	groupTimeout = time.Minute
	groupCheap   = time.Second // a count that takes no longer is not shown again once something has changed
	maxGroupings = 64          // filters whose groups are remembered
)

// Key says what is counted: dead letters, or held records.
type Key struct {
	Held   bool
	Filter ledger.LetterFilter
}

// Groups are what was counted. They are not changed once they are made.
type Groups struct {
	Groups []ledger.LetterGroup
	Whole  bool // nothing was left out
}

// Counts are the groups of the filters that were looked at lately.
type Counts struct {
	read func(context.Context, Key) (Groups, error) // counts
	run  func(func(context.Context))                // beside the pages
	tell func(string)                               // wakes the pages that did not wait

	mu  sync.Mutex // guards the rest
	all map[Key]*grouping
	age int // raised where what is counted has changed
}

// grouping is the groups of one filter.
type grouping struct {
	found   Groups
	err     error
	read    time.Time // zero: never
	age     int       // of Counts when the reading began
	took    time.Duration
	missed  bool          // a page did not wait for the reading that is under way
	reading chan struct{} // closed when the reading that is under way ends; nil: none is
}

// New returns counts of nothing yet: read counts, run runs it beside the caller, and tell is called when pages that
// did not wait for a count should ask again.
func New(read func(context.Context, Key) (Groups, error), run func(func(context.Context)), tell func(string)) *Counts {
	return &Counts{read: read, run: run, tell: tell, all: map[Key]*grouping{}}
}

// Of returns the filter's groups, and whether they are known yet. It waits for a new
// count until a time, zero for not at all, and leaves it to go on.
func (g *Counts) Of(ctx context.Context, f Key, until time.Time) (Groups, bool, error) {
	g.mu.Lock()
	one, reading := g.count(f)
	if reading == nil {
		defer g.mu.Unlock()
		return one.found, true, one.err
	}
	if one.took > Patience {
		until = time.Time{} // it is not known in time this time either
	}
	g.mu.Unlock()
	select {
	case <-reading:
	case <-time.After(time.Until(until)):
	case <-ctx.Done():
		return Groups{}, false, ctx.Err()
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	one.missed = one.reading != nil
	return one.found, !one.read.IsZero(), one.err
}

// Begin has the groups counted that the caller asks for later.
func (g *Counts) Begin(f Key) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.count(f)
}

// count returns a filter's groups, and where they are too old to be shown again what is
// closed when they have been counted; the caller holds the lock.
func (g *Counts) count(f Key) (*grouping, <-chan struct{}) {
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
		g.run(func(process context.Context) { g.refresh(process, f, one) })
	}
	return one, one.reading
}

// Changed is told where an operator, or a worker, has changed what is counted.
func (g *Counts) Changed() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.age++
}

// entry finds or makes room for a filter; the caller holds the lock.
func (g *Counts) entry(f Key) *grouping {
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

func (g *Counts) refresh(ctx context.Context, f Key, one *grouping) {
	ctx, cancel := context.WithTimeout(ctx, groupTimeout)
	defer cancel()
	start := time.Now()
	g.mu.Lock()
	age := g.age
	g.mu.Unlock()
	found, err := g.read(ctx, f)
	g.mu.Lock()
	news := one.read.IsZero() || one.err != nil || one.found.Whole != found.Whole ||
		!slices.Equal(one.found.Groups, found.Groups)
	one.found, one.err, one.read, one.took = found, err, time.Now(), time.Since(start)
	one.age = age
	close(one.reading)
	one.reading = nil
	// Pages that are told come again: only of something new, or they would for ever.
	missed := news && one.missed || one.age != g.age
	one.missed = false
	g.mu.Unlock()
	if missed {
		g.tell("groups " + start.String())
	}
}
