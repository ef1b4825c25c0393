package hammer

import (
	"fmt"
	"sync"
	"time"
)

// state is what a record holds after one write. Each write of a record has a number, its
// seq, and the record carries it, so that what is read tells which write it is of.
type state struct {
	exists    bool
	seq, a, b int64
}

func (s state) String() string {
	if !s.exists {
		return "absent"
	}
	return fmt.Sprintf("seq %d, a %d, b %d", s.seq, s.a, s.b)
}

// register has the whole history of one record, which one client writes and any client
// reads: an atomic register with one writer. A read is right when it gives a state that was
// current at some time between its begin and its end (Lamport, On Interprocess
// Communication, 1986: a state as old as the last write that ended before the read began,
// or as new as a write that has begun). It is safe for concurrent use.
type register struct {
	entity, id string

	mu      sync.Mutex // guards what follows
	states  []state    // by seq; the first is that of a record that was never written
	acked   int        // the newest state that was acknowledged
	version string     // of the newest acknowledgement
	row     int64      // the newest seq that was seen in the table
}

func newRegister(entity, id string) *register {
	return &register{entity: entity, id: id, states: []state{{}}}
}

// begin adds the state that a write which is about to be sent leads to.
func (r *register) begin(next func(now state, seq int64) state) state {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := next(r.states[r.acked], int64(len(r.states)))
	r.states = append(r.states, s)
	return s
}

// end notes that the write which began last is acknowledged, with its version.
func (r *register) end(version string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.acked = len(r.states) - 1
	if !newer(version, r.version) {
		return r.wrong("version %s was acknowledged after %s", version, r.version)
	}
	r.version = version
	return nil
}

// undo takes back the write that began last: it was rejected, and changed nothing.
func (r *register) undo() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.states = r.states[:r.acked+1]
}

// lost takes back all that was acknowledged after a state, which a failover has lost.
func (r *register) lost(s state) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := r.acked; i >= 0; i-- {
		if r.states[i] == s {
			r.states, r.acked = r.states[:i+1], i
			return nil
		}
	}
	return r.wrong("it is %s, which it never was", s)
}

func (r *register) now() state {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.states[r.acked]
}

// reading is the oldest state that a read which begins now may give.
func (r *register) reading() (oldest int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.acked
}

// read checks what a read gave.
func (r *register) read(oldest int, got state) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range r.states[oldest:] {
		if s == got {
			return nil
		}
	}
	return r.wrong("a read gave %s; right were %v", got, r.states[oldest:])
}

// seen checks a row of the table against the rows seen before: it is a state that was
// written, whole, and never an older one.
func (r *register) seen(row state) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case row.seq < r.row:
		return r.wrong("the row moved back from seq %d to %d", r.row, row.seq)
	case row.seq >= int64(len(r.states)):
		return r.wrong("the row has seq %d, which nobody has written yet", row.seq)
	case r.states[row.seq] != row:
		return r.wrong("the row is %s, written was %s", row, r.states[row.seq])
	}
	r.row = row.seq
	return nil
}

func (r *register) wrong(format string, args ...any) error {
	return fmt.Errorf("%s %s %s: %s", time.Now().Format("15:04:05.000"), r.entity, r.id, fmt.Sprintf(format, args...))
}

// newer compares versions, which are decimal numbers of any length.
func newer(a, b string) bool {
	if len(a) != len(b) {
		return len(a) > len(b)
	}
	return a > b
}
