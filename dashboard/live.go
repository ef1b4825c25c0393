package dashboard

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"
)

// pulse tells open pages that the figures were read again. One sampler feeds it, whatever
// the number of tabs.
type pulse struct {
	mu      sync.Mutex // guards the rest
	next    chan struct{}
	beat    beat
	viewers int
	ended   bool
}

// beat is what a pulse tells.
type beat struct {
	number  int64
	refused string // differs from the beat before where refused records do
}

// maxViewers bounds the event streams of a process.
const maxViewers = 512

func newPulse() *pulse { return &pulse{next: make(chan struct{})} }

// tell wakes everybody who waits.
func (p *pulse) tell(refused string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.beat = beat{p.beat.number + 1, refused}
	if !p.ended {
		close(p.next)
		p.next = make(chan struct{})
	}
}

// end lets everybody go, for good.
func (p *pulse) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.ended {
		p.ended = true
		close(p.next)
	}
}

// feel returns the last beat, and what is closed at the one after it.
func (p *pulse) feel() (beat, <-chan struct{}, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.beat, p.next, p.ended
}

func (p *pulse) enter() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.viewers >= maxViewers {
		return false
	}
	p.viewers++
	return true
}

func (p *pulse) leave() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.viewers--
}

// sample reads the figures again and again until ctx ends, keeps them for the charts and
// wakes the open pages.
func (d *dashboard) sample(ctx context.Context) {
	defer d.pulse.end()
	tick := time.NewTicker(d.Refresh)
	defer tick.Stop()
	for last := ""; ; {
		s := d.snapshot(ctx)
		if err := d.keep(ctx, s); err != nil && ctx.Err() == nil {
			d.Log.DebugContext(ctx, "figures not kept", "error", err)
		}
		mark := s.refusedMark()
		if mark != last {
			d.groupings.changed()
		}
		last = mark
		d.pulse.tell(mark)
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// refusedMark differs where the refused records do.
func (s *snapshot) refusedMark() string {
	t := s.Total()
	return fmt.Sprint(t.Held, t.Dead, t.Discarded, t.OldestHeld.UnixMilli(), t.OldestDead.UnixMilli())
}

// events streams a "figures" event for every reading, and a "refused" event where the
// refused records have changed. They carry nothing: a page asks for what it shows. The
// stream ends with the sampler, with the session, and after an hour; browsers come again.
func (d *dashboard) events(w http.ResponseWriter, r *http.Request) {
	if !d.pulse.enter() {
		w.Header().Set("Retry-After", "30")
		d.fail(w, r, http.StatusServiceUnavailable, "Too many pages are open.")
		return
	}
	defer d.pulse.leave()
	out := http.NewResponseController(w)
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("X-Accel-Buffering", "no") // nginx would hold the events back
	seen, next, ended := d.pulse.feel()
	name := "hello"
	for until := time.Now().Add(time.Hour); !ended && time.Now().Before(until); {
		_ = out.SetWriteDeadline(time.Now().Add(10 * time.Second)) // not every server has one
		if _, err := fmt.Fprintf(w, "event: %s\ndata: %d\n\n", name, seen.number); err != nil || out.Flush() != nil {
			return
		}
		select {
		case <-next:
		case <-r.Context().Done():
			return
		}
		last := seen.refused
		if seen, next, ended = d.pulse.feel(); seen.refused != last {
			name = "refused"
		} else {
			name = "figures"
		}
	}
}
