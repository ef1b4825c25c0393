package testkit

import (
	"context"
	"io"
	"net"
	"sync"
	"syscall"
)

// Mode says how an operation fails.
type Mode int

// The modes of a fault.
const (
	// Refuse fails before anything is sent, and the error says so: the connection
	// was refused.
	Refuse Mode = iota
	// Vanish fails before anything is sent, with the error of a lost reply: the
	// caller cannot know.
	Vanish
	// LoseReply sends the operation, which takes effect, and returns the error of a
	// lost reply: the caller cannot know.
	LoseReply
	// Hold keeps the operation back until the fault is released, then lets it go.
	Hold
	// HoldReply sends the operation and keeps its answer until the fault is released.
	HoldReply
)

// Errors as the network gives them, so that callers class them as they class real ones.
var (
	errRefused = &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
	errLost    = &net.OpError{Op: "read", Net: "tcp", Err: io.EOF}
)

// Fault is one injected fault. Its methods are safe for concurrent use.
type Fault struct {
	mode  Mode
	after int   // operations that match and pass first
	times int   // operations that fail; negative: every one
	err   error // instead of the mode's own

	mu       sync.Mutex // guards after, times, hits and the closing of the channels
	hits     int
	hit      chan struct{} // closed at the first hit
	released chan struct{} // closed by Release
}

// FaultOption changes a fault, which otherwise strikes once.
type FaultOption func(*Fault)

// Times lets a fault strike n times.
func Times(n int) FaultOption { return func(f *Fault) { f.times = n } }

// Always lets a fault strike until it is released.
func Always() FaultOption { return Times(-1) }

// After lets n operations that match pass first.
func After(n int) FaultOption { return func(f *Fault) { f.after = n } }

// Err replaces the error of the mode. An SQL connection then stays whole, as it does
// when the database itself answers with an error.
func Err(err error) FaultOption { return func(f *Fault) { f.err = err } }

func newFault(mode Mode, opts []FaultOption) *Fault {
	f := &Fault{mode: mode, times: 1, hit: make(chan struct{}), released: make(chan struct{})}
	for _, o := range opts {
		o(f)
	}
	return f
}

// Hits is how often the fault has struck.
func (f *Fault) Hits() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.hits
}

// Hit is closed when the fault has struck for the first time. With Hold nothing has
// been sent then; with HoldReply the operation has taken effect.
func (f *Fault) Hit() <-chan struct{} { return f.hit }

// Release ends the fault: what it holds goes on, and it strikes no more.
func (f *Fault) Release() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.times = 0
	select {
	case <-f.released:
	default:
		close(f.released)
	}
}

// claim reports whether the fault strikes this operation, which matches it.
func (f *Fault) claim() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case f.times == 0:
		return false
	case f.after > 0:
		f.after--
		return false
	case f.times > 0:
		f.times--
	}
	f.hits++
	return true
}

// tell closes Hit.
func (f *Fault) tell() {
	f.mu.Lock()
	defer f.mu.Unlock()
	select {
	case <-f.hit:
	default:
		close(f.hit)
	}
}

func (f *Fault) error() error {
	switch {
	case f.err != nil:
		return f.err
	case f.mode == Refuse:
		return errRefused
	default:
		return errLost
	}
}

// strike runs an operation under the fault. An operation that ended with an error of
// its own keeps it, except that a lost reply is lost whatever it said.
func (f *Fault) strike(ctx context.Context, do func() error) error {
	switch f.mode {
	case LoseReply:
		_ = do() // the caller never learns
		f.tell()
		return f.error()
	case Hold:
		f.tell()
		if err := f.wait(ctx); err != nil {
			return err
		}
		return do()
	case HoldReply:
		err := do()
		f.tell()
		if lost := f.wait(ctx); lost != nil {
			return lost
		}
		return err
	default:
		f.tell()
		return f.error()
	}
}

func (f *Fault) wait(ctx context.Context) error {
	select {
	case <-f.released:
		return f.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// faults are the faults of one kind of operation.
type faults[T any] struct {
	mu    sync.Mutex // guards rules
	rules []rule[T]
}

type rule[T any] struct {
	match func(T) bool
	fault *Fault
}

func (f *faults[T]) inject(mode Mode, match func(T) bool, opts []FaultOption) *Fault {
	fault := newFault(mode, opts)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.rules = append(f.rules, rule[T]{match, fault})
	return fault
}

// find returns the first fault that strikes the operation, or nil.
func (f *faults[T]) find(operation T) *Fault {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, r := range f.rules {
		if r.match(operation) && r.fault.claim() {
			return r.fault
		}
	}
	return nil
}

// Clear releases and forgets every fault.
func (f *faults[T]) Clear() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, r := range f.rules {
		r.fault.Release()
	}
	f.rules = nil
}
