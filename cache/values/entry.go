package values

import (
	"encoding/binary"
	"errors"
	"sync/atomic"
	"time"

	"github.com/afterwrite/afterwrite/internal/layout"
)

// entry is a value as Redis keeps it: a head, then the body.
//
//	format 1 · flags · id, 8 bytes · uvarints: fresh ms, total ms, cost µs, stamp,
//	number of tags, then each its length and text, size unpacked · body
//
// All times are spans. How old it is follows from its time to live, which only Redis's
// clock counts, so no two clocks are ever compared.
type entry struct {
	id     string        // of the load: what was found unusable is told from what came after it
	absent bool          // it is known that there is no value
	packed bool          // the body is compressed
	fresh  time.Duration // its TTL
	total  time.Duration // what it was given to live: fresh, and stale after that
	cost   time.Duration // of its load
	stamp  int64         // of tags, read before its load began
	tags   []string
	size   int // of the body, unpacked
	body   []byte

	life  time.Duration // left to live when it was read; not kept
	spare *spare        // not kept
}

// spare is a value that was decoded to see whether it can be, for the first caller that wants one. The others decode
// theirs, which each may change.
type spare struct{ value atomic.Pointer[any] } // a *T

func newSpare(value any) *spare {
	s := &spare{}
	s.value.Store(&value)
	return s
}

func (s *spare) take() any {
	if s == nil {
		return nil
	}
	if value := s.value.Swap(nil); value != nil {
		return *value
	}
	return nil
}

const (
	entryFormat = 1
	entryID     = 8 // bytes
	flagAbsent  = 1
	flagPacked  = 2
)

var errEntry = errors.New("the cached value has another format")

func (e *entry) encode() []byte {
	flags := byte(0)
	if e.absent {
		flags |= flagAbsent
	}
	if e.packed {
		flags |= flagPacked
	}
	b := make([]byte, 0, 64+len(e.body)+32*len(e.tags))
	b = append(b, entryFormat, flags)
	b = append(b, e.id...)
	for _, n := range []int64{layout.MS(e.fresh), layout.MS(e.total), e.cost.Microseconds(), e.stamp,
		int64(len(e.tags))} {
		b = binary.AppendUvarint(b, uint64(max(n, 0)))
	}
	for _, tag := range e.tags {
		b = binary.AppendUvarint(b, uint64(len(tag)))
		b = append(b, tag...)
	}
	b = binary.AppendUvarint(b, uint64(e.size))
	return append(b, e.body...)
}

func decodeEntry(b []byte) (*entry, error) {
	if len(b) < 2+entryID || b[0] != entryFormat {
		return nil, errEntry
	}
	e := &entry{absent: b[1]&flagAbsent != 0, packed: b[1]&flagPacked != 0, id: string(b[2 : 2+entryID])}
	r := &varints{b: b[2+entryID:]}
	e.fresh = time.Duration(r.next()) * time.Millisecond
	e.total = time.Duration(r.next()) * time.Millisecond
	e.cost = time.Duration(r.next()) * time.Microsecond
	e.stamp = int64(r.next())
	n := r.next()
	if n > 2*MaxTags {
		return nil, errEntry
	}
	for range n {
		e.tags = append(e.tags, r.text())
	}
	e.size = int(r.next())
	if r.bad {
		return nil, errEntry
	}
	e.body = r.b
	return e, nil
}

// varints reads the numbers and texts of a head.
type varints struct {
	b   []byte
	bad bool
}

func (r *varints) next() uint64 {
	n, size := binary.Uvarint(r.b)
	if size <= 0 || n > 1<<62 {
		r.bad = true
		return 0
	}
	r.b = r.b[size:]
	return n
}

func (r *varints) text() string {
	n := r.next()
	if n > uint64(len(r.b)) {
		r.bad = true
		return ""
	}
	text := string(r.b[:n])
	r.b = r.b[n:]
	return text
}

// age is the time since the entry was filled.
func (e *entry) age() time.Duration { return max(e.total-e.life, 0) }

// ttl is the time left until the entry is stale; below zero it is.
func (e *entry) ttl() time.Duration { return e.life - (e.total - e.fresh) }
