// Package pulse wakes all open pages when the figures were read again.
package pulse

import "sync"

// Pulse tells open pages that the figures were read again. One sampler feeds any
// number of tabs.
type Pulse struct {
	mu      sync.Mutex // guards the rest
	next    chan struct{}
	beat    Beat
	viewers int
	ended   bool
}

// Beat is what a pulse tells.
type Beat struct {
	Number  int64
	Refused string // differs from the beat before where refused records do
}

// maxViewers bounds the event streams of a process.
const maxViewers = 512

// New returns a pulse without a beat.
func New() *Pulse { return &Pulse{next: make(chan struct{})} }

// Tell wakes all open pages.
func (p *Pulse) Tell(refused string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.beat = Beat{p.beat.Number + 1, refused}
	if !p.ended {
		close(p.next)
		p.next = make(chan struct{})
	}
}

// End wakes all pages for the last time.
func (p *Pulse) End() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.ended {
		p.ended = true
		close(p.next)
	}
}

// Feel returns the last beat, and what is closed at the one after it.
func (p *Pulse) Feel() (Beat, <-chan struct{}, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.beat, p.next, p.ended
}

// Enter takes a place among the streams of this process, unless they are too many.
func (p *Pulse) Enter() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.viewers >= maxViewers {
		return false
	}
	p.viewers++
	return true
}

// Leave gives the place back.
func (p *Pulse) Leave() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.viewers--
}
